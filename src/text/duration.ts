/** Durations as people write them: one number with one unit. Pure. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const UNITS: readonly (readonly [words: string, milliseconds: number])[] = [
  ['s sec secs second seconds', SECOND],
  ['m min mins minute minutes', MINUTE],
  ['h hr hrs hour hours', HOUR],
  ['d day days', DAY],
  ['w wk wks week weeks', 7 * DAY],
  ['y yr yrs year years', 365.25 * DAY],
];
const MILLISECONDS = new Map(
  UNITS.flatMap(([words, milliseconds]) =>
    words.split(' ').map((word): [string, number] => [word, milliseconds]),
  ),
);

const DURATION = /^(\d{1,15}(?:\.\d{1,15})?)[ \t]*([a-z]{1,10})$/i;
const MONTHS = /^(?:M|mo|mos|mon|mons|mths?|months?)$/;
/** Twice as long as anybody keeps an image; a time of the registry can still be reckoned with it. */
const LONGEST = 100 * 365.25 * DAY;

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
  const milliseconds = MILLISECONDS.get(unit.toLowerCase());
  if (milliseconds === undefined) {
    return { why: isSeveral(text) ? 'there is more than one unit: write `90m` for `1h30m`' : '' };
  }
  const duration = Number(number) * milliseconds;
  return duration <= LONGEST ? duration : { why: 'it is longer than 100 years' };
}

function isSeveral(text: string): boolean {
  const units = text.length <= 100 ? (text.match(/[a-z]+/gi) ?? []) : [];
  return units.length > 1 && units.every((unit) => MILLISECONDS.has(unit.toLowerCase()));
}
