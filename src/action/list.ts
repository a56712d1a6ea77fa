/** The entries of an input that takes several. Pure. */

/** @returns the entries without the spaces around them; none for an empty line */
export function entriesOf(text: string, separator: string | RegExp = '\n'): string[] {
  const all = text.split(separator).map((entry) => entry.trim());
  return all.filter((entry) => entry !== '');
}
