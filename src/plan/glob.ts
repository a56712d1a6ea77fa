/**
 * Globs of repository names: `*` within a path component, `**` across them, `?` for one character. In time that grows with
 * the lengths of glob and name alone: as a regular expression, `a*a*a*a*a*b` takes minutes for one name of many a's. Means
 * what picomatch 4 means by it, for names of repositories; rarer forms are left to it, with few wildcards. Pure.
 */
import picomatch from 'picomatch';

/** As a regular expression, one with three takes milliseconds for the longest of names, and one with five minutes. */
const MOST_WILDCARDS = 3;
/** A name has 255 characters at most. */
const LONGEST = 1000;

/** @returns why a glob can't be followed, in words, or `undefined` */
export function globMistake(glob: string): string | undefined {
  if (glob.length > LONGEST) {
    return `longer than ${LONGEST} characters`;
  }
  const wildcards = glob.match(/[*?]+/g) ?? [];
  return isCommon(glob) || wildcards.length <= MOST_WILDCARDS
    ? undefined
    : `too hard to match: beside a class such as \`[ab]\`, or a \`**\` that isn't a whole component, it may have ${MOST_WILDCARDS} wildcards`;
}

/** @returns whether a name of a repository matches */
export function globMatcher(glob: string): (repository: string) => boolean {
  if (!isCommon(glob)) {
    // Repository names have no hidden files: `.` at the start of a component is not special.
    return picomatch(glob, { dot: true, nobrace: true, noextglob: true, nonegate: true });
  }
  const items = itemsOf(glob);
  return (repository) => matches(items, repository);
}

function isCommon(glob: string): boolean {
  return (
    !glob.includes('**/**') &&
    !glob.startsWith('./') &&
    glob.split('/').every((component) => component === '**' || !/^$|\*\*|[[\]^!]/.test(component))
  );
}

/**
 * Each is one character, `?`, `*` (any part of one component), `**` with its slash (any components, or none), or the `**`
 * at the end, with the slash before it (all that follows, or nothing).
 */
function itemsOf(glob: string): string[] {
  const components = glob.split('/');
  const last = components.length - 1;
  return components.flatMap((component, n) => {
    if (component === '**') {
      return [n === last ? '**' : '**/'];
    }
    // With a `*` before its slash the last `**` wants that slash, and `team/**` includes `team`.
    const isBeforeRest = n === last - 1 && components[last] === '**' && !component.endsWith('*');
    return [...Array.from(component), ...(n === last || isBeforeRest ? [] : ['/'])];
  });
}

function matches(items: readonly string[], name: string): boolean {
  const width = name.length + 1;
  /** from where it was found that nothing leads to the end */
  const tried = new Uint8Array((items.length + 1) * width);
  const from = (item: number, at: number): boolean => {
    const here = item * width + at;
    if (tried[here] === 1) {
      return false;
    }
    tried[here] = 1;
    const wanted = items[item];
    const isWithin = at < name.length && name[at] !== '/';
    switch (wanted) {
      case undefined:
        return at === name.length;
      case '**':
        return at === 0 || name[at - 1] === '/' || at === name.length || name[at] === '/';
      case '?':
        return isWithin && from(item + 1, at + 1);
      case '*':
        return from(item + 1, at) || (isWithin && from(item, at + 1));
      case '**/': {
        const slash = name.indexOf('/', at);
        return from(item + 1, at) || (slash >= 0 && from(item, slash + 1));
      }
      default:
        return name[at] === wanted && from(item + 1, at + 1);
    }
  };
  return from(0, 0);
}
