/**
 * The outermost layer: proves to the registry who is asking, in the way that its challenge wants: not at
 * all, Basic, or Bearer. Credentials go to the registry's own origin and its token realm, nowhere else.
 */
import { parseChallenges, type Challenge } from './challenge.js';
import { basicAuthorization, secretsOf } from './credentials.js';
import { grantOf, type Grant } from './grant.js';
import { whyLoginFailed } from './login.js';
import { RequestFailure, type HttpRequest, type HttpResponse, type Send } from './message.js';
import { mergeScopes } from './scope.js';
import { AuthError, createTokenSource, type TokenOptions } from './token.js';

/** What a request shows of itself. */
type Proof =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'basic'; readonly authorization: string }
  | { readonly kind: 'registry-token'; readonly authorization: string }
  | {
      readonly kind: 'bearer';
      readonly authorization: string;
      readonly token: string;
      /** both in milliseconds since the epoch */
      readonly fetchedAt: number;
      readonly renewAt: number;
      readonly scope: string;
      readonly fetched: boolean;
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

export interface Auth {
  /**
   * A 401 that comes back from it is the registry's last word: the proof was fresh, or there is none to give.
   * It rejects with AuthError when a token was needed and could not be had.
   */
  readonly send: Send;
  /**
   * What a token of this scope would allow. Unknown unless an earlier answer named a token server. Rejects for
   * nothing that goes wrong out there: who can't be asked says nothing.
   */
  readonly granted: (scope: string) => Promise<Grant>;
  /** What a registry that never asked for a login was shown all the same, or why nothing; undefined where one did. */
  readonly unasked: () => 'sent' | 'not-sent' | undefined;
}

export function createAuth(next: Send, options: TokenOptions): Auth {
  const { registry, credentials } = options;
  for (const secret of secretsOf(credentials)) {
    options.mask(secret);
  }
  const tokens = createTokenSource(next, options);
  const basic: Proof =
    credentials.kind === 'basic'
      ? {
          kind: 'basic',
          authorization: basicAuthorization(credentials.username, credentials.password),
        }
      : NOTHING;
  /** What the registry has asked for so far. */
  let bearer: { readonly realm: string; readonly service: string | undefined } | undefined;
  let wantsBasic = false;
  /**
   * It has answered without asking. User and password are shown from then on: it may show more to those it knows,
   * and would never ask.
   */
  let isOpen = false;
  const isAsked = () => bearer !== undefined || wantsBasic;
  let inVain = 0;
  /** By a request's own scope: that scope together with what the registry said was needed. */
  const learned = new Map<string, string>();

  async function bearerProof(realm: NonNullable<typeof bearer>, scope: string, rejected?: string) {
    const {
      value: token,
      fetchedAt,
      renewAt,
      fetched,
    } = await tokens.get({ ...realm, scope }, rejected);
    return {
      kind: 'bearer',
      authorization: `Bearer ${token}`,
      token,
      fetchedAt,
      renewAt,
      scope,
      fetched,
    } as const;
  }

  /** What is known to be wanted is shown at once, which saves the round trip of a 401. */
  async function proofUpFront({ scope }: HttpRequest): Promise<Proof> {
    if (credentials.kind === 'registry-token') {
      return { kind: 'registry-token', authorization: `Bearer ${credentials.token}` };
    }
    if (bearer !== undefined && scope !== undefined) {
      return bearerProof(bearer, learned.get(scope) ?? mergeScopes(scope));
    }
    return wantsBasic || (isOpen && bearer === undefined) ? basic : NOTHING;
  }

  /** The answer to a 401, or undefined when there is nothing new to show. */
  async function proofAfter(
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
    const realm = params?.get('realm');
    if (params !== undefined && realm !== undefined) {
      bearer = { realm, service: params.get('service') };
      const scope = mergeScopes(request.scope ?? '', params.get('scope') ?? '');
      if (request.scope !== undefined) {
        learned.set(request.scope, scope);
      }
      if (shown.kind !== 'bearer') {
        return bearerProof(bearer, scope);
      }
      const isInsufficient = params.get('error') === 'insufficient_scope';
      const isYoung = options.clock.now() - shown.fetchedAt < YOUNG;
      const isSame = shown.scope === scope;
      if (isSame && isYoung && !isInsufficient && !paused && inVain < MOST_IN_VAIN) {
        return 'same-after-pause';
      }
      // The token is good but grants too little (RFC 6750 sec. 3.1): another one would not grant more.
      // A fresh one is as good as another, unless it grew old while the request waited for its turn.
      const fresh = shown.fetched && options.clock.now() < shown.renewAt;
      return (fresh || isInsufficient) && isSame
        ? undefined
        : bearerProof(bearer, scope, shown.token);
    }
    if (basic.kind === 'basic' && challenges.some(({ scheme }) => scheme === 'basic')) {
      wantsBasic = true;
      return shown.kind === 'basic' ? undefined : basic;
    }
    return undefined;
  }

  async function granted(scope: string): Promise<Grant> {
    if (bearer === undefined) {
      return { kind: 'unknown' };
    }
    try {
      const proof = await bearerProof(bearer, learned.get(scope) ?? mergeScopes(scope));
      return grantOf(proof.token, scope);
    } catch (error) {
      if (!(error instanceof RequestFailure)) {
        throw error;
      }
      const isRefused = error instanceof AuthError && [401, 403].includes(error.status ?? 0);
      return isRefused ? { kind: 'lacking', actions: [] } : { kind: 'unknown' };
    }
  }

  const send: Send = async (request) => {
    if (request.url.origin !== registry.origin) {
      return next(request);
    }
    let shown = await proofUpFront(request);
    let paused = false;
    for (let round = 1; ; round += 1) {
      const response = await next(withProof(request, shown));
      // A challenge from where a redirect led is not the registry's: its realm would get our credentials.
      const isOwn = response.url.origin === registry.origin;
      isOpen ||= isOwn && response.status === 200 && shown.kind === 'nothing';
      if (response.status !== 401 || !isOwn) {
        return explained(response, shown);
      }
      const challenges = parseChallenges(response.headers['www-authenticate']);
      if (paused && shown.kind === 'bearer') {
        inVain += 1;
      }
      const proof =
        round < MOST_ROUNDS ? await proofAfter(request, shown, challenges, paused) : undefined;
      if (proof === undefined) {
        return explained(response, shown);
      }
      if (proof === 'same-after-pause') {
        paused = true;
        // Nothing new is shown.
        round -= 1;
        await options.clock.sleep(PAUSE);
      } else {
        shown = proof;
      }
    }
  };

  function explained(response: HttpResponse, { kind }: Proof): HttpResponse {
    const { status, url, headers } = response;
    if (status !== 401 && status !== 403) {
      return response;
    }
    const why = whyLoginFailed({
      credentials,
      proof: kind,
      isAsked: isAsked(),
      status,
      challenges: parseChallenges(headers['www-authenticate']),
      ...(url.origin === registry.origin ? {} : { elsewhere: url.origin }),
    });
    return why === undefined ? response : { ...response, login: why };
  }

  function unasked(): 'sent' | 'not-sent' | undefined {
    const hasAnswered = isOpen && !isAsked();
    if (!hasAnswered || credentials.kind === 'none' || credentials.kind === 'registry-token') {
      return undefined;
    }
    return credentials.kind === 'basic' ? 'sent' : 'not-sent';
  }

  return { send, granted, unasked };
}

function withProof(request: HttpRequest, proof: Proof): HttpRequest {
  return proof.kind === 'nothing' ? request : { ...request, authorization: proof.authorization };
}
