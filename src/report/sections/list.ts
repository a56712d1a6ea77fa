/** A section that is a list: folded when it is long, and what is cut is said. */
import { CLOSING, type Section } from '../fit.js';
import { count } from '../../text/words.js';

interface ListOptions {
  readonly plural?: string;
  /** the head of a table */
  readonly head?: string;
  /** a longer list is folded: the interesting part of the summary is below it */
  readonly openRows?: number;
  /** only the rows after so many are folded: the first are the worst */
  readonly openFirst?: number;
  /** where the rows are that a job summary has no room for */
  readonly source?: string;
}

/**
 * @param rows as `Section` has them; their number is given where they are made one at a time
 * @returns nothing where there are no rows
 */
export function list(
  intro: string,
  rows: readonly string[] | { readonly total: number; readonly made: Iterable<string> },
  noun: string,
  {
    plural,
    head = '',
    openRows = Infinity,
    openFirst = Infinity,
    source = 'The file of `report-file`',
  }: ListOptions = {},
): Section | undefined {
  const { total, made } = 'made' in rows ? rows : { total: rows.length, made: rows };
  if (total === 0) {
    return undefined;
  }
  const isFolded = total > openRows;
  const fold = `<details><summary>${count(total, noun, plural)}</summary>\n\n`;
  return {
    before: `${intro}${isFolded ? fold : ''}${head}`,
    rows: folded(
      made,
      openFirst,
      count(total - openFirst, `more ${noun}`, plural && `more ${plural}`),
    ),
    closing: (shown) => (shown > openFirst ? CLOSING : ''),
    total,
    cut: (rest) =>
      `\n_… and ${count(rest, `more ${noun}`, plural && `more ${plural}`)}: too long for a job summary. ${source} has them all._\n`,
    after: isFolded ? '\n</details>\n' : '',
  };
}

/** The first of the folded rows begins the fold. */
function* folded(rows: Iterable<string>, openFirst: number, what: string): Generator<string> {
  let at = 0;
  for (const row of rows) {
    yield at === openFirst ? `\n<details><summary>${what}</summary>\n\n${row}` : row;
    at += 1;
  }
}
