/**
 * Sends idempotent requests again after failures that pass by themselves: exponential backoff with full
 * jitter, Retry-After honoured. When its tries are used up, the last answer or failure is the result.
 */
import type { Clock } from './clock.js';
import { codeOf } from '../text/error.js';
import { TransportError, type HttpRequest, type HttpResponse, type Send } from './message.js';
import { MOST_OF_REQUEST, REQUEST_IS_LATE, RUN_IS_LATE, type Patience } from './patience.js';
import { slowDownOf, type SlowDown } from './slow-down.js';
import { NotSent, TooLate } from './stop.js';

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

/** How often a request is sent in all when this is what came back; once after anything else. */
const TRIES: Readonly<Record<string, number>> = {
  // Distribution answers 500 for a blob's digest on the manifests route, today and tomorrow.
  500: 3,
  502: 6,
  503: 6,
  504: 6,
  reset: 6,
  truncated: 6,
  timeout: 6,
  // A registry that restarts refuses for a moment; one that isn't there should be told soon.
  refused: 3,
  // The resolver's own trouble; its other answers say that there is no such name.
  EAI_AGAIN: 6,
};

/** The server is well and says so; the shared slow-down makes each further try likelier to pass. */
const TRIES_LIMITED = 10;
/** The throttle doubles the pauses between them: a quarter of an hour in all. */
const TRIES_GROWING = 5;

type Outcome = PromiseSettledResult<HttpResponse>;

export function createRetry(next: Send, { clock, random, stop, patience }: RetryOptions): Send {
  return async (request) => {
    let before: Outcome | undefined;
    const limits: number[] = [];
    let waited = 0;
    for (let attempt = 1; ; attempt += 1) {
      const [outcome] = await Promise.allSettled([next({ ...request, attempt })]);
      const why: unknown = outcome.status === 'rejected' ? outcome.reason : undefined;
      if (before !== undefined && why instanceof NotSent) {
        // If all tries met a limit, nothing was done, and the caller may send the request another time. Else the answer
        // to the last try that was sent says more than a try that was not sent.
        if (why instanceof TooLate && limits.length === attempt - 1) {
          throw new TooLate(limits.at(-1));
        }
        return settle(before, attempt - 1);
      }
      const slowDown = slowDownAfter(outcome, clock.now());
      const isLast = attempt >= triesFor(outcome, slowDown, request) || stop?.aborted === true;
      if (isLast || !isIdempotent(request)) {
        return settle(outcome, attempt);
      }
      before = outcome;
      limits.push(...limitOf(outcome, slowDown));
      const asked = slowDown.kind === 'pause' ? slowDown.milliseconds : 0;
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
  if (outcome.status === 'fulfilled') {
    return {
      ...outcome.value,
      ...(tries > 1 && { tries }),
      ...(gaveUp !== undefined && { gaveUp }),
    };
  }
  const error: unknown = outcome.reason;
  if (gaveUp !== undefined && error instanceof TransportError) {
    const message = `${error.message}. It was not tried again: ${gaveUp}`;
    throw new TransportError(error.kind, message, { cause: error.cause });
  }
  throw error;
}

/** RFC 9110 sec. 9.2.2; a POST only where its sender knows that twice does no harm. */
function isIdempotent(request: HttpRequest): boolean {
  return request.method !== 'POST' || request.repeatable === true;
}

function slowDownAfter(outcome: Outcome, now: number): SlowDown {
  return outcome.status === 'fulfilled' ? slowDownOf(outcome.value, now) : { kind: 'none' };
}

/** The status of an answer that refused the request before anything was done for it; a 503 may be anyone's. */
function limitOf(outcome: Outcome, { kind }: SlowDown): number[] {
  return kind === 'pause' && outcome.status === 'fulfilled' && outcome.value.status !== 503
    ? [outcome.value.status]
    : [];
}

function triesFor(outcome: Outcome, slowDown: SlowDown, { mostTries = Infinity }: HttpRequest) {
  if (slowDown.kind === 'pause' && limitOf(outcome, slowDown).length > 0) {
    return slowDown.grows ? TRIES_GROWING : TRIES_LIMITED;
  }
  const what = outcome.status === 'fulfilled' ? outcome.value.status : kindOf(outcome.reason);
  return Math.min(TRIES[what] ?? 1, mostTries);
}

function kindOf(error: unknown): string {
  if (!(error instanceof TransportError)) {
    return '';
  }
  return error.kind === 'dns' ? codeOf(error.cause) : error.kind;
}
