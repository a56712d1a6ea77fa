/**
 * What a run leaves of its own in a registry: the ledger, told apart from what users pushed and read with
 * the tests' own client. Its format is spelled out here once more, so that the code under test doesn't
 * vouch for itself.
 */
import { gunzipSync } from 'node:zlib';

import * as v from 'valibot';

import { digestOf } from '../../../src/oci/digest.js';
import { OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { send, type Destination } from './push.js';

/** The default of `ledger-repository`. */
export const LEDGER = 'manifest-cleanup-ledger';

const Tags = v.object({ tags: v.nullable(v.array(v.string())) });
const Artifact = v.object({
  artifactType: v.literal('application/vnd.registry-manifest-cleanup.ledger.v1'),
  config: v.object({ mediaType: v.literal('application/vnd.oci.empty.v1+json') }),
  layers: v.tuple([v.object({ digest: v.string() })]),
});
const Entry = v.object({
  repository: v.string(),
  manifests: v.array(v.object({ digest: v.string(), status: v.string() })),
});

/** What users pushed, and the ledger's own, of `repository@digest` names. */
export function apart(manifests: Iterable<string>): { users: Set<string>; ledger: Set<string> } {
  const isOwn = (name: string) => name.startsWith(`${LEDGER}@`);
  const all = [...manifests];
  return {
    users: new Set(all.filter((name) => !isOwn(name))),
    ledger: new Set(all.filter(isOwn)),
  };
}

/** The `repository@digest` names by repository, as `remembered` gives them. */
export function byRepository(names: Iterable<string>): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const name of names) {
    const [repository = '', digest = ''] = name.split('@');
    found.set(repository, (found.get(repository) ?? new Set()).add(digest));
  }
  return found;
}

/** An entry as it lies in the registry. */
export interface RawEntry {
  readonly tag: string;
  /** of the entry's own manifest */
  readonly digest: string;
  /** whose memory it is */
  readonly repository: string;
  /** what it remembers, without what was deleted: that is no candidate */
  readonly digests: ReadonlySet<string>;
}

/**
 * The entries of a registry's ledger, in the order of its tags.
 *
 * @param ledger where it lies; in another place than the default there may be other tags, too
 * @throws Error when it does not exist, or a tag of the default place is no entry
 */
export async function entriesOf(at: Destination, ledger = LEDGER): Promise<RawEntry[]> {
  const scope = `repository:${ledger}:pull`;
  const get = async (path: string) => {
    const headers = { accept: OCI_MANIFEST };
    const answer = await send(at, {
      method: 'GET',
      path: `/v2/${ledger}/${path}`,
      headers,
      scope,
    });
    if (answer.status !== 200) {
      throw new Error(`GET ${path} of the ledger: ${String(answer.status)}`);
    }
    return answer.body;
  };
  const parse = (bytes: Buffer): unknown => JSON.parse(bytes.toString('utf8'));
  const tags = v.parse(Tags, parse(await get('tags/list'))).tags ?? [];
  const entries: RawEntry[] = [];
  for (const tag of tags.filter((each) => ledger === LEDGER || each.startsWith('ledger-v1.'))) {
    const manifest = await get(`manifests/${tag}`);
    const artifact = v.parse(Artifact, parse(manifest));
    const bytes = gunzipSync(await get(`blobs/${artifact.layers[0].digest}`));
    const { repository, manifests } = v.parse(Entry, parse(bytes));
    const candidates = manifests.filter(({ status }) => status !== 'deleted');
    const digests = new Set(candidates.map(({ digest }) => digest));
    entries.push({ tag, digest: digestOf(manifest), repository, digests });
  }
  return entries;
}

/**
 * What the ledger of a registry remembers: the digests, by repository.
 *
 * @throws Error when a repository has more than one entry, or a tag is no entry
 */
export async function remembered(
  at: Destination,
  ledger = LEDGER,
): Promise<Map<string, ReadonlySet<string>>> {
  const found = new Map<string, ReadonlySet<string>>();
  for (const { repository, digests } of await entriesOf(at, ledger)) {
    if (found.has(repository)) {
      throw new Error(`the ledger has two entries of ${repository}`);
    }
    // What is left of an emptied repository are the bytes of what was deleted, for a while.
    if (digests.size > 0) {
      found.set(repository, digests);
    }
  }
  return found;
}
