/**
 * A token server for a real registry: signs ES256 JWTs that Distribution 2.8 takes, with the signer's
 * certificate in `x5c` (docs/spec/auth/jwt.md of Distribution). It grants what is asked to whoever knows
 * the password, unless it is told to grant less.
 */
import { randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Certificate } from './certificate.js';
import { basicHeader } from './memory/auth.js';

export interface TokenServerOptions {
  readonly certificate: Certificate;
  readonly issuer: string;
  readonly service: string;
  readonly username: string;
  readonly password: string;
  /** seconds */
  readonly expiresIn: number;
  /** what is granted over HTTP of one requested scope such as `repository:a/b:pull,delete`; default all of it */
  readonly grant?: (scope: string) => string | undefined;
}

export interface TokenServer {
  /** `http://127.0.0.1:<port>/token` */
  readonly realm: string;
  /** A token that grants these scopes, without asking over HTTP. */
  issue(scopes: readonly string[]): string;
  stop(): Promise<void>;
}

export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const expected = basicHeader(options.username, options.password);
  const { grant = (scope: string) => scope } = options;
  const issue = (scopes: readonly string[]): string => jwt(options, scopes);
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const known = request.headers.authorization === expected;
    response.writeHead(known ? 200 : 401, { 'Content-Type': 'application/json' });
    const scopes = url.searchParams.getAll('scope').flatMap((scope) => scope.split(' '));
    const granted = scopes.map((scope) => grant(scope)).filter((scope) => scope !== undefined);
    response.end(
      JSON.stringify(
        known
          ? { token: issue(granted), expires_in: options.expiresIn }
          : { details: 'incorrect username or password' },
      ),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    realm: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/token`,
    issue,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function jwt(options: TokenServerOptions, scopes: readonly string[]): string {
  const { certificate, issuer, service, username, expiresIn } = options;
  const now = Math.floor(Date.now() / 1000);
  const header = { typ: 'JWT', alg: 'ES256', x5c: [certificate.raw.toString('base64')] };
  const claims = {
    iss: issuer,
    aud: service,
    sub: username,
    jti: randomUUID(),
    iat: now,
    // The registry's clock may be a second behind.
    nbf: now - 5,
    exp: now + expiresIn,
    access: scopes.flatMap((scope) => {
      const [, type, name, actions] = /^([^:]+):(.+):([^:]+)$/.exec(scope) ?? [];
      return actions === undefined ? [] : [{ type, name, actions: actions.split(',') }];
    }),
  };
  const signed = `${segment(header)}.${segment(claims)}`;
  const signature = sign('sha256', Buffer.from(signed), {
    key: certificate.privateKey,
    dsaEncoding: 'ieee-p1363',
  });
  return `${signed}.${signature.toString('base64url')}`;
}

function segment(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
