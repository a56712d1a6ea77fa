/** Durations as people write them: one number with one unit. Pure. */
import ms, { type StringValue } from 'ms';

const DURATION = /^(\d{1,15}(?:\.\d{1,15})?)[ \t]*([a-z]{1,10})$/i;
const MONTHS = /^(?:M|mo|mos|mon|mons|mths?|months?)$/;
/** Nobody keeps an image for so short a time, and a number alone would be taken for it. */
const MILLISECONDS = /^(?:ms|msecs?|milliseconds?)?$/i;
/** Twice as long as anybody keeps an image; a time of the registry can still be reckoned with it. */
const LONGEST = ms('100y');

/** @returns milliseconds, or what is wrong with it, in words; those are empty when nothing special is */
export function parseDuration(text: string): number | { readonly why: string } {
  if (text === '0') {
    return 0;
  }
  const [, number = '', unit = ''] = DURATION.exec(text) ?? [];
  // A capital M is a minute for some tools and a month for others: 6M has to be neither.
  if (MONTHS.test(unit === 'M' ? unit : unit.toLowerCase())) {
    return {
      why: 'a month has no fixed length, so `M` and `mo` are not known: write days, such as `180d`, or `m` for minutes',
    };
  }
  const length = lengthOf(unit);
  if (length === undefined) {
    return { why: isSeveral(text) ? 'there is more than one unit: write `90m` for `1h30m`' : '' };
  }
  const duration = Number(number) * length;
  return duration <= LONGEST ? duration : { why: 'it is longer than 100 years' };
}

/** One of the unit in milliseconds; `undefined` for a word that isn't a unit. */
function lengthOf(unit: string): number | undefined {
  const one = `1${unit.replace(/^wks?$/i, 'w')}` as StringValue;
  return MILLISECONDS.test(unit) ? undefined : ms(one);
}

function isSeveral(text: string): boolean {
  const units = text.length <= 100 ? (text.match(/[a-z]+/gi) ?? []) : [];
  return units.length > 1 && units.every((unit) => lengthOf(unit) !== undefined);
}
