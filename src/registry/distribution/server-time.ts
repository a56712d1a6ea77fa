/** The time by the registry's clock. Pure. */
import type { IncomingHttpHeaders } from 'node:http';

/** The header has whole seconds. */
const SECOND = 999;

/** The form that servers have to send (RFC 9110 sec. 5.6.7); others are no more than a guess. */
const HTTP_DATE =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * @returns the latest moment that the server's answer may be of, or `undefined` when it doesn't say. An answer that a
 *   cache has kept for a while is of then, and now is later by its age
 */
export function serverTime(headers: IncomingHttpHeaders): number | undefined {
  const { date = '', age = '0' } = headers;
  const time = HTTP_DATE.test(date) ? Date.parse(date) : NaN;
  const seconds = /^\d{1,9}$/.test(age) ? Number(age) : 0;
  return Number.isNaN(time) ? undefined : time + SECOND + seconds * 1000;
}
