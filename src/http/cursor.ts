/** Reads a header from left to right with sticky patterns: no step reads anything twice. Pure. */

/** RFC 9110 sec. 5.6.2. */
export const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const QUOTED = /"((?:[^"\\]|\\[^])*)"/y;

export interface Cursor {
  readonly take: (pattern: RegExp) => RegExpExecArray | undefined;
  /** A parameter's value: what is in quotes, without its escapes, or else what matches `bare`. */
  readonly value: (bare: RegExp) => string | undefined;
  /** The character that comes next; `undefined` at the end. */
  readonly next: () => string | undefined;
}

export function createCursor(text: string): Cursor {
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    at = match === null ? at : pattern.lastIndex;
    return match ?? undefined;
  };
  return {
    take,
    value: (bare) => take(QUOTED)?.[1]?.replace(/\\([^])/g, '$1') ?? take(bare)?.[0],
    next: () => text[at],
  };
}
