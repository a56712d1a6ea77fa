/**
 * The outermost layer: proves to the registry who is asking, in the way that its challenge wants: not at
 * all, Basic, or Bearer. Credentials go to the registry's own origin and its token realm, nowhere else.
 */
import { parseChallenges, type Challenge } from './challenge.js';
import { basicAuthorization, secretsOf } from './credentials.js';
import { grantOf, type Grant } from './grant.js';
import { RequestFailure, type HttpRequest, type Send } from './message.js';
import { mergeScopes } from './scope.js';
import { AuthError, createTokenSource, type TokenOptions } from './token.js';

export type { Grant } from './grant.js';

/** What a request shows of itself. */
type Proof =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'basic'; readonly authorization: string }
  | { readonly kind: 'registry-token'; readonly authorization: string }
  | {
      readonly kind: 'bearer';
      readonly authorization: string;
      readonly token: string;
      /** milliseconds since the epoch */
      readonly renewAt: number;
      readonly scope: string;
      readonly fetched: boolean;
    };

/** Without a proof, with one, and with another if that one expired while the request was waiting. */
const MOST_ROUNDS = 3;

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
  /** By a request's own scope: that scope together with what the registry said was needed. */
  const learned = new Map<string, string>();

  async function bearerProof(realm: NonNullable<typeof bearer>, scope: string, rejected?: string) {
    const { value: token, renewAt, fetched } = await tokens.get({ ...realm, scope }, rejected);
    return {
      kind: 'bearer',
      authorization: `Bearer ${token}`,
      token,
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
    return wantsBasic ? basic : NOTHING;
  }

  /** The answer to a 401, or undefined when there is nothing new to show. */
  async function proofAfter(
    request: HttpRequest,
    shown: Proof,
    challenges: readonly Challenge[],
  ): Promise<Proof | undefined> {
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
      // The token is good but grants too little (RFC 6750 sec. 3.1): another one would not grant more.
      // A fresh one is as good as another, unless it grew old while the request waited for its turn.
      const fresh = shown.fetched && options.clock.now() < shown.renewAt;
      const final = fresh || params.get('error') === 'insufficient_scope';
      return final && shown.scope === scope ? undefined : bearerProof(bearer, scope, shown.token);
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
    let proof: Proof | undefined = await proofUpFront(request);
    for (let round = 1; ; round += 1) {
      const shown: Proof = proof;
      const response = await next(withProof(request, shown));
      // A challenge from where a redirect led is not the registry's: its realm would get our credentials.
      if (response.status !== 401 || response.url.origin !== registry.origin) {
        return response;
      }
      const challenges = parseChallenges(response.headers['www-authenticate']);
      proof = round < MOST_ROUNDS ? await proofAfter(request, shown, challenges) : undefined;
      if (proof === undefined) {
        return response;
      }
    }
  };

  return { send, granted };
}

function withProof(request: HttpRequest, proof: Proof): HttpRequest {
  return proof.kind === 'nothing' ? request : { ...request, authorization: proof.authorization };
}
