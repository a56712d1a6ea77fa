/** Makes text that anybody may have written safe to print. Pure. */

/**
 * On one line, without control or invisible characters, without anything that the runner takes for a
 * workflow command (`::name` at a line's start, `##[name]` anywhere in it), and without the user and
 * password of a URL.
 */
export function printable(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\uFFFD')
    .replace(/:\/\/[^/\s]*@(?=[^/\s])/g, '://***@')
    .replace(/:(?=:)/g, ': ')
    .replaceAll('##[', '## [');
}
