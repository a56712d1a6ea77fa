/** Versions of an image that a team pushes one after the other, and runs that clean after them. */
import { expect } from '@jest/globals';

import { byRepository, entriesOf, remembered } from '../clients/ledger.js';
import { expectQuiet } from '../clients/outcome.js';
import { clean, type ActionRun, type RunOptions } from '../clients/run-action.js';
import type { RealRegistry } from '../servers/real-registry.js';
import {
  APP,
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  LINUX_ARM64,
  referrer,
  withChildren,
  type Content,
} from '../builders/build.js';
import { push, type Destination } from '../clients/push.js';
import { present } from '../servers/real-registries.js';

/** Within every grace period: only what an earlier run saw in use may go. */
export const FRESH = new Date().toISOString();

/** What a client pushes for one version: what the tag is to name, and then what describes it. */
export interface Version {
  readonly main: Content;
  readonly about: readonly { readonly content: Content; readonly tags: readonly string[] }[];
}

/** How a version is made. */
export interface Making {
  readonly created: string;
  readonly hasReferrersApi: boolean;
}

/** A signature of cosign's, and an SBOM with its subject, pushed as the registry needs it. */
function aboutOf(of: Content, { hasReferrersApi }: Making): Version['about'] {
  const sbom = referrer('sbom', of);
  return [
    { content: cosign('sig', of), tags: [digestTag(of.digest, 'sig')] },
    hasReferrersApi
      ? { content: sbom, tags: [] }
      : { content: fallbackIndex([sbom]), tags: [digestTag(of.digest)] },
  ];
}

/** An index whose second child is the same in all versions. */
function multi(name: string, { created }: Making): Content {
  const arm = image('shared by all', { created, platform: LINUX_ARM64 });
  return index([image(`${name} amd64`, { created }), arm]);
}

/** What is pushed, by what it is; the same name gives the same version. */
export const KINDS: Readonly<Record<string, (name: string, making: Making) => Version>> = {
  'single image': (name, { created }) => ({ main: image(name, { created }), about: [] }),
  'index with a shared child': (name, making) => ({ main: multi(name, making), about: [] }),
  'signed image': (name, making) => {
    const main = image(name, { created: making.created });
    return { main, about: aboutOf(main, making) };
  },
  'signed index': (name, making) => {
    const main = multi(name, making);
    const [amd] = main.children as [Content, Content];
    return { main, about: [...aboutOf(main, making), ...aboutOf(amd, making)] };
  },
};

/** The version of this name, of one of the KINDS. */
export function make(what: string, name: string, making: Making): Version {
  return present(KINDS[what])(`${what} ${name}`, making);
}

/** Pushes a version as its team would. */
export async function release(
  to: Destination,
  { main, about }: Version,
  { repository = APP, tag = 'latest' } = {},
): Promise<void> {
  await push(to, repository, main, tag);
  for (const { content, tags } of about) {
    await push(to, repository, content, ...tags);
  }
}

function contentsOf({ main, about }: Version): Content[] {
  return [main, ...about.map(({ content }) => content)].flatMap(withChildren);
}

/** `repository@digest` of all that these versions consist of. */
export function named(versions: readonly Version[], repository = APP): Set<string> {
  return new Set(versions.flatMap(contentsOf).map(({ digest }) => `${repository}@${digest}`));
}

/** A run on the repository that these versions are pushed to. */
export function cleanApp(
  registry: Pick<Destination, 'url'>,
  inputs: Record<string, string> = {},
  options: RunOptions = {},
): Promise<ActionRun> {
  return clean(registry, { repositories: APP, ...inputs }, options);
}

/**
 * The next run may still drop what it finds gone; then the ledger has exactly this, and a further run leaves
 * it as it is.
 */
export async function expectAtRest(
  registry: RealRegistry,
  inputs: Record<string, string>,
  known: ReadonlySet<string>,
): Promise<void> {
  expectQuiet(await cleanApp(registry, inputs), { 'orphans-found': '0' });
  expect(await remembered(registry)).toEqual(byRepository(known));
  const entries = await entriesOf(registry);
  expectQuiet(await cleanApp(registry, inputs), { 'orphans-found': '0' });
  expect(await entriesOf(registry)).toEqual(entries);
}
