/** The routes that list: the catalog, a repository's tags, and a manifest's referrers. */
import { isDigest } from '../../../../src/oci/digest.js';
import { OCI_INDEX } from '../../../../src/oci/media-types.js';
import { empty, failure, json, pageNotFound, type Answer } from './answer.js';
import type { MemoryRegistryOptions } from './options.js';
import { parseBody, type ManifestBody, type RegistryState, type StoredManifest } from './state.js';

/** `catalog.maxentries` of Distribution 2.8. */
const CATALOG_MAX = 1000;

export function catalog(
  state: RegistryState,
  options: MemoryRegistryOptions,
  query: URLSearchParams,
): Answer {
  const asked = count(query.get('n'));
  if (asked !== undefined && asked > CATALOG_MAX) {
    return failure({ code: 'PAGINATION_NUMBER_INVALID', detail: { n: asked } });
  }
  const size = asked ?? options.catalogPageSize ?? 100;
  const { found, more } = walk(state, query.get('last') ?? '', size);
  const page = found.slice(0, size);
  return json(
    200,
    { repositories: page },
    more && size > 0 ? link('/v2/_catalog', { last: page.at(-1), n: size }) : {},
  );
}

interface Directory {
  readonly path: string;
  readonly children: Map<string, Directory>;
}

/**
 * Distribution 2.8.2 finds repositories by walking its directories for `_layers` and looks whether the
 * page is full only when it enters another directory. Digits sort before `_`, so `a/0` comes before `a`,
 * and where a page fills up between these two the list ends there without a Link: repositories are lost.
 */
function walk(
  state: RegistryState,
  last: string,
  size: number,
): { found: string[]; more: boolean } {
  const root: Directory = { path: '', children: new Map() };
  for (const name of state.repositories.keys()) {
    addDirectory(root, name);
  }
  const found: string[] = [];
  let more = false;
  const visit = ({ path, children }: Directory): void => {
    const layers = state.repositories.get(path)?.everLayered === true ? ['_layers'] : [];
    for (const entry of [...children.keys(), ...layers].sort(byBytes)) {
      const child = children.get(entry);
      if (child === undefined) {
        if (byPath(last, path) < 0) {
          found.push(path);
        }
      } else if (found.length === size) {
        more = true;
      } else {
        visit(child);
      }
    }
  };
  visit(root);
  return { found, more };
}

function addDirectory(root: Directory, name: string): void {
  let directory = root;
  for (const part of name.split('/')) {
    let child = directory.children.get(part);
    if (child === undefined) {
      child = {
        path: directory.path === '' ? part : `${directory.path}/${part}`,
        children: new Map(),
      };
      directory.children.set(part, child);
    }
    directory = child;
  }
}

export function tagList(
  state: RegistryState,
  options: MemoryRegistryOptions,
  name: string,
  query: URLSearchParams,
): Answer {
  const repository = state.repositories.get(name);
  if (repository?.everTagged !== true) {
    return failure({ code: 'NAME_UNKNOWN', detail: { name } });
  }
  const tags = [...repository.tags.keys()];
  if (options.tagPageSize === undefined) {
    return json(200, { name, tags: tags.length === 0 ? null : tags });
  }
  const last = query.get('last');
  const size = Math.min(count(query.get('n')) ?? options.tagPageSize, options.tagPageSize);
  const rest = tags.sort(byBytes).filter((tag) => last === null || byBytes(last, tag) < 0);
  const page = rest.slice(0, size);
  const more = page.length > 0 && rest.length > page.length;
  return json(
    200,
    { name, tags: page },
    more ? link(`/v2/${name}/tags/list`, { last: page.at(-1), n: size }) : {},
  );
}

export function referrers(
  state: RegistryState,
  options: MemoryRegistryOptions,
  name: string,
  digest: string,
  query: URLSearchParams,
): Answer {
  if (options.referrersApi !== true) {
    return pageNotFound();
  }
  if (!isDigest(digest)) {
    return empty(400);
  }
  const wanted = query.get('artifactType');
  const manifests = [...(state.repositories.get(name)?.manifests ?? [])]
    .map(([referrer, stored]) => ({ referrer, stored, body: bodyOf(stored) }))
    .filter(({ body }) => body.subject?.digest === digest)
    .map(({ referrer, stored, body }) => ({
      mediaType: stored.mediaType,
      digest: referrer,
      size: stored.bytes.length,
      artifactType: body.artifactType ?? body.config?.mediaType,
      ...(body.annotations === undefined ? {} : { annotations: body.annotations }),
    }))
    .filter(({ artifactType }) => wanted === null || artifactType === wanted);
  return json(
    200,
    { schemaVersion: 2, mediaType: OCI_INDEX, manifests },
    {
      'Content-Type': OCI_INDEX,
      ...(wanted === null ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
    },
  );
}

/** Referrers are found by scanning, so each body is parsed once for as long as it is stored. */
const bodies = new WeakMap<StoredManifest, ManifestBody>();

function bodyOf(stored: StoredManifest): ManifestBody {
  const known = bodies.get(stored);
  if (known !== undefined) {
    return known;
  }
  const body = parseBody(stored.bytes);
  bodies.set(stored, body);
  return body;
}

/** A page size; what is no number or negative counts as not given, as in 2.8. */
function count(text: string | null): number | undefined {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** Relative, as Distribution sends it, with its parameters in alphabetical order. */
function link(path: string, query: { last: string | undefined; n: number }): { Link: string } {
  const search = new URLSearchParams({ last: query.last ?? '', n: String(query.n) });
  return { Link: `<${path}?${search.toString()}>; rel="next"` };
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Distribution's order of names: `/` before every other character. */
function byPath(a: string, b: string): number {
  return byBytes(a.replaceAll('/', '\0'), b.replaceAll('/', '\0'));
}
