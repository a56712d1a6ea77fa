/** Makes text that anybody may have written safe to print. Pure. */

/** Text that a log, an annotation or a summary can show, whoever wrote it: what `printable` returns, and nothing else. */
export type Printable = string & { readonly __brand: 'Printable' };

/**
 * The text on one line, without control, invisible or unpaired characters, without the user and password of a URL, and
 * without anything that the runner takes for a workflow command (`::name` at a line's start, `##[name]` anywhere).
 * Secrets are not known here: they are taken out before, since a cut would leave half of one.
 *
 * @param length of the result, in characters; what is longer is cut, and ends in `…`
 */
export function printable(text: string, length = Number.MAX_SAFE_INTEGER): Printable {
  // Cut first: a hostile text may be long. A character has two code units at most.
  const start = text.slice(0, 2 * length + 2);
  const isCut = start.length < text.length;
  const line = start
    .replace(/[\s\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/\p{C}/gu, '\uFFFD')
    .trim()
    // The `@` may be behind the cut, and the password before it.
    .replace(isCut ? /:\/\/[^/\s]*(@(?=[^/\s])|$)/g : /:\/\/[^/\s]*(@(?=[^/\s]))/g, '://***$1')
    // Wherever they stand, since the text may be put at a line's start; but not in the host of `http://[::1]:5000`.
    .replace(/:(?=:)(?!(?<=:\/\/\[[\da-f:.]{0,45})[\da-f:.]{1,45}\])/gi, ': ')
    .replaceAll('##[', '## [');
  return (isCut || line.length > length ? cut(line, length, isCut) : line) as Printable;
}

function cut(line: string, length: number, isCut: boolean): string {
  const characters = Array.from(line);
  return isCut || characters.length > length
    ? `${characters.slice(0, length - 1).join('')}…`
    : line;
}
