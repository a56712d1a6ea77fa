/**
 * Stacks the layers, from the outside in: auth, redirects, retry, throttle, quotas, stop, observation, exchange. Each
 * is a function from a `Send` to a `Send` and knows nothing of the others.
 *
 * Auth is outside redirects so that a token is fetched for the registry and not for where it sends us;
 * retry is outside the throttle so that a request gives its slot back while it waits.
 */
import { setMaxListeners } from 'node:events';

import type { Grant } from './grant.js';
import { Auth } from './auth.js';
import { stoppable, systemClock, type Clock } from './clock.js';
import type { Credentials } from './credentials.js';
import { Exchange, type Timeouts } from './exchange.js';
import { TransportError, type Method, type Send, type TransportFailure } from './message.js';
import { createPatience } from './patience.js';
import { watchQuotas, type Quotas } from './quota.js';
import { redactUrl } from './redact.js';
import { createRedirect } from './redirect.js';
import { createRetry } from './retry.js';
import { createStop } from './stop.js';
import { createThrottle } from './throttle.js';

/** One exchange that was really sent, for the debug log. It holds no secret. */
export interface ExchangeEvent {
  readonly method: Method;
  /** redacted */
  readonly url: string;
  readonly result:
    | { readonly kind: 'answer'; readonly status: number }
    | { readonly kind: 'failure'; readonly failure: TransportFailure };
  readonly milliseconds: number;
  /** from 1 */
  readonly attempt: number;
}

interface TransportOptions {
  /** Credentials go to this URL's origin and to the token realm that it names. */
  readonly registry: URL;
  readonly credentials: Credentials;
  /** requests under way at one host at most */
  readonly concurrency: number;
  /** skip the check of TLS certificates */
  readonly insecure: boolean;
  /** PEM certificates to trust beside the usual ones */
  readonly ca?: string;
  readonly userAgent: string;
  /** Called with each secret before it is first used. */
  readonly mask: (secret: string) => void;
  readonly onExchange?: (event: ExchangeEvent) => void;
  readonly timeouts?: Timeouts;
  /** tells the run to stop: nothing that does not close it is sent any more */
  readonly stop?: AbortSignal;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export interface Transport {
  readonly send: Send;
  /** The rights that the token server would grant; sends at most a token request. No failure of it rejects. */
  readonly granted: (scope: string) => Promise<Grant>;
  readonly unasked: Auth['unasked'];
  readonly greeting: Auth['greeting'];
  readonly basic: Auth['basic'];
  readonly quota: Quotas['quota'];
  /** its sleepers wake when the run is told to stop */
  readonly clock: Clock;
  /** Closes kept-alive connections; to be called once, when nothing is under way any more. */
  close(): void;
  /** `requests`: exchanges really sent, each try, hop and token request counted. */
  stats(): { readonly requests: number };
}

/** @throws Error when `ca` holds no PEM certificate */
export function createTransport(options: TransportOptions): Transport {
  const { random = Math.random, onExchange, stop = new AbortController().signal } = options;
  // As many may wait for it as requests are under way.
  setMaxListeners(0, stop);
  const clock = stoppable(options.clock ?? systemClock, stop);
  let requests = 0;
  const patience = createPatience(clock);
  const common = { ...options, random, stop, clock, patience };
  const exchange = new Exchange(common);
  const counted: Send = async (request) => {
    requests += 1;
    return exchange.send(request);
  };
  const observed = onExchange === undefined ? counted : observe(counted, clock, onExchange);
  const stopped = createStop(observed, stop, exchange.giveUp);
  const watched = watchQuotas(stopped);
  const throttled = createThrottle(watched.send, common);
  const retried = createRetry(throttled, common);
  const redirected = createRedirect(retried);
  const { send, granted, unasked, greeting, basic } = new Auth(redirected, common);
  return {
    send,
    granted,
    unasked,
    greeting,
    basic,
    quota: watched.quota,
    clock,
    close: () => {
      exchange.close();
    },
    stats: () => ({ requests }),
  };
}

function observe(next: Send, clock: Clock, report: (event: ExchangeEvent) => void): Send {
  return async (request) => {
    const start = clock.now();
    const tell = (result: ExchangeEvent['result']) => {
      report({
        method: request.method,
        url: redactUrl(request.url),
        result,
        milliseconds: clock.now() - start,
        attempt: request.attempt ?? 1,
      });
    };
    try {
      const response = await next(request);
      tell({ kind: 'answer', status: response.status });
      return response;
    } catch (error) {
      tell({ kind: 'failure', failure: error instanceof TransportError ? error.kind : 'other' });
      throw error;
    }
  };
}
