/** Mistakes in the inputs: how they are noted, and how a message shows what was given. */
import { printable, type Printable } from '../text/printable.js';

/** How much of a wrong input is shown. */
const SHOWN = 80;

/** Notes a mistake. `got` is left out for secrets; `why` says what is wrong with it. */
export type Mistake = (input: string, takes: string, got?: string, why?: string) => undefined;

export function shorten(text: string): Printable {
  return printable(text, SHOWN);
}
