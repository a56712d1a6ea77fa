/** GitHub's limits: a quota for each token, points for each endpoint, and requests in flight. */
import type { Answer } from '../memory/answer.js';
import { registryError, restError, WORDS } from './errors.js';
import type { Assumptions } from './options.js';

export interface TokenQuota {
  readonly limit: number;
  readonly remaining: number;
  /** milliseconds since 1970, in whole seconds */
  readonly reset: number;
}

const HOUR = 60 * 60_000;
const WINDOW = 60_000;

/** Points of one endpoint in any 60 seconds, and requests in flight (docs.github.com, "Rate limits for the REST API"). */
export const POINTS_PER_WINDOW = 900;
export const IN_FLIGHT = 100;

/** Who asks, and its primary limit. */
export interface Caller {
  readonly id: string;
  readonly hourly: number;
}

interface Spent {
  readonly time: number;
  readonly points: number;
}

export interface Visit {
  /** whether there were as many before it as may be */
  readonly isOver: boolean;
  /** called when it was answered */
  readonly leave: () => void;
}

export interface Limits {
  quotaOf(caller: Caller): TokenQuota;
  setQuota(caller: Caller, quota: Partial<TokenQuota>): void;
  /** Counts a request. @returns the refusal when it is past a limit */
  take(caller: Caller, method: string, template: string, visit: Visit): Answer | undefined;
  /** Counts a request that is under way. */
  enter(caller: Caller): Visit;
}

export function createLimits(
  now: () => number,
  assume: Pick<Assumptions, 'primaryStatus' | 'secondaryStatus' | 'secondaryRetryAfter'>,
): Limits {
  const quotas = new Map<string, TokenQuota>();
  const spent = new Map<string, { entries: Spent[]; sum: number }>();
  const inFlight = new Map<string, number>();

  function quotaOf({ id, hourly }: Caller): TokenQuota {
    const known = quotas.get(id);
    if (known !== undefined && now() < known.reset) {
      return known;
    }
    const limit = known?.limit ?? hourly;
    const quota = { limit, remaining: limit, reset: wholeSeconds(now() + HOUR) };
    quotas.set(id, quota);
    return quota;
  }

  function secondary(seconds: number): Answer {
    const headers: Record<string, string> = assume.secondaryRetryAfter
      ? { 'Retry-After': String(seconds) }
      : {};
    return restError(assume.secondaryStatus, WORDS.secondaryLimit, headers);
  }

  /** @returns milliseconds until there is room for these points; 0 when they were taken */
  function spend(key: string, points: number): number {
    let account = spent.get(key);
    if (account === undefined) {
      account = { entries: [], sum: 0 };
      spent.set(key, account);
    }
    const time = now();
    while ((account.entries[0]?.time ?? Infinity) <= time - WINDOW) {
      account.sum -= account.entries.shift()?.points ?? 0;
    }
    if (account.sum + points > POINTS_PER_WINDOW) {
      return (account.entries[0]?.time ?? time) + WINDOW - time;
    }
    account.entries.push({ time, points });
    account.sum += points;
    return 0;
  }

  return {
    quotaOf,
    setQuota: (caller, change) => {
      const quota = { ...quotaOf(caller), ...change };
      quotas.set(caller.id, { ...quota, reset: wholeSeconds(quota.reset) });
    },
    take: (caller, method, template, { isOver }) => {
      const quota = quotaOf(caller);
      if (quota.remaining <= 0) {
        return restError(assume.primaryStatus, `API rate limit exceeded for ${caller.id}.`);
      }
      quotas.set(caller.id, { ...quota, remaining: quota.remaining - 1 });
      if (isOver) {
        return secondary(60);
      }
      const wait = spend(`${caller.id} ${method} ${template}`, method === 'GET' ? 1 : 5);
      return wait === 0 ? undefined : secondary(Math.ceil(wait / 1000));
    },
    enter: ({ id }) => {
      const before = inFlight.get(id) ?? 0;
      inFlight.set(id, before + 1);
      return {
        isOver: before >= IN_FLIGHT,
        leave: () => inFlight.set(id, (inFlight.get(id) ?? 1) - 1),
      };
    },
  };
}

export function quotaHeaders({ limit, remaining, reset }: TokenQuota): Record<string, string> {
  return {
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': String(remaining),
    'X-RateLimit-Used': String(Math.max(0, limit - remaining)),
    'X-RateLimit-Reset': String(reset / 1000),
    'X-RateLimit-Resource': 'core',
  };
}

function wholeSeconds(time: number): number {
  return Math.ceil(time / 1000) * 1000;
}

/** The registry's limit: only the message says how long to wait, and it says so in fractions of a millisecond. */
export function registryLimit(
  now: () => number,
  limits: { readonly reads: number; readonly writes: number },
): (method: string) => Answer | undefined {
  const buckets = {
    reads: { allowed: limits.reads, level: limits.reads, since: now() },
    writes: { allowed: limits.writes, level: limits.writes, since: now() },
  };
  return (method) => {
    const bucket = buckets[method === 'GET' || method === 'HEAD' ? 'reads' : 'writes'];
    const { allowed, since } = bucket;
    bucket.since = now();
    const more = ((bucket.since - since) * allowed) / WINDOW;
    bucket.level = Math.min(allowed, bucket.level + more);
    if (bucket.level >= 1) {
      bucket.level -= 1;
      return undefined;
    }
    return tooManyRequests(((1 - bucket.level) * WINDOW) / allowed, allowed);
  };
}

/** @param wait milliseconds */
export function tooManyRequests(wait = 1.17, allowed = 44_000): Answer {
  const after = wait < 1 ? `${(wait * 1000).toFixed(3)}µs` : `${wait.toFixed(6)}ms`;
  const message = `retry-after: ${after}, allowed: ${String(allowed)}/minute`;
  return registryError(429, 'TOOMANYREQUESTS', message);
}
