/**
 * The entries of `protect` and `protect-files`: manifests and whole repositories that are never deleted, with
 * everything that they reach. Pure. Only says who asked for what; `plan.ts` makes roots of it.
 */
import { globMatcher } from './glob.js';
import { patternMistake } from './selection.js';
import { isDigest, type Digest } from '../oci/digest.js';
import { parsePinned } from '../oci/pinned.js';

/** Where a protection comes from: the path of a file, or the input `protect`. */
export type Protector = string;

export interface Protection {
  /** to be kept in every repository, by digest; the protectors sorted */
  readonly digests: ReadonlyMap<Digest, readonly Protector[]>;
  /** to be kept in one repository: by its name */
  readonly pinned: ReadonlyMap<string, ReadonlySet<Digest>>;
  /** globs of repositories in which everything is kept */
  readonly repositories: readonly string[];
}

export const PROTECT: Protector = '`protect`';

/**
 * Reads the input `protect`: digests, `repository@digest` (with or without the registry's host in front) and
 * globs of repositories, one per line or separated by commas.
 *
 * @param registryHost `host` or `host:port` of the registry to clean
 * @param mistake told of each entry that is none of these; of one that has the registry's host in front, but not its
 *   port, with what stands behind that
 */
export function readProtect(
  text: string,
  registryHost: string,
  mistake: (entry: string, behindHost?: string) => void,
): Protection {
  const digests = new Map<Digest, readonly Protector[]>();
  const pinned = new Map<string, Set<Digest>>();
  const repositories: string[] = [];
  const entries = text.split(/[\n,]/).map((entry) => entry.trim());
  for (const entry of entries.filter((each) => each !== '' && !each.startsWith('#'))) {
    const reading = entry.includes('@') ? parsePinned(entry, registryHost) : undefined;
    const globs = [entry, withoutHost(entry, registryHost)].filter(
      (glob) => patternMistake(glob) === undefined && !glob.startsWith('!'),
    );
    const behind = behindPortlessHost(entry, registryHost);
    if (behind !== undefined) {
      mistake(entry, behind);
    } else if (isDigest(entry)) {
      digests.set(entry, [PROTECT]);
    } else if (reading?.kind === 'manifest') {
      const { repository, digest } = reading;
      pinned.set(repository, (pinned.get(repository) ?? new Set()).add(digest));
    } else if (globs.length > 0) {
      // Both: a mirror's repositories may begin with a host, and protecting too much does no harm.
      repositories.push(...new Set(globs));
    } else {
      mistake(entry);
    }
  }
  return { digests, pinned, repositories };
}

/** Names may begin with a host, as those of mirrors do. With this very one, the port was forgotten as a rule. */
function behindPortlessHost(entry: string, registryHost: string): string | undefined {
  const host = registryHost.replace(/:\d+$/, '');
  const behind = withoutHost(entry, host);
  return host !== registryHost && behind !== entry && behind !== '' ? behind : undefined;
}

/** With the host in front, a name would match no repository, and silently protect nothing. */
function withoutHost(entry: string, registryHost: string): string {
  const bare = entry.replace(/^https?:\/\//i, '');
  return bare.toLowerCase().startsWith(`${registryHost}/`)
    ? bare.slice(registryHost.length + 1)
    : entry;
}

/** The protection together with the digests that files hold. */
export function withFiles(
  protection: Protection,
  files: ReadonlyMap<string, Iterable<Digest>>,
): Protection {
  const digests = new Map<Digest, readonly Protector[]>(protection.digests);
  for (const [file, found] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const digest of found) {
      digests.set(digest, [...(digests.get(digest) ?? []), file]);
    }
  }
  return { ...protection, digests };
}

/**
 * @param repositories all that the registry has
 * @returns the names and globs that match none of them, and so protect nothing
 */
export function unmatched(
  protection: Protection,
  registryHost: string,
  repositories: readonly string[],
): readonly string[] {
  const { repositories: globs, pinned } = protection;
  const known = new Set(repositories);
  const bare = (glob: string) => withoutHost(glob, registryHost);
  const isMatched = new Set(globs.filter((glob) => repositories.some(globMatcher(glob))).map(bare));
  const missing = [...pinned.keys()].filter((repository) => !known.has(repository));
  return [...new Set([...globs.map(bare).filter((glob) => !isMatched.has(glob)), ...missing])];
}

/** A protection, as it applies to one repository. */
interface LocalProtection {
  /** who asks to keep this manifest; empty when nobody does */
  of(digest: Digest): readonly Protector[];
  /** the named manifests, whether or not they are in this repository; files may name very many */
  named(): ReadonlySet<Digest>;
}

/** The same globs are asked of every repository, several times. */
const matchers = new WeakMap<readonly string[], ReturnType<typeof globMatcher>[]>();

function matcherOf(globs: readonly string[]): (repository: string) => boolean {
  const each = matchers.get(globs) ?? globs.map(globMatcher);
  matchers.set(globs, each);
  return (repository) => each.some((matches) => matches(repository));
}

export function protectionIn(repository: string, protection: Protection): LocalProtection {
  const { digests, repositories } = protection;
  const pinned = protection.pinned.get(repository) ?? new Set<Digest>();
  const isWhole = matcherOf(repositories)(repository);
  return {
    of(digest) {
      const others = digests.get(digest) ?? [];
      const isNamed = isWhole || pinned.has(digest);
      return isNamed && !others.includes(PROTECT) ? [PROTECT, ...others] : others;
    },
    named: () => new Set([...digests.keys(), ...pinned]),
  };
}

/** So that whoever reads of a gap finds the file that the digest stands in. */
export function someOf(by: readonly Protector[]): string {
  return [...by.slice(0, 1), ...(by.length > 1 ? [`${by.length - 1} more`] : [])].join(' and ');
}
