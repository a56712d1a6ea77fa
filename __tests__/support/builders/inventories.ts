/**
 * Inventories made from contents, as a survey would have read them: parsed from their real bytes under
 * their real digests, and the plans of them.
 */
import type { Inventory } from '../../../src/plan/inventory.js';
import { makePlan, type Plan, type Policy } from '../../../src/plan/plan.js';
import type { Past } from '../../../src/plan/past.js';
import type { Digest } from '../../../src/oci/digest.js';
import { factsOf, type ImageFacts } from '../../../src/oci/image-config.js';
import { parseManifest, type Manifest } from '../../../src/oci/manifest.js';
import { isImageConfigType } from '../../../src/oci/media-types.js';
import { readProtect, type Protection } from '../../../src/plan/protection.js';
import { NO_PROTECTION } from './protections.js';
import type { Content } from './build.js';

/** Epoch milliseconds: the time of every run in these tests. */
export const NOW = Date.UTC(2026, 0, 1);
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

/** When something was created that the default policy takes for young. */
export const YOUNG = new Date(NOW - HOUR).toISOString();

/** The first look that finds a manifest unused is enough. */
export function policy(more: Partial<Policy> = {}): Policy {
  return {
    gracePeriod: DAY,
    unusedFor: 0,
    danglingReferrers: 'keep',
    keepUntagged: 0,
    protection: NO_PROTECTION,
    now: NOW,
    ...more,
  };
}

export function parsed({ bytes, mediaType, digest }: Content): Manifest {
  return parseManifest(bytes, mediaType, digest);
}

export interface Estate {
  readonly tags?: Readonly<Record<string, Content>>;
  /** without a tag; as with tagged ones, their children are there too */
  readonly untagged?: readonly Content[];
  /** not in the registry, whoever names it */
  readonly absent?: readonly Content[];
  readonly more?: Partial<Inventory>;
}

export function inventoryOf({
  tags = {},
  untagged = [],
  absent = [],
  more = {},
}: Estate): Inventory {
  const missing = new Set(absent.map(({ digest }) => digest));
  const contents = new Map<Digest, Content>();
  const add = (content: Content): void => {
    if (!missing.has(content.digest)) {
      contents.set(content.digest, content);
      content.children.forEach(add);
    }
  };
  [...Object.values(tags), ...untagged].forEach(add);
  const all = [...contents.values()];
  return {
    repository: 'team/app',
    tags: new Map(Object.entries(tags).map(([tag, { digest }]) => [tag, digest])),
    manifests: new Map(all.map((content) => [content.digest, parsed(content)])),
    absent: missing,
    ghosts: new Map(),
    brokenTags: [],
    referrers: new Map(),
    facts: new Map(all.flatMap(factsBy)),
    past: new Map(),
    formerTags: new Map(),
    gaps: [],
    ...more,
  };
}

function factsBy(content: Content): [Digest, ImageFacts][] {
  const manifest = parsed(content);
  const bytes =
    manifest.kind === 'image' && isImageConfigType(manifest.config.mediaType)
      ? content.blobs.get(manifest.config.digest)
      : undefined;
  return bytes === undefined ? [] : [[content.digest, factsOf(bytes)]];
}

/** The plan's word on one content: `keep: child`, `delete: unreachable`, or `unknown`. */
export function fate(plan: Plan, { digest }: Pick<Content, 'digest'>): string {
  const kept = plan.keep.find((each) => each.digest === digest);
  if (kept !== undefined) {
    return `keep: ${kept.reason.kind}`;
  }
  const orphan = plan.orphans.find((each) => each.digest === digest);
  return orphan === undefined ? 'unknown' : `delete: ${orphan.reason.kind}`;
}

/** `fate` of several contents, by the names that a test gives them. */
export function fates(
  plan: Plan,
  contents: Readonly<Record<string, Pick<Content, 'digest'>>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(contents).map(([name, content]) => [name, fate(plan, content)]),
  );
}

/** The plan of this estate. */
export function planOf(estate: Estate, more: Parameters<typeof policy>[0] = {}): Plan {
  return makePlan(inventoryOf(estate), policy(more));
}

/** What earlier runs saw of these: in use a month ago, unless told. */
export function past(contents: readonly Content[], more: Partial<Past> = {}): Map<Digest, Past> {
  const month = NOW - 30 * DAY;
  const seen: Past = { firstSeen: month, everInUse: true, status: 'in-use', since: month, ...more };
  return new Map(contents.map(({ digest }) => [digest, seen]));
}

/** The input `protect` of these lines. */
export function protecting(...entries: readonly string[]): Protection {
  return readProtect(entries.join('\n'), 'registry.example.com', (entry) => {
    throw new Error(entry);
  });
}
