/** What a test may choose about an in-memory registry. Everything has the default of Distribution 2.8.2. */
import type { Answer } from './answer.js';
import type { Gate } from './auth.js';
import type { Route, RouteRequest } from './routes.js';

export type AuthOptions =
  | { readonly kind: 'none' }
  /** another registry's authentication */
  | { readonly kind: 'own'; readonly gate: Gate }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | TokenAuthOptions;

/** A token server on the registry's own origin, at `/token`. */
export interface TokenAuthOptions {
  readonly kind: 'token';
  readonly username: string;
  readonly password: string;
  /** seconds, told as `expires_in` and held to; default 60 */
  readonly expiresIn?: number;
  /** a token stops working after this many requests: an expiry that needs no clock */
  readonly maxUses?: number;
  /** the field that carries the token; default `token` */
  readonly field?: 'token' | 'access_token';
  /** accepted by POST with `grant_type=refresh_token` */
  readonly identityToken?: string;
  /** what is granted of one requested scope such as `repository:a/b:pull,delete`; default all of it */
  readonly grant?: (scope: string) => string | undefined;
}

/**
 * What another kind of registry answers. It sees each request that authentication let through; `own` carries
 * the request out as Distribution does, and gives Distribution's answer.
 */
export type Dialect = (route: Route, request: RouteRequest, own: () => Answer) => Answer;

export interface MemoryRegistryOptions {
  /** false: 405 UNSUPPORTED on every DELETE of a manifest, as `storage.delete.enabled: false`; default true */
  readonly deleteEnabled?: boolean;
  /** 405 in plain text on every write, as `storage.maintenance.readonly`; default false */
  readonly readOnly?: boolean;
  /** answer the referrers route of the OCI distribution spec 1.1; default false: 404 in plain text */
  readonly referrersApi?: boolean;
  /** repositories in a catalog page when the request names no `n`; default 100 */
  readonly catalogPageSize?: number;
  /** page tags/list, sorted, as 3.x and the spec do; default: the whole list at once, unsorted */
  readonly tagPageSize?: number;
  readonly auth?: AuthOptions;
  /** a registry that differs from Distribution; default Distribution's own answers */
  readonly dialect?: Dialect;
  /** false: no Docker-Content-Digest on manifests (the spec's SHOULD up to 1.1.1); default true */
  readonly digestHeader?: boolean;
  /** https with this key and certificate (PEM) */
  readonly tls?: { readonly key: string; readonly cert: string };
}
