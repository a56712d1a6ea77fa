/**
 * The rights that a token grants, as far as it says so: Distribution's tokens are JWTs with a claim `access`
 * (distribution, docs/content/spec/auth/jwt.md), which lists no more than what was granted. Gitea's have the scopes of
 * the access token that they were given for. Pure. Proves nothing, since no signature is checked: good for telling
 * people what to expect, and for no decision.
 */
import * as v from 'valibot';

import { inForm, tryJson } from '../oci/json.js';
import { splitScopes } from './scope.js';

export type Grant =
  | { readonly kind: 'granted' }
  /** `actions`: those of the scope's resource that were granted, in order */
  | { readonly kind: 'lacking'; readonly actions: readonly string[] }
  /** there is no token, or it doesn't say */
  | { readonly kind: 'unknown' };

const Claims = v.object({
  access: v.nullable(
    v.array(
      v.object({ type: v.string(), name: v.string(), actions: v.nullish(v.array(v.string()), []) }),
    ),
  ),
});

/** Gitea 1.26, services/packages/auth.go. `Scope` is `''` for a token that has none, and for nobody. */
const GiteaClaims = v.object({ UserID: v.number(), Scope: v.string() });

/** @param scope of one resource, such as `repository:team/app:pull,delete` */
export function grantOf(token: string, scope: string): Grant {
  const [wanted = ''] = splitScopes(scope);
  const colon = wanted.lastIndexOf(':');
  const resource = wanted.slice(0, colon);
  const payload = payloadOf(token);
  const claims = inForm(Claims, payload);
  if (claims === undefined) {
    return grantOfGitea(payload);
  }
  const actions = (claims.access ?? []).flatMap((one) =>
    `${one.type}:${one.name}` === resource ? one.actions : [],
  );
  const isGranted = (action: string) => actions.includes(action) || actions.includes('*');
  return wanted
    .slice(colon + 1)
    .split(',')
    .every(isGranted)
    ? { kind: 'granted' }
    : { kind: 'lacking', actions };
}

function payloadOf(token: string): unknown {
  const [, payload = '', signature] = token.split('.');
  return signature === undefined
    ? undefined
    : tryJson(Buffer.from(payload, 'base64url').toString());
}

/**
 * A scope that allows writes says nothing of the account's rights in a repository, and `public-only` nothing of pulls.
 */
function grantOfGitea(payload: unknown): Grant {
  const scopes = inForm(GiteaClaims, payload)?.Scope.split(',') ?? [];
  const mayWrite = scopes.includes('all') || scopes.includes('write:package');
  return scopes.includes('read:package') && !mayWrite
    ? { kind: 'lacking', actions: ['pull'] }
    : { kind: 'unknown' };
}
