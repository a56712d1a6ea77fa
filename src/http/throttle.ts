/**
 * Limits how many requests are under way at each host, and slows all workers down together when a host
 * says that it is too much: one pause for all, half the window, then growing back. It never retries.
 */
import pLimit, { type LimitFunction } from 'p-limit';

import type { Clock } from './clock.js';
import type { HttpResponse, Send } from './message.js';
import type { Patience } from './patience.js';
import { retryAfter } from './retry-after.js';

interface ThrottleOptions {
  /** requests under way at one host at most */
  readonly concurrency: number;
  readonly clock: Clock;
  /** once it is aborted, no pause is kept: nothing but what ends the run is sent */
  readonly stop?: AbortSignal;
  /** once it is spent, no pause is kept, and the answers that ask for one are told */
  readonly patience?: Patience;
}

/** How long a host is paused by a 429 that doesn't say how long, in milliseconds. */
const PAUSE = 1000;

interface Host {
  readonly limit: LimitFunction;
  /** Requests that may be under way. A fraction, since each success adds only a part of one. */
  window: number;
  /** milliseconds since the epoch */
  pausedUntil: number;
  /** How many pauses there were. Answers to requests sent before the latest one are part of it. */
  pauses: number;
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
    const host = { limit: pLimit(concurrency), window: concurrency, pausedUntil: 0, pauses: 0 };
    hosts.set(url.host, host);
    return host;
  }

  function resize(host: Host, window: number): void {
    host.window = Math.min(Math.max(window, 1), concurrency);
    host.limit.concurrency = Math.floor(host.window);
  }

  /** Additive increase, multiplicative decrease, as in TCP's congestion control (RFC 5681). */
  function learn(host: Host, response: HttpResponse, pausesBefore: number): void {
    const pause = pauseOf(response, clock.now());
    if (pause === undefined) {
      if (response.status < 400 && host.window < concurrency) {
        resize(host, host.window + 1 / host.window);
      }
      return;
    }
    if (patience?.isSpent() !== true) {
      const now = clock.now();
      patience?.spend(now, now + pause);
      host.pausedUntil = Math.max(host.pausedUntil, now + pause);
    }
    if (host.pauses === pausesBefore) {
      host.pauses += 1;
      resize(host, host.window / 2);
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

function pauseOf(response: HttpResponse, now: number): number | undefined {
  if (response.status === 429) {
    return retryAfter(response, now) ?? PAUSE;
  }
  // A 503 that says nothing may be one broken backend of many: no reason to slow down the others.
  return response.status === 503 ? retryAfter(response, now) : undefined;
}
