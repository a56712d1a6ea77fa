/**
 * Which orphans may be layers or configs as well. Distribution up to 2.8 removes the link of a layer along with the
 * manifest that has its digest, and serves such a layer as a manifest, though nobody ever pushed it as one.
 */
import { isDigest, type Digest } from '../oci/digest.js';
import { RegistryError } from '../registry/registry-error.js';
import type { ManifestAnswer } from '../registry/registry.js';
import type { Inventory, Source } from '../plan/inventory.js';
import { namedBy } from '../plan/naming.js';
import type { Plan } from '../plan/plan.js';
import type { SurveyContext } from './survey-options.js';

/**
 * The orphans that only the ledger or an input calls manifests: no tag, index, subject, list of referrers or list of
 * manifests names them, and no run saw them in use. A manifest that names its own subject is no proof for itself.
 * Those that were asked for before are left out.
 */
export function perhapsLayers(inventory: Inventory, { orphans }: Plan): Digest[] {
  const vouched = new Set([
    ...inventory.tags.values(),
    ...[...inventory.referrers.values()].flat(),
    ...[...inventory.manifests.values()].flatMap(namedBy).map(({ digest }) => digest),
  ]);
  return orphans
    .map(({ digest }) => digest)
    .filter((digest) => !vouched.has(digest) && inventory.listing?.has(digest) !== true)
    .filter((digest) => inventory.past.get(digest)?.everInUse !== true)
    .filter((digest) => inventory.links?.has(digest) !== true);
}

const MOST_CONTROLS = 3;

/**
 * Manifests that aren't layers, as far as anyone can tell. A registry that has these as blobs, too, has all manifests
 * as blobs. Those with a tag come first.
 */
function controls({ tags, manifests }: Inventory, links: ReadonlySet<Digest>): Digest[] {
  const all = new Set([...tags.values(), ...manifests.keys()]);
  return [...all].filter((digest) => !links.has(digest)).slice(0, MOST_CONTROLS);
}

/** A blob of the repository that surely isn't a manifest: the config of one of its images. */
function plainBlob({ manifests }: Inventory): Digest | undefined {
  for (const manifest of manifests.values()) {
    const digest = manifest.kind === 'image' ? manifest.config.digest : '';
    if (isDigest(digest) && !manifests.has(digest)) {
      return digest;
    }
  }
  return undefined;
}

/**
 * Asks which of these manifests the repository has as layers or configs as well: one HEAD each. If all of them are
 * there as blobs, some more questions tell a registry that has every manifest as a blob (olareg), and loses none of
 * them by a delete.
 *
 * @returns the answers so far; a question without an answer is a gap
 */
export async function readLinks(
  unasked: readonly Digest[],
  inventory: Inventory,
  context: Pick<SurveyContext, 'reader' | 'repository' | 'attempts'>,
): Promise<Map<Digest, boolean>> {
  const { reader, repository, attempts } = context;
  const links = new Map(inventory.links);
  const ask = (digests: readonly Digest[], note: (digest: Digest, has: boolean) => unknown) =>
    attempts.each(
      digests,
      (digest) => `blob ${digest}`,
      async (digest) => {
        note(digest, await reader.hasBlob(repository, digest));
      },
    );
  await ask(unasked, (digest, has) => links.set(digest, has));
  // Distribution has no blob for a manifest that isn't a layer.
  const answers = [...links.values()];
  if (answers.includes(false) || !answers.includes(true)) {
    return links;
  }
  const apart = new Set<Digest>();
  await ask(controls(inventory, new Set(links.keys())), (digest, has) => has || apart.add(digest));
  const blob = apart.size > 0 ? undefined : plainBlob(inventory);
  const answer =
    blob && (await attempts.one(`config ${blob}`, () => readAs('mentioned', context, blob)));
  if (answer?.kind === 'absent') {
    links.forEach((_, digest) => links.set(digest, false));
  }
  return links;
}

/** Sources that don't say that it is a manifest. It may be a layer or config, which is not a gap. */
const VAGUE: ReadonlySet<Source> = new Set<Source>(['input', 'protected', 'mentioned', 'earlier']);

/**
 * Reads the manifest that a source names: one GET, and for a vague source a HEAD if Distribution answers as for a blob.
 *
 * @returns `blob` when the registry can't serve it as a manifest, and has it as a layer or config
 */
export async function readAs(
  source: Source,
  { reader, repository }: Pick<SurveyContext, 'reader' | 'repository'>,
  digest: Digest,
): Promise<ManifestAnswer | { readonly kind: 'blob' }> {
  try {
    return await reader.manifest(repository, digest);
  } catch (error) {
    const isPerhaps =
      VAGUE.has(source) && error instanceof RegistryError && error.kind === 'perhaps-a-blob';
    if (isPerhaps && (await reader.hasBlob(repository, digest))) {
      return { kind: 'blob' };
    }
    throw error;
  }
}
