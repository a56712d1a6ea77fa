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
  /** what to say of `left` rows that didn't fit */
  readonly cut?: (left: number) => string;
}

interface Measured {
  readonly rows: readonly string[];
  readonly sizes: readonly number[];
  /** bytes of all rows, or Infinity when there are more than could ever fit */
  readonly wanted: number;
}

const bytes = (text: string) => Buffer.byteLength(text, 'utf8');
const notice = (section: Section, left: number) => section.cut?.(left) ?? '';
const NEWLINE = 1;

/** The sections, a blank line between them, in at most `limit` bytes of UTF-8. */
export function fit(sections: readonly Section[], limit: number): string {
  let room = limit;
  // A section whose fixed part no longer fits is left out whole: that takes a limit far below GitHub's.
  const kept = sections.filter((section) => {
    const fixed = bytes(
      section.before + notice(section, section.total ?? 0) + (section.after ?? ''),
    );
    const fits = fixed + NEWLINE <= room;
    room -= fits ? fixed + NEWLINE : 0;
    return fits;
  });
  const measured = kept.map(({ rows }) => measure(rows ?? [], room));
  const shares = fairShares(
    measured.map(({ wanted }) => wanted),
    room,
  );
  return kept
    .map((section, index) => {
      const shown = take(measured[index], shares[index] ?? 0);
      const left = (section.total ?? 0) - shown.length;
      const said = left > 0 ? notice(section, left) : '';
      return section.before + shown.join('') + said + (section.after ?? '');
    })
    .join('\n');
}

function measure(all: Iterable<string>, room: number): Measured {
  const rows: string[] = [];
  const sizes: number[] = [];
  let wanted = 0;
  for (const row of all) {
    wanted += bytes(row);
    if (wanted > room) {
      return { rows, sizes, wanted: Infinity };
    }
    rows.push(row);
    sizes.push(bytes(row));
  }
  return { rows, sizes, wanted };
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
function take(measured: Measured | undefined, share: number): readonly string[] {
  let used = 0;
  const end = (measured?.sizes ?? []).findIndex((size) => (used += size) > share);
  return measured === undefined ? [] : measured.rows.slice(0, end === -1 ? undefined : end);
}
