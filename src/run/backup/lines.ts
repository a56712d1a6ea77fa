/** The lines of a text that comes in pieces. Holds one line, and of one that is too long only its beginning. Pure. */

/** In UTF-16 code units: a line of an index has room for eight thousand of the longest tags. */
const LONGEST_LINE = 1024 * 1024;

/**
 * @param visit takes each line that isn't blank, without its end; `undefined` for one that is too long
 */
export async function readLines(
  pieces: AsyncIterable<string>,
  visit: (line: string | undefined) => void,
  longest = LONGEST_LINE,
): Promise<void> {
  let held = '';
  const end = () => {
    if (held.length > longest) {
      visit(undefined);
    } else if (held.trim() !== '') {
      visit(held);
    }
    held = '';
  };
  for await (const piece of pieces) {
    for (const [n, text] of piece.split('\n').entries()) {
      if (n > 0) {
        end();
      }
      held += held.length > longest ? '' : text;
    }
  }
  end();
}
