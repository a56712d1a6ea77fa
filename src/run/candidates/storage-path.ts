/**
 * Paths of Distribution's storage, as listings print them. A path names a manifest by a revision or by
 * an entry of a tag's history; it must never do so by a layer or a blob.
 * Layout: distribution/registry/storage/paths.go.
 */
import { isDigest, type Digest } from '../../oci/digest.js';
import { isRepository } from '../../oci/reference.js';

type StorageReading =
  | { readonly kind: 'manifest'; readonly repository: string; readonly digest: Digest }
  /** a path of the storage that names no manifest */
  | { readonly kind: 'known' }
  /** where a manifest's path should be, but its name or digest isn't valid */
  | { readonly kind: 'malformed' };

const MANIFESTS = '/_manifests/';
/** After `_manifests/`: the algorithm and the hex digits, then the file itself or nothing. */
const LINK =
  /(?:revisions|tags\/[^/\s]+\/index)\/(sha256|sha512)\/([0-9a-f]+)(?:\/(?:link)?)?(?=[\s"',:;)\]]|$)/y;
const BELOW_ALGORITHM = /(?:revisions|tags\/[^/\s]+\/index)\/[^/\s]+\/[^/\s]/y;
const STORAGE =
  /(?:^|[\s/"'])(?:_layers|_uploads|_manifests|docker\/registry\/v2|blobs\/(?:sha256|sha512))(?=[/\s"',:]|$)/;
/** Every storage driver keeps this below its root directory or prefix. */
const ROOT = /(?:^|\/)docker\/registry\/v2\/repositories\//;
const REPOSITORIES = /(?:^|\/)repositories\//;

/**
 * The repository of a path that ends before `/_manifests`. Below the storage's own root the name begins
 * after the first `repositories`, because a name may have such a component too. Listings made inside
 * `repositories/` begin with `./`.
 */
function repositoryOf(path: string): string | undefined {
  const root = ROOT.exec(path) ?? REPOSITORIES.exec(path);
  if (root !== null) {
    return path.slice(root.index + root[0].length);
  }
  return path.startsWith('./') ? path.slice(2) : undefined;
}

/** A listing's last column. (Columns end with white space; log lines and CSV quote the path.) */
export function lastWord(text: string): string {
  // Not a regular expression: one that ends with `$` takes quadratic time on long lines.
  const ends = [' ', '\t', '"', "'"].map((char) => text.lastIndexOf(char));
  return text.slice(Math.max(...ends) + 1);
}

/** What a line of a storage listing names, or `undefined` when it shows no path of the storage. */
export function readStoragePath(line: string): StorageReading | undefined {
  const text = line.includes('\\') ? line.replaceAll('\\', '/') : line;
  const at = text.indexOf(MANIFESTS);
  if (at >= 0) {
    LINK.lastIndex = at + MANIFESTS.length;
    const link = LINK.exec(text);
    if (link !== null) {
      const repository = repositoryOf(lastWord(text.slice(0, at)));
      const digest = link.slice(1).join(':');
      return repository !== undefined && isRepository(repository) && isDigest(digest)
        ? { kind: 'manifest', repository, digest }
        : { kind: 'malformed' };
    }
    BELOW_ALGORITHM.lastIndex = at + MANIFESTS.length;
    if (BELOW_ALGORITHM.test(text)) {
      return { kind: 'malformed' };
    }
  }
  return STORAGE.test(text) ? { kind: 'known' } : undefined;
}
