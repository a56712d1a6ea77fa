/**
 * Bearer tokens from the realm that a registry names (Docker's token specification, and its OAuth 2
 * variant for identity tokens). Each token is fetched once for all who wait for it, and kept until
 * shortly before it expires. A token is masked before anything else sees it.
 */
import * as v from 'valibot';

import { inForm, tryJson } from '../oci/json.js';
import type { Clock } from './clock.js';
import { basicAuthorization, type Credentials } from './credentials.js';
import { foreignUrl } from './foreign-url.js';
import { whyMissing } from './login.js';
import { RequestFailure, type HttpRequest, type HttpResponse, type Send } from './message.js';
import { nearby } from './nearby.js';
import { redactUrl } from './redact.js';
import { splitScopes } from './scope.js';
import type { Code } from '../text/code.js';

/** The credentials can't be turned into access. `status` is the token server's answer, if it gave one. */
export class AuthError extends RequestFailure {
  override name = 'AuthError';
  readonly status: number | undefined;
  constructor(message: string, status?: number, code: Code = 'token-missing') {
    super(message, code);
    this.status = status;
  }
}

export interface TokenOptions {
  readonly registry: URL;
  readonly credentials: Credentials;
  /** Called with every token before its first use. */
  readonly mask: (secret: string) => void;
  readonly clock: Clock;
}

/** The token server that a registry has named. */
export interface Realm {
  readonly realm: string;
  readonly service: string | undefined;
}

interface Wanted extends Realm {
  /** several are separated by spaces; `''` for none */
  readonly scope: string;
}

interface Token {
  readonly value: string;
  /** both in milliseconds since the epoch, on our own clock */
  readonly fetchedAt: number;
  readonly renewAt: number;
}

/** `fetched`: for this very call */
export type GivenToken = Token & { readonly fetched: boolean };

/** Tokens with hundreds of scopes stay far below it. */
const MAX_BYTES = 128 * 1024;

/** Seconds, for a server that doesn't say (Docker's token specification, "expires_in"). */
const DEFAULT_LIFETIME = 60;

const CLIENT_ID = 'registry-manifest-cleanup';

/** The text that an Authorization header may hold: visible ASCII, so that no token can add a header. */
const TokenText = v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/));
const optionalToken = v.fallback(v.optional(TokenText), undefined);
const Answer = v.object({
  token: optionalToken,
  access_token: optionalToken,
  refresh_token: optionalToken,
  expires_in: v.fallback(v.pipe(v.number(), v.finite(), v.minValue(1)), DEFAULT_LIFETIME),
});

export class TokenSource {
  readonly #send: Send;
  readonly #options: TokenOptions;
  readonly #tokens = new Map<string, Promise<Token>>();

  constructor(send: Send, options: TokenOptions) {
    this.#send = send;
    this.#options = options;
  }

  /**
   * @param rejected a token that the registry has just refused, and that must not be given again
   * @throws AuthError when the realm may not be used or gives no token
   */
  async get(wanted: Wanted, rejected?: string): Promise<GivenToken> {
    const tokens = this.#tokens;
    const key = JSON.stringify([wanted.realm, wanted.service, wanted.scope]);
    for (let flight = tokens.get(key); flight !== undefined; flight = tokens.get(key)) {
      const token = await flight;
      if (token.value !== rejected && this.#options.clock.now() < token.renewAt) {
        return { ...token, fetched: false };
      }
      // Whoever waited longest may have started the renewal already.
      if (tokens.get(key) === flight) {
        break;
      }
    }
    const flight = this.#fetch(wanted);
    tokens.set(key, flight);
    try {
      return { ...(await flight), fetched: true };
    } catch (error) {
      if (tokens.get(key) === flight) {
        tokens.delete(key);
      }
      throw error;
    }
  }

  async #fetch(wanted: Wanted): Promise<Token> {
    const { registry, credentials, mask, clock } = this.#options;
    const request = tokenRequest(realmUrl(wanted.realm, registry), wanted, credentials);
    const response = await this.#send(request);
    const answer = readAnswer(request, response, credentials);
    const value = answer.token ?? answer.access_token;
    for (const secret of [answer.token, answer.access_token, answer.refresh_token]) {
      if (secret !== undefined) {
        mask(secret);
      }
    }
    if (value === undefined) {
      throw new AuthError(`${redactUrl(request.url)} answered without a token`, response.status);
    }
    const lifetime = answer.expires_in * 1000;
    const fetchedAt = clock.now();
    return { value, fetchedAt, renewAt: fetchedAt + lifetime - Math.min(15_000, lifetime / 4) };
  }
}

const REFUSED = 'token-realm-refused';

/** @throws AuthError for a realm that isn't a URL, or that would show secrets to the network */
function realmUrl(realm: string, registry: URL): URL {
  const url = foreignUrl(realm);
  const it = `the registry at ${registry.origin}`;
  const advice =
    'credentials are not sent there. Correct the realm in the configuration of the registry';
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    throw new AuthError(
      `${it} names a token realm that isn't an http or https URL`,
      undefined,
      REFUSED,
    );
  }
  const sends = `${it} sends clients for tokens to ${url.origin}`;
  if (url.protocol === 'http:' && registry.protocol !== 'http:') {
    throw new AuthError(`${sends}, which is not https: ${advice}`, undefined, REFUSED);
  }
  const place = nearby(url);
  if (place !== undefined && place !== nearby(registry)) {
    throw new AuthError(
      `${sends}, a ${place} address, and is not on one itself: ${advice}, or put the registry's own ${place} address ` +
        'into registry-url',
      undefined,
      REFUSED,
    );
  }
  url.hash = '';
  return url;
}

function tokenRequest(realm: URL, wanted: Wanted, credentials: Credentials): HttpRequest {
  const { service, scope } = wanted;
  const accept = 'application/json';
  // The requests that end a run need a token, too, and a token alone changes nothing.
  const common = { maxBytes: MAX_BYTES, closing: true };
  if (credentials.kind === 'identity-token') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: CLIENT_ID,
      ...(service !== undefined && { service }),
      ...(scope !== '' && { scope }),
      refresh_token: credentials.token,
    });
    const headers = { accept, 'content-type': 'application/x-www-form-urlencoded' };
    // Asking twice for a token does no harm.
    const post = { method: 'POST', repeatable: true } as const;
    return { ...common, ...post, url: realm, headers, body: form.toString() };
  }
  const url = new URL(realm);
  if (service !== undefined) {
    url.searchParams.set('service', service);
  }
  splitScopes(scope).forEach((each) => url.searchParams.append('scope', each));
  const authorization =
    credentials.kind === 'basic'
      ? basicAuthorization(credentials.username, credentials.password)
      : undefined;
  return { ...common, method: 'GET', url, headers: { accept }, authorization };
}

function readAnswer(request: HttpRequest, response: HttpResponse, credentials: Credentials) {
  const { status } = response;
  const server = redactUrl(request.url);
  if (status === 401 || status === 403) {
    const answered = `(status ${String(status)})`;
    throw new AuthError(
      credentials.kind === 'none'
        ? `${server} gives no token without credentials ${answered}. ${whyMissing(credentials.why)}`
        : `${server} refused the credentials: check username and password ${answered}`,
      status,
      'credentials-refused',
    );
  }
  if (status !== 200) {
    throw new AuthError(`${server} gave no token (status ${String(status)})`, status);
  }
  const answer = inForm(Answer, tryJson(response.body.toString('utf8')));
  if (answer === undefined) {
    throw new AuthError(`${server} answered with something other than a token`, status);
  }
  return answer;
}
