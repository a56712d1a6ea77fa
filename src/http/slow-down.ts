/**
 * The pace that an answer asks for. One reading, for the layer that waits and the layer that slows the whole host
 * down: the header Retry-After (RFC 9110 sec. 10.2.3), and GitHub's two limits (docs.github.com, "Rate limits for the REST
 * API"). Both of those may come as a 403, the status of missing rights. Pure.
 */
import * as v from 'valibot';

import { inForm, tryJson } from '../oci/json.js';
import type { HttpResponse } from './message.js';
import { quotaOf } from './quota.js';

export type SlowDown =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'pause';
      /** from now, 0 to 120,000 */
      readonly milliseconds: number;
      /** The server did not say how long: a pause doubles while it repeats. */
      readonly grows: boolean;
    }
  | {
      /** Only a longer wait than this program makes would help: nothing is paused for it, nor tried again. */
      readonly kind: 'used-up';
      /** milliseconds since the epoch */
      readonly until: number;
    };

type Answer = Pick<HttpResponse, 'status' | 'headers' | 'body'>;

/** No server makes this program wait longer than two minutes at a time. */
const CEILING = 120_000;
/**
 * Milliseconds, for a 429 without Retry-After. GHCR's tells a time in its message, of micro- or milliseconds: too little
 * for anything to change.
 */
const UNSAID = 1_000;
/** The same for GitHub's limits: its documentation asks for a minute at least, and more each time. */
const UNSAID_BY_GITHUB = 60_000;

/** An HTTP date starts with the day's name in all three forms (RFC 9110 sec. 5.6.7). */
const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/;

const ERROR = v.object({ message: v.string() });
/** "You have exceeded a secondary rate limit. Please wait a few minutes before you try again." */
const SECONDARY = /\bsecondary rate limit/i;
/** Bytes. GitHub's errors have some hundreds. */
const LARGEST_ERROR = 64 * 1024;

/** @param now milliseconds since the epoch */
export function slowDownOf(answer: Answer, now: number): SlowDown {
  const { status } = answer;
  const asked = retryAfter(answer, now);
  if (status === 503) {
    // One that says nothing may be one broken backend of many: no reason to slow down the others.
    return asked === undefined ? { kind: 'none' } : pause(asked);
  }
  if (status !== 403 && status !== 429) {
    return { kind: 'none' };
  }
  const quota = quotaOf(answer);
  const isUsedUp = quota?.remaining === 0;
  const isGitHubs = isUsedUp || speaksOfSecondary(answer);
  // Every request before the reset is refused, even where Retry-After names an earlier time, and GitHub bans who goes on
  // sending. So the later of both counts. A reset in the past is that of a clock that differs from ours.
  const wait =
    isUsedUp && quota.resetsAt > now ? Math.max(quota.resetsAt - now, asked ?? 0) : asked;
  if (wait !== undefined) {
    return isGitHubs || status === 403 ? pauseOfGitHub(wait, now) : pause(wait);
  }
  if (isGitHubs) {
    return { kind: 'pause', milliseconds: UNSAID_BY_GITHUB, grows: true };
  }
  // A 403 that speaks of no limit is about rights.
  return status === 429 ? pause(UNSAID) : { kind: 'none' };
}

/** Where other registries forgive a request that comes too early, GitHub counts it. */
function pauseOfGitHub(milliseconds: number, now: number): SlowDown {
  return milliseconds > CEILING
    ? { kind: 'used-up', until: now + milliseconds }
    : pause(milliseconds);
}

function pause(milliseconds: number): SlowDown {
  return { kind: 'pause', milliseconds: Math.min(milliseconds, CEILING), grows: false };
}

function speaksOfSecondary({ body }: Answer): boolean {
  const error = body.length > LARGEST_ERROR ? undefined : inForm(ERROR, tryJson(body.toString()));
  return error !== undefined && SECONDARY.test(error.message);
}

/** @returns milliseconds from now, at least 0, or undefined when the header is absent or means nothing */
function retryAfter({ headers }: Answer, now: number): number | undefined {
  const value = headers['retry-after']?.trim() ?? '';
  const wait = /^\d+$/.test(value)
    ? Number(value) * 1000
    : HTTP_DATE.test(value)
      ? Date.parse(value) - now
      : NaN;
  return Number.isNaN(wait) ? undefined : Math.max(wait, 0);
}
