/**
 * Authentication in front of the in-memory registry: Basic, or Bearer with a token server of its own.
 * Challenges read as Distribution's; tokens are opaque, live shortly, and are good for their scopes only.
 */
import { randomBytes } from 'node:crypto';

import { failure, json, type Answer } from './answer.js';
import type { AuthOptions, TokenAuthOptions } from './options.js';

export interface AuthRequest {
  readonly method: string;
  readonly origin: string;
  readonly url: URL;
  readonly authorization: string | undefined;
  readonly body: Buffer;
  /** what the request needs, such as `repository:a/b:pull`; absent for `/v2/` */
  readonly scope: string | undefined;
}

export interface Gate {
  /** An answer of its own (token server, challenge), or undefined to let the request through. */
  check(request: AuthRequest): Answer | undefined;
}

export function gateFor(options: AuthOptions): Gate {
  switch (options.kind) {
    case 'none':
      return { check: () => undefined };
    case 'own':
      return options.gate;
    case 'basic':
      return basicGate(basicHeader(options.username, options.password));
    case 'token':
      return tokenGate(options);
  }
}

export function basicHeader(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function basicGate(expected: string): Gate {
  return {
    check: ({ authorization, scope }) =>
      authorization === expected
        ? undefined
        : withChallenge(
            failure({ code: 'UNAUTHORIZED', detail: scopeDetail(scope) }),
            'Basic realm="basic-realm"',
          ),
  };
}

interface IssuedToken {
  readonly scopes: readonly string[];
  readonly expires: number;
  uses: number;
}

function tokenGate(options: TokenAuthOptions): Gate {
  const issued = new Map<string, IssuedToken>();
  const lifetime = options.expiresIn ?? 60;

  function issue(scopes: readonly string[]): Answer {
    const token = randomBytes(24).toString('base64url');
    const granted = scopes.flatMap((scope) => (options.grant ?? ((all) => all))(scope) ?? []);
    issued.set(token, { scopes: granted, expires: Date.now() + lifetime * 1000, uses: 0 });
    return json(200, {
      [options.field ?? 'token']: token,
      expires_in: lifetime,
      issued_at: new Date().toISOString(),
    });
  }

  function tokenServer({ method, url, authorization, body }: AuthRequest): Answer {
    if (method === 'POST') {
      const form = new URLSearchParams(body.toString('utf8'));
      const known =
        options.identityToken !== undefined && form.get('grant_type') === 'refresh_token';
      return known && form.get('refresh_token') === options.identityToken
        ? issue((form.get('scope') ?? '').split(' ').filter((scope) => scope !== ''))
        : failure({ code: 'UNAUTHORIZED' });
    }
    return authorization === basicHeader(options.username, options.password)
      ? issue(url.searchParams.getAll('scope').flatMap((scope) => scope.split(' ')))
      : failure({ code: 'UNAUTHORIZED' });
  }

  function refusal(
    request: AuthRequest,
  ): 'missing' | 'invalid_token' | 'insufficient_scope' | undefined {
    const [scheme, value] = (request.authorization ?? '').split(' ');
    if (scheme?.toLowerCase() !== 'bearer' || value === undefined) {
      return 'missing';
    }
    const token = issued.get(value);
    if (
      token === undefined ||
      token.expires <= Date.now() ||
      token.uses >= (options.maxUses ?? Infinity)
    ) {
      return 'invalid_token';
    }
    token.uses += 1;
    return request.scope === undefined || covers(token.scopes, request.scope)
      ? undefined
      : 'insufficient_scope';
  }

  return {
    check: (request) => {
      if (request.url.pathname === '/token') {
        return tokenServer(request);
      }
      const why = refusal(request);
      if (why === undefined) {
        return undefined;
      }
      const fields = [
        `realm="${request.origin}/token"`,
        'service="test-registry"',
        ...(request.scope === undefined ? [] : [`scope="${request.scope}"`]),
        ...(why === 'missing' ? [] : [`error="${why}"`]),
      ];
      return withChallenge(
        failure({ code: 'UNAUTHORIZED', detail: scopeDetail(request.scope) }),
        `Bearer ${fields.join(',')}`,
      );
    },
  };
}

function withChallenge(answer: Answer, challenge: string): Answer {
  return { ...answer, headers: { ...answer.headers, 'Www-Authenticate': challenge } };
}

interface Scope {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** `type:name:actions`; the name may hold colons (a port), so the ends are cut off first. */
function parseScope(scope: string): Scope {
  const [, type = '', name = '', actions = ''] = /^([^:]*):(.*):([^:]*)$/.exec(scope) ?? [];
  return { type, name, actions: actions.split(',') };
}

/** `*` on the token's side grants every action. */
function covers(granted: readonly string[], needed: string): boolean {
  const { type, name, actions } = parseScope(needed);
  const held = granted
    .map(parseScope)
    .filter((scope) => scope.type === type && scope.name === name)
    .flatMap((scope) => scope.actions);
  return actions.every((action) => held.includes(action) || held.includes('*'));
}

function scopeDetail(scope: string | undefined): unknown {
  if (scope === undefined) {
    return null;
  }
  const { type, name, actions } = parseScope(scope);
  return actions.map((action) => ({ Type: type, Class: '', Name: name, Action: action }));
}
