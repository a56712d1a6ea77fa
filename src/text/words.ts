/**
 * Numbers, sizes, times and digests as people read them. The results are plain text: what came from a
 * registry still has to pass through markdown.ts before it gets into a summary.
 */
import ms from 'ms';
import prettyBytes from 'pretty-bytes';

const MINUTE = 60_000;
const DAY = 86_400_000;
const NUMBER = new Intl.NumberFormat('en');
const DAY_NAME = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' });
const DIGEST_START = 12;
/** Docker's first release. A `created` before it is a placeholder of a reproducible build. */
const FIRST_IMAGE = Date.UTC(2013, 2, 20);

/** `12,345` */
export function number(value: number): string {
  return NUMBER.format(value);
}

/** `1 tag`, `2 tags`, `3 repositories` */
export function count(value: number, noun: string, plural = `${noun}s`): string {
  return `${number(value)} ${value === 1 ? noun : plural}`;
}

/** `1.2 GB` */
export function size(bytes: number): string {
  return prettyBytes(bytes);
}

/** `12 seconds`, `1 day` */
export function duration(milliseconds: number): string {
  return ms(Math.max(0, Math.round(milliseconds)), { long: true });
}

/** Whether a time of a build can be true. In the future it proves nothing, and reproducible builds write a constant. */
export function tellsTime(created: number, now: number): boolean {
  return created >= FIRST_IMAGE && created <= now;
}

/** `5 hours`, `12 days`, `3 months`; undefined when `created` proves nothing. */
export function age(created: number | undefined, now: number): string | undefined {
  if (created === undefined || !tellsTime(created, now)) {
    return undefined;
  }
  const days = (now - created) / DAY;
  if (days < 2) {
    const hours = Math.floor(days * 24);
    return hours === 0 ? 'under an hour' : count(hours, 'hour');
  }
  if (days < 60) {
    return count(Math.floor(days), 'day');
  }
  const months = Math.floor(days / 30.44);
  return months < 24 ? count(months, 'month') : count(Math.floor(days / 365.25), 'year');
}

/** `26 Nov 2026`, in UTC; a ledger can hold any time, and one beyond the calendar is the unknown past */
export function day(epochMilliseconds: number): string {
  return DAY_NAME.format(epochMilliseconds);
}

/** `2026-12-23 03:00 UTC`, the minute in which it is */
export function moment(epochMilliseconds: number): string {
  return `${new Date(epochMilliseconds).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** `03:00 UTC`: the first full minute that isn't before it */
export function timeOfDay(epochMilliseconds: number): string {
  return moment(Math.ceil(epochMilliseconds / MINUTE) * MINUTE).slice(-9);
}

/** `sha256:0123456789ab`: enough to find it, for sentences. */
export function shortDigest(digest: string): string {
  const start = digest.indexOf(':') + 1;
  return digest.slice(0, start + DIGEST_START);
}

/** `0123456789ab`: the same for a table, where the algorithm would only take room. */
export function digits(digest: string): string {
  const start = digest.indexOf(':') + 1;
  return digest.slice(start, start + DIGEST_START);
}
