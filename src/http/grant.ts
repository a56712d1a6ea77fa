/**
 * The rights that a token grants, as far as it says so: Distribution's tokens are JWTs with a claim `access`
 * (distribution, docs/content/spec/auth/jwt.md), which lists no more than what was granted. Pure. Proves nothing,
 * since no signature is checked: good for telling people what to expect, and for no decision.
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

/** @param scope of one resource, such as `repository:team/app:pull,delete` */
export function grantOf(token: string, scope: string): Grant {
  const [wanted = ''] = splitScopes(scope);
  const colon = wanted.lastIndexOf(':');
  const resource = wanted.slice(0, colon);
  const claims = claimsOf(token);
  if (claims === undefined) {
    return { kind: 'unknown' };
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

function claimsOf(token: string): v.InferOutput<typeof Claims> | undefined {
  const [, payload = '', signature] = token.split('.');
  return signature === undefined
    ? undefined
    : inForm(Claims, tryJson(Buffer.from(payload, 'base64url').toString()));
}
