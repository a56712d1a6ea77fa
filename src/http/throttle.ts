/**
 * Limits how many requests are under way at each host, and slows all workers down together when a host
 * says that it is too much: one pause for all, half the window, then growing back. It never retries.
 */
import pLimit, { type LimitFunction } from 'p-limit';

import type { Clock } from './clock.js';
import type { HttpResponse, Send } from './message.js';
import type { Patience } from './patience.js';
import { slowDownOf, type SlowDown } from './slow-down.js';

interface ThrottleOptions {
  /** requests under way at one host at most */
  readonly concurrency: number;
  readonly clock: Clock;
  /** once it is aborted, no pause is kept: nothing but what ends the run is sent */
  readonly stop?: AbortSignal;
  /** once it is spent, no pause is kept, and the answers that ask for one are told */
  readonly patience?: Patience;
}

/** Milliseconds. A pause that doubles while it repeats doubles three times. */
const LONGEST_GROWN = 480_000;

type Pause = Extract<SlowDown, { kind: 'pause' }>;

interface Host {
  readonly limit: LimitFunction;
  /** Requests that may be under way. A fraction, since each success adds only a part of one. */
  window: number;
  /** milliseconds since the epoch */
  pausedUntil: number;
  /** How many pauses there were. Answers to requests sent before the latest one are part of it. */
  pauses: number;
  /** How many of the pauses since the last success were of a length that the server did not say. */
  inVain: number;
}

export function createThrottle(next: Send, options: ThrottleOptions): Send {
  const { concurrency, clock, stop, patience } = options;
  const hosts = new Map<string, Host>();
  const isPaused = (host: Host) => host.pausedUntil > clock.now() && stop?.aborted !== true;

  function hostOf(url: URL): Host {
    const known = hosts.get(url.host);
    if (known !== undefined) {
      return known;
    }
    const host = {
      limit: pLimit(concurrency),
      window: concurrency,
      pausedUntil: 0,
      pauses: 0,
      inVain: 0,
    };
    hosts.set(url.host, host);
    return host;
  }

  function resize(host: Host, window: number): void {
    host.window = Math.min(Math.max(window, 1), concurrency);
    host.limit.concurrency = Math.floor(host.window);
  }

  /** Additive increase, multiplicative decrease, as in TCP's congestion control (RFC 5681). */
  function learn(host: Host, response: HttpResponse, pausesBefore: number): void {
    const slowDown = slowDownOf(response, clock.now());
    const isFirst = host.pauses === pausesBefore;
    if (slowDown.kind !== 'pause') {
      if (response.status < 400) {
        // What was sent before the pause tells nothing of the time after it.
        host.inVain = isFirst ? 0 : host.inVain;
        if (host.window < concurrency) {
          resize(host, host.window + 1 / host.window);
        }
      }
      return;
    }
    if (isFirst) {
      host.pauses += 1;
      host.inVain += slowDown.grows ? 1 : 0;
      resize(host, host.window / 2);
    }
    if (patience?.isSpent() !== true) {
      const now = clock.now();
      const until = now + lengthOf(slowDown, host);
      patience?.spend(now, until);
      host.pausedUntil = Math.max(host.pausedUntil, until);
    }
  }

  return async (request) => {
    const host = hostOf(request.url);
    for (;;) {
      while (isPaused(host)) {
        await clock.sleep(host.pausedUntil - clock.now());
      }
      const response = await host.limit(async () => {
        // The pause may have come while this request was queueing: it gives its slot back and waits.
        if (isPaused(host)) {
          return undefined;
        }
        const pausesBefore = host.pauses;
        const answer = await next(request);
        learn(host, answer, pausesBefore);
        return answer;
      });
      if (response !== undefined) {
        return response;
      }
    }
  };
}

function lengthOf({ milliseconds, grows }: Pause, { inVain }: Host): number {
  return grows
    ? Math.min(milliseconds * 2 ** Math.max(inVain - 1, 0), LONGEST_GROWN)
    : milliseconds;
}
