/**
 * The registry's authentication. Its token server takes Basic only, and answers with a token that isn't a JWT and tells
 * nothing of its lifetime. `/v2/` and `_catalog` are challenged with a scope that names nothing, and every well-formed
 * bearer may see `/v2/`. A challenge never asks for more than `pull`: what is granted, the token's rights say.
 */
import { randomBytes } from 'node:crypto';

import { json, type Answer } from '../memory/answer.js';
import type { AuthRequest, Gate } from '../memory/auth.js';
import { registryError } from './errors.js';
import type { Assumptions, Right, Token } from './options.js';
import { hasScope, type Rights } from './rights.js';

interface Issued {
  readonly token: Token | undefined;
  readonly repositories: readonly string[];
  readonly expires: number;
}

const REPOSITORY =
  /^\/v2\/(.+)\/(?:tags\/list|(?:manifests|referrers)\/[^/]+|blobs\/(?:uploads\/[^/]*|[^/]+))$/;

const PLACEHOLDER = 'user/image';

export function ghcrGate(rights: Rights, assume: Assumptions, now: () => number): Gate {
  const issued = new Map<string, Issued>();

  function tokenServer({ method, url, authorization = '' }: AuthRequest): Answer {
    if (method !== 'GET') {
      return registryError(405, 'UNSUPPORTED', 'The operation is unsupported.');
    }
    const [scheme = '', value = ''] = authorization.split(' ');
    if (authorization !== '' && scheme.toLowerCase() !== 'basic') {
      return unauthorized();
    }
    const text = Buffer.from(value, 'base64').toString('utf8');
    const token = rights.tokenOf(text.slice(text.indexOf(':') + 1));
    if (authorization !== '' && token === undefined) {
      return registryError(403, 'DENIED', 'denied');
    }
    const scopes = url.searchParams.getAll('scope').flatMap((scopes) => scopes.split(' '));
    const wanted = scopes.flatMap(wantedBy);
    for (const { repository, right } of wanted) {
      if (!isAllowed(token, right, repository)) {
        return token === undefined
          ? unauthorized()
          : registryError(403, 'DENIED', 'requested access to the resource is denied');
      }
    }
    const bearer = randomBytes(24).toString('base64');
    const repositories = wanted.map(({ repository }) => repository.toLowerCase());
    issued.set(bearer, { token, repositories, expires: now() + assume.registryTokenLifetime });
    return json(200, { token: bearer });
  }

  function isAllowed(token: Token | undefined, right: Right, repository: string): boolean {
    const scope = right === 'read' ? 'read:packages' : 'write:packages';
    return (token === undefined || hasScope(token, scope)) && rights.may(token, right, repository);
  }

  /** Whose bearer it is. A personal access token in base64 is one for every repository. */
  function holderOf(bearer: string): Issued | undefined {
    const known = issued.get(bearer);
    if (known !== undefined) {
      return known.expires > now() ? known : undefined;
    }
    const token = rights.tokenOf(Buffer.from(bearer, 'base64').toString('utf8'));
    return token === undefined ? undefined : { token, repositories: [], expires: Infinity };
  }

  return {
    check: (request) => {
      const { method, url, authorization } = request;
      if (url.pathname === '/token') {
        return tokenServer(request);
      }
      const [scheme = '', bearer = ''] = (authorization ?? '').split(' ');
      if (authorization === undefined) {
        return challenge(request);
      }
      if (scheme.toLowerCase() !== 'bearer' || !/^[\w.~+/-]+=*$/.test(bearer)) {
        return registryError(403, 'DENIED', 'requested access to the resource is denied');
      }
      if (url.pathname === '/v2/') {
        return undefined;
      }
      const holder = holderOf(bearer);
      if (holder === undefined) {
        return assume.staleRegistryToken === 'challenged'
          ? challenge(request)
          : registryError(403, 'DENIED', 'invalid token');
      }
      const repository = repositoryIn(url.pathname);
      if (repository === undefined) {
        return undefined;
      }
      const isBound = assume.registryTokensAreBound && holder.expires !== Infinity;
      if (isBound && !holder.repositories.includes(repository.toLowerCase())) {
        return challenge(request);
      }
      // No right of deletes exists here: every DELETE of a manifest gets the same refusal, from behind the gate.
      const isRead = method === 'GET' || method === 'HEAD' || method === 'DELETE';
      return isAllowed(holder.token, isRead ? 'read' : 'write', repository)
        ? undefined
        : registryError(403, 'DENIED', 'permission_denied: write_package');
    },
  };
}

/** The repository that a path of the registry is about. */
export function repositoryIn(pathname: string): string | undefined {
  return REPOSITORY.exec(pathname)?.[1];
}

function challenge({ origin, url }: AuthRequest): Answer {
  const scope = `repository:${repositoryIn(url.pathname) ?? PLACEHOLDER}:pull`;
  return unauthorized({
    'Www-Authenticate': `Bearer realm="${origin}/token",service="ghcr.io",scope="${scope}"`,
  });
}

function unauthorized(headers: Record<string, string> = {}): Answer {
  return registryError(401, 'UNAUTHORIZED', 'authentication required', headers);
}

function wantedBy(scope: string): { repository: string; right: Right }[] {
  const [type, repository = '', actions = ''] = scope.split(':');
  const right = /push|delete|\*/.test(actions) ? 'write' : 'read';
  return type === 'repository' ? [{ repository, right }] : [];
}
