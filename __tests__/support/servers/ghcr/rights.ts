/** Who asks, and what this token may do. Both faces ask here. */
import { digestOf } from '../../../../src/oci/digest.js';
import type { Caller } from './limits.js';
import { PACKAGE_SCOPES, type Right, type Token } from './options.js';

const ORDER: readonly Right[] = ['none', 'read', 'write', 'admin'];

/** Requests an hour (docs.github.com, "Rate limits for the REST API"): of a job in one repository, a user, nobody. */
const HOURLY = { job: 1000, classic: 5000 } as const;

export const NOBODY: Caller = { id: '127.0.0.1', hourly: 60 };

/** A user's tokens share one limit; a job's is its own. */
export function callerOf(token: Token | undefined): Caller {
  if (token === undefined) {
    return NOBODY;
  }
  const { kind, login, value } = token;
  return { id: `${kind} ${login ?? digestOf(Buffer.from(value)).slice(-8)}`, hourly: HOURLY[kind] };
}

export function scopesOf({ kind, scopes }: Token): readonly string[] {
  return kind === 'classic' ? (scopes ?? PACKAGE_SCOPES) : [];
}

/** `write:packages` includes reading. */
export function hasScope(token: Token, scope: (typeof PACKAGE_SCOPES)[number]): boolean {
  const scopes = scopesOf(token);
  return (
    token.kind === 'job' ||
    scopes.includes(scope) ||
    (scope === 'read:packages' && scopes.includes('write:packages'))
  );
}

export interface Rights {
  tokenOf(value: string): Token | undefined;
  /** Whether that much is allowed: by the token, or since the package is public. */
  may(token: Token | undefined, right: Right, repository: string): boolean;
}

export function createRights(
  tokens: readonly Token[],
  visibility: (repository: string) => 'public' | 'private',
): Rights {
  const known = new Map(tokens.map((token) => [token.value, token]));
  return {
    tokenOf: (value) => known.get(value),
    may: (token, right, repository) => {
      const name = repository.toLowerCase();
      const held = token === undefined ? 'none' : (token.right?.(name) ?? 'admin');
      const open = visibility(name) === 'public' ? 'read' : 'none';
      return Math.max(ORDER.indexOf(held), ORDER.indexOf(open)) >= ORDER.indexOf(right);
    },
  };
}
