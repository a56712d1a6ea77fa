/** Faults that were seen of the real one, or are feared, as scripts for `intercept` and `apiIntercept`. */
import type { Interceptor } from '../memory/script.js';
import type { ApiInterceptor } from './api-server.js';
import { restError } from './errors.js';
import { tooManyRequests } from './limits.js';

/** A DELETE that takes effect and is answered with 500: its retry is then 404 (ghcr-cleanup-action#74). */
export const deletesAnswer500: ApiInterceptor = ({ route, attempt }) =>
  route?.kind === 'delete' && attempt === 1
    ? { kind: 'rewrite', rewrite: () => restError(500, 'Server Error') }
    : undefined;

/** The registry sends these bytes for a digest, as if they were what was asked for. */
export function wrongBody(digest: string, bytes: Buffer): Interceptor {
  return ({ route }) =>
    route.kind === 'manifest' && route.reference === digest
      ? { kind: 'rewrite', rewrite: (answer) => ({ ...answer, body: bytes }) }
      : undefined;
}

/** The registry's limit is reached at every request's first try. */
export const readsAnswer429: Interceptor = ({ route, attempt }) =>
  route.kind === 'manifest' && attempt === 1 ? { kind: 'answer', ...tooManyRequests() } : undefined;
