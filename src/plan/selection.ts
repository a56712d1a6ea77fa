/** Which repositories a run looks at: the patterns of the input `repositories`. Pure. */
import { isRepository } from '../oci/reference.js';
import { globMatcher, globMistake } from './glob.js';

export interface Selection {
  /** whether the run looks at the repository of this name */
  includes(repository: string): boolean;
  /** the repositories to look at when no pattern needs the catalog; `undefined` when one does */
  readonly names: readonly string[] | undefined;
}

const PATTERN = /^!?[a-z0-9._/*?[\]^!-]+$/;

/** @returns what is wrong with a pattern, in words, or `undefined` */
export function patternMistake(pattern: string): string | undefined {
  const glob = pattern.replace(/^!/, '');
  if (!PATTERN.test(pattern) || glob === '' || glob.startsWith('/') || glob.endsWith('/')) {
    return 'not a repository name or glob';
  }
  return isPlain(glob) && !isRepository(glob) ? 'not a valid repository name' : globMistake(glob);
}

function isPlain(glob: string): boolean {
  return !/[*?[\]^!]/.test(glob);
}

/**
 * @param patterns repository names and globs (`*` stays within a path component, `**` crosses them); `!`
 *   excludes. As in a workflow's `paths`, the last pattern that matches decides. None means all, and a
 *   list that starts with an exclusion starts from all.
 */
export function selectRepositories(patterns: readonly string[]): Selection {
  const rules = patterns.map((pattern) => {
    const excludes = pattern.startsWith('!');
    const glob = excludes ? pattern.slice(1) : pattern;
    return { excludes, glob, matches: globMatcher(glob) };
  });
  const fromAll = rules[0]?.excludes ?? true;
  const includes = (repository: string): boolean => {
    const last = rules.findLast(({ matches }) => matches(repository));
    return last === undefined ? fromAll : !last.excludes;
  };
  const wanted = rules.filter(({ excludes }) => !excludes).map(({ glob }) => glob);
  const names =
    !fromAll && wanted.every(isPlain) ? [...new Set(wanted)].filter(includes).sort() : undefined;
  return { includes, names };
}

/**
 * The first components of what the patterns include, where they are literal: for registries that can only list one owner's
 * repositories.
 *
 * @returns each once, sorted; none for `**`, `own*` before the slash or a name of one component
 */
export function namespacesOf(patterns: readonly string[]): string[] {
  const named = patterns
    .filter((pattern) => pattern.includes('/'))
    .map((pattern) => pattern.slice(0, pattern.indexOf('/')))
    // The beginning of an exclusion isn't a literal, either.
    .filter((component) => isPlain(component));
  return [...new Set(named)].sort();
}
