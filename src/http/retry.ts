/**
 * Sends idempotent requests again after failures that pass by themselves: exponential backoff with full
 * jitter, Retry-After honoured. When its tries are used up, the last answer or failure is the result.
 */
import type { Clock } from './clock.js';
import { codeOf } from '../text/error.js';
import { TransportError, type HttpRequest, type HttpResponse, type Send } from './message.js';
import { MOST_OF_REQUEST, REQUEST_IS_LATE, RUN_IS_LATE, type Patience } from './patience.js';
import { retryAfter } from './retry-after.js';
import { NotSent } from './stop.js';

interface RetryOptions {
  readonly clock: Clock;
  /** uniform in [0, 1) */
  readonly random: () => number;
  /** once it is aborted, nothing is tried again */
  readonly stop?: AbortSignal;
  readonly patience?: Patience;
}

/** Milliseconds: the n-th wait is anything up to FIRST * 2^(n-1), and never over LONGEST. */
const FIRST = 500;
const LONGEST = 30_000;

type Outcome =
  | { readonly kind: 'answer'; readonly response: HttpResponse }
  | { readonly kind: 'failure'; readonly error: unknown };

export function createRetry(next: Send, { clock, random, stop, patience }: RetryOptions): Send {
  return async (request) => {
    let before: Outcome | undefined;
    let waited = 0;
    for (let attempt = 1; ; attempt += 1) {
      const tried = await attemptOnce(next, { ...request, attempt });
      // What is known of a request is what became of it when it was sent.
      const isNotSent = tried.kind === 'failure' && tried.error instanceof NotSent;
      const outcome = isNotSent ? (before ?? tried) : tried;
      const isLast = attempt >= triesFor(outcome, request) || stop?.aborted === true;
      if (isLast || !isIdempotent(request)) {
        return settle(outcome, attempt);
      }
      before = outcome;
      const asked =
        outcome.kind === 'answer' ? (retryAfter(outcome.response, clock.now()) ?? 0) : 0;
      const backoff = random() * Math.min(FIRST * 2 ** (attempt - 1), LONGEST);
      const now = clock.now();
      waited += asked + backoff;
      const gaveUp =
        patience?.isSpent() === true
          ? RUN_IS_LATE
          : waited > MOST_OF_REQUEST
            ? REQUEST_IS_LATE
            : undefined;
      if (gaveUp !== undefined) {
        return settle(outcome, attempt, gaveUp);
      }
      patience?.spend(now, now + asked);
      await clock.sleep(asked + backoff);
    }
  };
}

/** The last answer or failure, with how it came to be the last. */
function settle(outcome: Outcome, tries: number, gaveUp?: string): HttpResponse {
  if (outcome.kind === 'answer') {
    const { response } = outcome;
    return tries > 1 || gaveUp !== undefined
      ? { ...response, tries: tries > 1 ? tries : undefined, gaveUp }
      : response;
  }
  const { error } = outcome;
  if (gaveUp !== undefined && error instanceof TransportError) {
    const message = `${error.message}. It was not tried again: ${gaveUp}`;
    throw new TransportError(error.kind, message, { cause: error.cause });
  }
  throw error;
}

async function attemptOnce(next: Send, request: HttpRequest): Promise<Outcome> {
  try {
    return { kind: 'answer', response: await next(request) };
  } catch (error) {
    return { kind: 'failure', error };
  }
}

/** RFC 9110 sec. 9.2.2; a POST only where its sender knows that twice does no harm. */
function isIdempotent(request: HttpRequest): boolean {
  return request.method !== 'POST' || request.repeatable === true;
}

/** How often a request is sent in all when this is what came back. */
function triesFor(outcome: Outcome, { mostTries = Infinity }: HttpRequest): number {
  if (outcome.kind === 'failure') {
    return Math.min(triesForError(outcome.error), mostTries);
  }
  const { status } = outcome.response;
  return status === 429 ? triesForStatus(status) : Math.min(triesForStatus(status), mostTries);
}

function triesForStatus(status: number): number {
  switch (status) {
    case 429:
      // The server is well and says so; the shared slow-down makes each further try likelier to pass.
      return 10;
    case 502:
    case 503:
    case 504:
      return 6;
    case 500:
      // Distribution answers 500 for a blob's digest on the manifests route, today and tomorrow.
      return 3;
    default:
      return 1;
  }
}

function triesForError(error: unknown): number {
  if (!(error instanceof TransportError)) {
    return 1;
  }
  switch (error.kind) {
    case 'reset':
    case 'truncated':
    case 'timeout':
      return 6;
    case 'refused':
      // A registry that restarts refuses for a moment; one that isn't there should be told soon.
      return 3;
    case 'dns':
      // EAI_AGAIN is the resolver's own trouble; any other answer says that there is no such name.
      return codeOf(error.cause) === 'EAI_AGAIN' ? 6 : 1;
    default:
      return 1;
  }
}
