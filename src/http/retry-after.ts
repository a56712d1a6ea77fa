/**
 * How long a server asks to be left alone (RFC 9110 sec. 10.2.3). One reading of the header, for the
 * layer that waits and the layer that slows the whole host down.
 */
import type { HttpResponse } from './message.js';

/** No server makes this program wait longer than two minutes at a time. */
const CEILING = 120_000;

/** An HTTP date starts with the day's name in all three forms (RFC 9110 sec. 5.6.7). */
const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/;

/**
 * @param now milliseconds since the epoch
 * @returns milliseconds from now, 0 to 120,000, or undefined when the header is absent or means nothing
 */
export function retryAfter(response: HttpResponse, now: number): number | undefined {
  const value = response.headers['retry-after']?.trim() ?? '';
  const wait = /^\d+$/.test(value)
    ? Number(value) * 1000
    : HTTP_DATE.test(value)
      ? Date.parse(value) - now
      : NaN;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), CEILING);
}
