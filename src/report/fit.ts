/**
 * Fits sections into a limit of bytes: every section keeps its fixed part and gets a fair share of the
 * room for its rows; what a short section doesn't need goes to the others. Cut rows are always said.
 */
export interface Section {
  /** never cut */
  readonly before: string;
  /** made one at a time, and no more than could fit; each ends with a newline */
  readonly rows?: Iterable<string>;
  /** how many rows there are */
  readonly total?: number;
  readonly after?: string;
  /** closes what the first `shown` rows left open; no longer than CLOSING */
  readonly closing?: (shown: number) => string;
  /** what to say of `left` rows that didn't fit */
  readonly cut?: (left: number) => string;
}

interface Measured {
  readonly section: Section;
  readonly rows: readonly string[];
  /** bytes of all rows, or Infinity when there are more than could ever fit */
  readonly wanted: number;
}

/** Ends a fold that a row began. */
export const CLOSING = '\n</details>\n';

const bytes = (text: string) => Buffer.byteLength(text, 'utf8');
const notice = (section: Section, left: number) => section.cut?.(left) ?? '';
const NEWLINE = 1;
/** GitHub drops a step's summary over 1 MiB (1,048,576 bytes) without a word. */
const LIMIT = 1_000_000;

/** The sections that there are, a blank line between them, in at most `limit` bytes of UTF-8. */
export function fit(sections: readonly (Section | undefined)[], limit = LIMIT): string {
  let room = limit;
  // A section whose fixed part no longer fits is left out whole: that takes a limit far below GitHub's.
  const kept = sections
    .filter((section) => section !== undefined)
    .filter((section) => {
      const { before, total = 0, after = '' } = section;
      const fold = section.closing === undefined ? '' : CLOSING;
      const fixed = bytes(before + fold + notice(section, total) + after) + NEWLINE;
      const fits = fixed <= room;
      room -= fits ? fixed : 0;
      return fits;
    });
  const measured = kept.map((section) => measure(section, room));
  const shares = fairShares(
    measured.map(({ wanted }) => wanted),
    room,
  );
  return measured
    .map(({ section, rows }, index) => {
      const { before, total = 0, after = '' } = section;
      const shown = take(rows, shares[index] ?? 0);
      const left = total - shown.length;
      const closing = section.closing?.(shown.length) ?? '';
      return `${before}${shown.join('')}${closing}${left > 0 ? notice(section, left) : ''}${after}`;
    })
    .join('\n');
}

function measure(section: Section, room: number): Measured {
  const rows: string[] = [];
  let wanted = 0;
  for (const row of section.rows ?? []) {
    wanted += bytes(row);
    if (wanted > room) {
      return { section, rows, wanted: Infinity };
    }
    rows.push(row);
  }
  return { section, rows, wanted };
}

/** Max-min fairness: the least wish first, each at most its part of what is left. */
function fairShares(wishes: readonly number[], room: number): readonly number[] {
  const shares = wishes.map(() => 0);
  const order = wishes.map((_, index) => index);
  order.sort((a, b) => (wishes[a] ?? 0) - (wishes[b] ?? 0) || a - b);
  let left = room;
  order.forEach((index, served) => {
    const share = Math.min(wishes[index] ?? 0, Math.floor(left / (order.length - served)));
    shares[index] = share;
    left -= share;
  });
  return shares;
}

/** Rows from the top: a gap in a list would mislead. */
function take(rows: readonly string[], share: number): readonly string[] {
  let used = 0;
  const end = rows.findIndex((row) => (used += bytes(row)) > share);
  return end === -1 ? rows : rows.slice(0, end);
}
