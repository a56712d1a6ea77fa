/**
 * The outermost layer: proves to the registry who is asking, in the way that its challenge wants: not at
 * all, Basic, or Bearer. Credentials go to the registry's own origin and its token realm, nowhere else.
 */
import type { IncomingHttpHeaders } from 'node:http';

import { parseChallenges, type Challenge } from './challenge.js';
import { basicAuthorization, secretsOf } from './credentials.js';
import { grantOf, type Grant } from './grant.js';
import { whyLoginFailed } from './login.js';
import { RequestFailure, type HttpRequest, type HttpResponse, type Send } from './message.js';
import { mergeScopes } from './scope.js';
import { AuthError, TokenSource, type GivenToken, type Realm, type TokenOptions } from './token.js';

/** The login that a request shows. */
type Proof =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'basic' | 'registry-token'; readonly authorization: string }
  | {
      readonly kind: 'bearer';
      readonly authorization: string;
      readonly token: GivenToken;
      readonly scope: string;
    };

/** Without a proof, with one, and with another if that one expired while the request was waiting. */
const MOST_ROUNDS = 3;

/**
 * Milliseconds. A token that was made a moment ago is not valid yet on a registry whose clock is behind the token
 * server's by a second or two (`nbf`, RFC 7519 sec. 4.1.5).
 */
const YOUNG = 10_000;
const PAUSE = 3_000;
/** As often as this, a pause may have been in vain before there are no more: then it isn't the clock. */
const MOST_IN_VAIN = 3;

const NOTHING: Proof = { kind: 'nothing' };

export class Auth {
  readonly #next: Send;
  readonly #options: TokenOptions;
  readonly #tokens: TokenSource;
  readonly #basic: Proof;
  /** the token server that the registry has named, and whether it has asked for user and password */
  #bearer: Realm | undefined;
  #wantsBasic = false;
  /**
   * It has answered without asking. User and password are shown from then on: it may show more to those it knows,
   * and would never ask.
   */
  #isOpen = false;
  #inVain = 0;
  #greeting: IncomingHttpHeaders | undefined;
  /** By a request's own scope: that scope together with what the registry said was needed. */
  readonly #learned = new Map<string, string>();

  constructor(next: Send, options: TokenOptions) {
    const { credentials } = options;
    secretsOf(credentials).forEach(options.mask);
    this.#next = next;
    this.#options = options;
    this.#tokens = new TokenSource(next, options);
    this.#basic =
      credentials.kind === 'basic'
        ? {
            kind: 'basic',
            authorization: basicAuthorization(credentials.username, credentials.password),
          }
        : NOTHING;
  }

  /**
   * A 401 that comes back from it is the registry's last word: the proof was fresh, or there is none to give.
   * It rejects with AuthError when a token was needed and could not be had.
   */
  readonly send: Send = async (request) => {
    // An API of the registry's own may take another login than the one that it asks for.
    if (!this.#isOwn(request) || request.authorization !== undefined) {
      return this.#next(request);
    }
    let shown = await this.#proofUpFront(request);
    let paused = false;
    for (let round = 1; ; round += 1) {
      const response = await this.#next(withProof(request, shown));
      // A challenge from where a redirect led is not the registry's: its realm would get our credentials.
      const isOwn = this.#isOwn(response);
      this.#isOpen ||= isOwn && response.status === 200 && shown.kind === 'nothing';
      if (response.status !== 401 || !isOwn) {
        return this.#explained(response, shown);
      }
      this.#greeting ??= response.headers;
      const challenges = parseChallenges(response.headers['www-authenticate']);
      if (paused && shown.kind === 'bearer') {
        this.#inVain += 1;
      }
      const proof =
        round < MOST_ROUNDS
          ? await this.#proofAfter(request, shown, challenges, paused)
          : undefined;
      if (proof === undefined) {
        return this.#explained(response, shown);
      }
      if (proof === 'same-after-pause') {
        paused = true;
        // Nothing new is shown.
        round -= 1;
        await this.#options.clock.sleep(PAUSE);
      } else {
        shown = proof;
      }
    }
  };

  /**
   * The rights that a token of this scope would grant. Unknown unless an earlier answer named a token server, and
   * where the token server can't be asked.
   */
  readonly granted = async (scope: string): Promise<Grant> => {
    if (this.#bearer === undefined) {
      return { kind: 'unknown' };
    }
    try {
      const proof = await this.#bearerProof(this.#bearer, this.#scopeOf(scope));
      return grantOf(proof.token.value, scope);
    } catch (error) {
      if (!(error instanceof RequestFailure)) {
        throw error;
      }
      const isRefused = error instanceof AuthError && [401, 403].includes(error.status ?? 0);
      return isRefused ? { kind: 'lacking', actions: [] } : { kind: 'unknown' };
    }
  };

  /** The headers of the registry's first 401; `undefined` before there was one. */
  readonly greeting = (): IncomingHttpHeaders | undefined => this.#greeting;

  /** The Authorization header of the user's name and password; absent without them. */
  get basic(): string | undefined {
    return this.#basic.kind === 'basic' ? this.#basic.authorization : undefined;
  }

  /** Whether a registry that never asked for a login was shown one; undefined for a registry that asked. */
  readonly unasked = (): 'sent' | 'not-sent' | undefined => {
    const { kind } = this.#options.credentials;
    if (!this.#isOpen || this.#isAsked() || kind === 'none' || kind === 'registry-token') {
      return undefined;
    }
    return kind === 'basic' ? 'sent' : 'not-sent';
  };

  #isOwn({ url }: { readonly url: URL }): boolean {
    return url.origin === this.#options.registry.origin;
  }

  #isAsked(): boolean {
    return this.#bearer !== undefined || this.#wantsBasic;
  }

  #scopeOf(scope: string): string {
    return this.#learned.get(scope) ?? mergeScopes(scope);
  }

  async #bearerProof(realm: Realm, scope: string, rejected?: string) {
    const token = await this.#tokens.get({ ...realm, scope }, rejected);
    return { kind: 'bearer', authorization: `Bearer ${token.value}`, token, scope } as const;
  }

  /** A login that the registry is known to want is shown at once, which saves the round trip of a 401. */
  async #proofUpFront({ scope }: HttpRequest): Promise<Proof> {
    const { credentials } = this.#options;
    if (credentials.kind === 'registry-token') {
      return { kind: 'registry-token', authorization: `Bearer ${credentials.token}` };
    }
    if (this.#bearer !== undefined && scope !== undefined) {
      return this.#bearerProof(this.#bearer, this.#scopeOf(scope));
    }
    const isShown = this.#wantsBasic || (this.#isOpen && this.#bearer === undefined);
    return isShown ? this.#basic : NOTHING;
  }

  /** The answer to a 401, or undefined when there is nothing new to show. */
  async #proofAfter(
    request: HttpRequest,
    shown: Proof,
    challenges: readonly Challenge[],
    paused: boolean,
  ): Promise<Proof | 'same-after-pause' | undefined> {
    if (shown.kind === 'registry-token') {
      return undefined;
    }
    const params = challenges.find(
      ({ scheme, params }) => scheme === 'bearer' && params.has('realm'),
    )?.params;
    if (params !== undefined) {
      return this.#bearerProofAfter(request, shown, params, paused);
    }
    if (this.#basic.kind === 'basic' && challenges.some(({ scheme }) => scheme === 'basic')) {
      this.#wantsBasic = true;
      return shown.kind === 'basic' ? undefined : this.#basic;
    }
    // Google's registry answers a token that is too old with a 401 and no challenge, once it has named its realm.
    return shown.kind === 'bearer' && this.#bearer !== undefined && !this.#isFresh(shown.token)
      ? this.#bearerProof(this.#bearer, shown.scope, shown.token.value)
      : undefined;
  }

  /** A fresh token is as good as another, unless it grew old while the request waited for its turn. */
  #isFresh({ fetched, renewAt }: GivenToken): boolean {
    return fetched && this.#options.clock.now() < renewAt;
  }

  async #bearerProofAfter(
    request: HttpRequest,
    shown: Proof,
    params: Challenge['params'],
    paused: boolean,
  ): Promise<Proof | 'same-after-pause' | undefined> {
    this.#bearer = { realm: params.get('realm') ?? '', service: params.get('service') };
    const scope = mergeScopes(request.scope ?? '', params.get('scope') ?? '');
    if (request.scope !== undefined) {
      this.#learned.set(request.scope, scope);
    }
    if (shown.kind !== 'bearer') {
      return this.#bearerProof(this.#bearer, scope);
    }
    const { value, fetchedAt } = shown.token;
    const isInsufficient = params.get('error') === 'insufficient_scope';
    const isYoung = this.#options.clock.now() - fetchedAt < YOUNG;
    const isSame = shown.scope === scope;
    if (isSame && isYoung && !isInsufficient && !paused && this.#inVain < MOST_IN_VAIN) {
      return 'same-after-pause';
    }
    // The token is good but grants too little (RFC 6750 sec. 3.1): another one would not grant more.
    return (this.#isFresh(shown.token) || isInsufficient) && isSame
      ? undefined
      : this.#bearerProof(this.#bearer, scope, value);
  }

  #explained(response: HttpResponse, { kind }: Proof): HttpResponse {
    const { status, url, headers } = response;
    if (status !== 401 && status !== 403) {
      return response;
    }
    const login = whyLoginFailed({
      credentials: this.#options.credentials,
      proof: kind,
      isAsked: this.#isAsked(),
      status,
      challenges: parseChallenges(headers['www-authenticate']),
      elsewhere: this.#isOwn(response) ? undefined : url.origin,
    });
    return login === undefined ? response : { ...response, login };
  }
}

function withProof(request: HttpRequest, proof: Proof): HttpRequest {
  return proof.kind === 'nothing' ? request : { ...request, authorization: proof.authorization };
}
