/**
 * The answer to tags/list, in which Google lists every manifest of a repository, tagged or not. Numbers are
 * strings. What a test may change of it is here, too.
 */
import { json, type Answer } from '../memory/answer.js';
import { parseBody, type RegistryState, type StoredManifest } from '../memory/state.js';

/** A manifest as Google lists it. All values are strings, for a test may want values that aren't numbers. */
export interface ListedManifest {
  readonly imageSizeBytes: string;
  readonly layerId: string;
  readonly mediaType: string;
  readonly artifactType?: string;
  /** absent or empty for an untagged manifest */
  readonly tag?: readonly string[];
  /** of the image's config; 0 where there is none, as in an index */
  readonly timeCreatedMs: string;
  readonly timeUploadedMs: string;
}

export interface TagList {
  /** the next parts of the names of repositories below this one */
  readonly child?: readonly string[];
  /** by digest; absent in a plain registry's answer */
  readonly manifest?: Readonly<Record<string, ListedManifest>>;
  readonly name: string;
  readonly tags: readonly string[];
}

/** What is sent in place of a list. */
export type ListEdit = (list: TagList) => unknown;

/** Half a list: these digests are missing, and tags may point at them. */
export function withoutManifests(...digests: readonly string[]): ListEdit {
  return (list) => ({
    ...list,
    manifest: Object.fromEntries(
      Object.entries(list.manifest ?? {}).filter(([digest]) => !digests.includes(digest)),
    ),
  });
}

/** The answer of a registry that isn't Google's. */
export const withoutMap: ListEdit = ({ name, tags }) => ({ name, tags });

/** One manifest with other fields; `undefined` takes a field away. `key` replaces its digest. */
export function withFields(
  digest: string,
  fields: Readonly<Partial<Record<keyof ListedManifest, unknown>>>,
  key = digest,
): ListEdit {
  return (list) => {
    const { [digest]: entry, ...others } = list.manifest ?? {};
    return { ...list, manifest: { ...others, [key]: { ...entry, ...fields } } };
  };
}

/** @param uploadedAt milliseconds since 1970. @returns undefined for a repository that doesn't exist */
export function tagListOf(
  state: RegistryState,
  name: string,
  uploadedAt: (digest: string) => number,
): TagList | undefined {
  const repository = state.repositories.get(name);
  const child = childrenOf(state, name);
  if (repository === undefined && child.length === 0) {
    return undefined;
  }
  const tags = [...(repository?.tags ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  const manifests = [...(repository?.manifests ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  const manifest = Object.fromEntries(
    manifests.map(([digest, stored]) => {
      const own = tags.filter(([, target]) => target === digest).map(([tag]) => tag);
      return [digest, listed(state, digest, stored, own, uploadedAt(digest))];
    }),
  );
  return { child, manifest, name, tags: tags.map(([tag]) => tag) };
}

function childrenOf(state: RegistryState, name: string): string[] {
  const below = [...state.repositories.keys()]
    .filter((other) => other.startsWith(`${name}/`))
    .map((other) => other.slice(name.length + 1).split('/')[0] ?? '');
  return [...new Set(below)].sort();
}

function listed(
  state: RegistryState,
  digest: string,
  { mediaType, bytes }: StoredManifest,
  tag: readonly string[],
  uploadedAt: number,
): ListedManifest {
  const { artifactType, config, layers = [] } = parseBody(bytes);
  const configBytes = state.blobs.get(config?.digest ?? '');
  const size = layers
    .map((layer) => state.blobs.get(layer.digest ?? '')?.length ?? 0)
    .reduce((sum, length) => sum + length, bytes.length + (configBytes?.length ?? 0));
  // Both shapes of an untagged manifest are seen, so a test gets both.
  const isAbsent = tag.length === 0 && parseInt(digest.slice(-1), 16) % 2 === 0;
  return {
    imageSizeBytes: String(size),
    layerId: '',
    mediaType,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(isAbsent ? {} : { tag }),
    timeCreatedMs: String(createdAt(configBytes)),
    timeUploadedMs: String(uploadedAt),
  };
}

function createdAt(config: Buffer | undefined): number {
  try {
    const { created } = JSON.parse(config?.toString('utf8') ?? '') as { created?: unknown };
    return typeof created === 'string' ? Date.parse(created) || 0 : 0;
  } catch {
    return 0; // a config that isn't an image's
  }
}

/**
 * The list, or that part of it that a page holds: as many tags and as many manifests, each from the same
 * place on. The page says by a Link whether more of either follows.
 */
export function answerList(
  list: TagList,
  edit: ListEdit,
  query: URLSearchParams,
  pageSize: number | undefined,
): Answer {
  if (pageSize === undefined) {
    return json(200, edit(list));
  }
  const start = Number(query.get('next_page') ?? '0');
  const end = start + pageSize;
  const manifests = Object.entries(list.manifest ?? {});
  const page = {
    ...list,
    manifest: Object.fromEntries(manifests.slice(start, end)),
    tags: list.tags.slice(start, end),
  };
  const isLast = end >= Math.max(manifests.length, list.tags.length);
  const next = `</v2/${list.name}/tags/list?next_page=${String(end)}>; rel="next"`;
  return json(200, edit(page), isLast ? {} : { Link: next });
}
