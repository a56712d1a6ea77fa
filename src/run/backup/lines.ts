/** The lines of a text that comes in pieces. Holds one line, and no more of it than a line may have. Pure. */

/** Of an index: room for eight thousand tags of the longest. */
const LONGEST_LINE = 1024 * 1024;

/**
 * @param visit takes each line that isn't blank, without its end; `undefined` for one that is too long
 */
export async function readLines(
  pieces: AsyncIterable<string>,
  visit: (line: string | undefined) => void,
  longest = LONGEST_LINE,
): Promise<void> {
  let held: string[] = [];
  let length = 0;
  const add = (text: string) => {
    length += text.length;
    held = length > longest ? [] : [...held, text];
  };
  const end = () => {
    const line = held.join('');
    if (length > longest) {
      visit(undefined);
    } else if (line.trim() !== '') {
      visit(line);
    }
    held = [];
    length = 0;
  };
  for await (const piece of pieces) {
    let from = 0;
    for (let feed = piece.indexOf('\n'); feed >= 0; feed = piece.indexOf('\n', from)) {
      add(piece.slice(from, feed));
      end();
      from = feed + 1;
    }
    add(piece.slice(from));
  }
  end();
}
