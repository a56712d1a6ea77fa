/**
 * The quota that a host says is left, by the headers `x-ratelimit-remaining` and `x-ratelimit-reset` of its last answer
 * (docs.github.com, "Rate limits for the REST API"). This layer only watches.
 */
import type { HttpResponse, Send } from './message.js';

export interface Quota {
  /** requests */
  readonly remaining: number;
  /** epoch milliseconds: when the next window begins */
  readonly resetsAt: number;
}

export interface Quotas {
  readonly send: Send;
  /** `undefined` for a host that has not said. */
  readonly quota: (host: string) => Quota | undefined;
}

/** Milliseconds: a host is many servers, whose clocks differ. A window of GitHub's lasts an hour. */
const SAME_WINDOW = 5_000;

export function watchQuotas(next: Send): Quotas {
  const quotas = new Map<string, Quota>();
  return {
    quota: (host) => quotas.get(host),
    send: async (request) => {
      const response = await next(request);
      const quota = quotaOf(response);
      if (quota !== undefined) {
        const { host } = request.url;
        quotas.set(host, latest(quotas.get(host), quota));
      }
      return response;
    },
  };
}

/** Answers may come in another order than they were counted: of one window the lowest number is right. */
function latest(known: Quota | undefined, quota: Quota): Quota {
  if (known === undefined) {
    return quota;
  }
  const later = quota.resetsAt - known.resetsAt;
  const isLower = later >= -SAME_WINDOW && quota.remaining < known.remaining;
  return later > SAME_WINDOW || isLower ? quota : known;
}

/** The quota that an answer tells of, if it does. */
export function quotaOf({ headers }: Pick<HttpResponse, 'headers'>): Quota | undefined {
  const remaining = wholeNumber(headers['x-ratelimit-remaining']);
  const reset = wholeNumber(headers['x-ratelimit-reset']);
  return remaining === undefined || reset === undefined
    ? undefined
    : { remaining, resetsAt: reset * 1000 };
}

function wholeNumber(value: string | readonly string[] | undefined): number | undefined {
  return typeof value === 'string' && /^\d{1,11}$/.test(value) ? Number(value) : undefined;
}
