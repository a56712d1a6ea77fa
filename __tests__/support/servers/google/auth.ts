/**
 * The authentication of Google Artifact Registry: a token server at `/v2/token`, whose tokens say who asks
 * and not what for. The answers are those that others measured on us-central1-docker.pkg.dev:
 * - only a request without credentials is told where the token server is; `/v2/` names no service there;
 * - credentials that are wrong or too old get a 401 without a challenge;
 * - a token is given to nobody in particular, too, if it asks for no repository; it reads `/v2/` and no more;
 * - a right that is missing is 403 DENIED, on the token server for `pull` and `push`, and on the registry for all;
 * - the challenge of a DELETE asks for `pull,push`.
 */
import { randomBytes } from 'node:crypto';

import { empty, json, type Answer } from '../memory/answer.js';
import type { AuthRequest, Gate } from '../memory/auth.js';
import { denied, refusal, type Action } from './refusal.js';

export interface GoogleAuth {
  /** the text of a service account's key file; taken from `_json_key`, and in base64 from `_json_key_base64` */
  readonly keyJson?: string;
  /** an OAuth access token; taken from `oauth2accesstoken` and `_token`, and as a bearer token itself */
  readonly accessToken?: string;
  /** what this account may do in a repository; default everything */
  readonly may?: (action: Action, repository: string) => boolean;
  /** seconds, told as `expires_in` and held to; default twelve hours */
  readonly expiresIn?: number;
  /** a token stops working after this many requests: an expiry that needs no clock */
  readonly maxUses?: number;
}

/** Who asks: the account of these options, or nobody in particular. */
type Principal = 'account' | 'anonymous';

interface IssuedToken {
  readonly principal: Principal;
  readonly expires: number;
  uses: number;
}

const TOKEN_PATH = '/v2/token';

export function googleGate(options: GoogleAuth): Gate {
  const issued = new Map<string, IssuedToken>();
  const { may = () => true, expiresIn = 12 * 60 * 60, maxUses = Infinity } = options;

  /** @returns undefined for credentials that are wrong or too old */
  function principalOf(authorization: string): Principal | undefined {
    const [scheme = '', value = ''] = authorization.split(' ');
    switch (scheme.toLowerCase()) {
      case 'basic':
        return isAccount(options, value) ? 'account' : undefined;
      case 'bearer':
        return value === options.accessToken ? 'account' : useToken(issued.get(value));
      default:
        return undefined;
    }
  }

  function useToken(token: IssuedToken | undefined): Principal | undefined {
    if (token === undefined || token.expires <= Date.now() || token.uses >= maxUses) {
      return undefined;
    }
    token.uses += 1;
    return token.principal;
  }

  /** @returns the refusal of an action, or undefined when it is allowed */
  function judge(principal: Principal, action: Action, repository: string): Answer | undefined {
    const isAnonymous = principal === 'anonymous';
    return isAnonymous || !may(action, repository)
      ? denied(action, repository, isAnonymous)
      : undefined;
  }

  function tokenServer({ method, url, authorization }: AuthRequest): Answer {
    if (method !== 'GET') {
      return empty(405, { Allow: 'GET' });
    }
    const principal = authorization === undefined ? 'anonymous' : principalOf(authorization);
    if (principal === undefined) {
      return refusal(401, 'UNAUTHORIZED', 'authentication failed');
    }
    for (const { repository, actions } of url.searchParams.getAll('scope').flatMap(repositories)) {
      const refused = judge(principal, actions.includes('push') ? 'push' : 'pull', repository);
      if (refused !== undefined) {
        return refused;
      }
    }
    const token = randomBytes(24).toString('base64url');
    issued.set(token, { principal, expires: Date.now() + expiresIn * 1000, uses: 0 });
    return json(200, { token, expires_in: expiresIn });
  }

  return {
    check: (request) => {
      if (request.url.pathname === TOKEN_PATH) {
        return tokenServer(request);
      }
      if (request.authorization === undefined) {
        return challenge(request);
      }
      const principal = principalOf(request.authorization);
      if (principal === undefined) {
        return refusal(401, 'UNAUTHORIZED', 'No valid credential was supplied.');
      }
      const [scope] = repositories(request.scope ?? '');
      if (scope !== undefined) {
        return judge(principal, actionOf(request.method), scope.repository);
      }
      return principal === 'anonymous' && request.scope !== undefined
        ? refusal(403, 'DENIED', 'The caller does not have permission')
        : undefined;
    },
  };
}

function isAccount({ keyJson, accessToken }: GoogleAuth, encoded: string): boolean {
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  const [username, password] = [text.slice(0, colon), text.slice(colon + 1)];
  switch (username) {
    case '_json_key':
      return password === keyJson;
    case '_json_key_base64':
      return Buffer.from(password, 'base64').toString('utf8') === keyJson;
    case 'oauth2accesstoken':
    case '_token':
      return password === accessToken;
    default:
      return false;
  }
}

function challenge({ method, origin, url, scope }: AuthRequest): Answer {
  const [wanted] = repositories(scope ?? '');
  const fields = [`realm="${origin}${TOKEN_PATH}"`];
  if (wanted !== undefined) {
    const actions = actionOf(method) === 'pull' ? 'pull' : 'pull,push';
    fields.push(`service="${url.host}"`, `scope="repository:${wanted.repository}:${actions}"`);
  }
  const message = 'not authenticated: No valid credential was supplied.';
  return refusal(401, 'UNAUTHORIZED', message, {
    'Www-Authenticate': `Bearer ${fields.join(',')}`,
  });
}

/** The repositories that a list of scopes names; a repository's own name holds no colon. */
function repositories(scopes: string): { repository: string; actions: readonly string[] }[] {
  return scopes.split(' ').flatMap((scope) => {
    const [type, repository = '', actions = ''] = scope.split(':');
    return type === 'repository' ? [{ repository, actions: actions.split(',') }] : [];
  });
}

function actionOf(method: string): Action {
  if (method === 'DELETE') {
    return 'delete';
  }
  return method === 'GET' || method === 'HEAD' ? 'pull' : 'push';
}
