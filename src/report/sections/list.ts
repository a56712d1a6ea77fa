/** The sentence under a list that had to be cut. */
import { count } from '../../text/words.js';

export function moreIn(left: number, noun: string, plural?: string): string {
  return `\n_… and ${count(left, `more ${noun}`, plural && `more ${plural}`)}: too long for a job summary. The file of \`report-file\` has them all._\n`;
}
