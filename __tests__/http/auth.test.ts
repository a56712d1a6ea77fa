import { describe, expect, it } from '@jest/globals';

import { Auth } from '../../src/http/auth.js';
import type { Credentials } from '../../src/http/credentials.js';
import { TransportError, type HttpRequest, type TransportFailure } from '../../src/http/message.js';
import { createRedirect } from '../../src/http/redirect.js';
import { NotSent } from '../../src/http/stop.js';
import { respond, type Answer } from '../support/builders/answers.js';
import { fakeClock, settled } from '../support/scenes/fake-clock.js';
import { request } from '../support/servers/servers.js';

const NONE: Credentials = { kind: 'none' };
const JOE: Credentials = { kind: 'basic', username: 'joe', password: 's3cret' };
const JOES = `Basic ${btoa('joe:s3cret')}`;
const REALM = 'https://auth.test/token';
const BEARER = `Bearer realm="${REALM}",service="reg"`;
const PULL = 'repository:a:pull';

type Play = (sent: HttpRequest, index: number) => Answer | Promise<Answer>;

/** A registry at https://r.test and whatever else `play` answers for, behind the auth layer. */
function authenticated(credentials: Credentials, play: Play, registry = 'https://r.test/') {
  const sent: HttpRequest[] = [];
  const masked: string[] = [];
  const clock = fakeClock({ auto: true });
  const next = createRedirect(async (asked) => {
    sent.push(asked);
    return respond(asked, await play(asked, sent.length - 1));
  });
  const { send, granted, unasked } = new Auth(next, {
    registry: new URL(registry),
    credentials,
    clock,
    mask: (secret) => masked.push(secret),
  });
  return {
    sent,
    masked,
    clock,
    granted,
    unasked,
    get: async (path = '/v2/', fields: Partial<HttpRequest> = {}) =>
      send(request(new URL(path, registry), fields)),
    /** every exchange so far, as `METHOD url authorization` */
    lines: () =>
      sent.map(({ method, url, authorization }) => `${method} ${url.href} ${authorization ?? '-'}`),
    tokenRequests: () => sent.filter(({ url }) => url.host === 'auth.test'),
  };
}

const challenge = (value: string): Answer => ({
  status: 401,
  headers: { 'www-authenticate': value },
});
const token = (fields: object): Answer => ({ body: JSON.stringify(fields) });

/** A token server that numbers its tokens, and a registry that takes those that `accepts` says. */
function tokenServer(accepts: (authorization: string) => boolean, fields: object = {}): Play {
  let issued = 0;
  return ({ url, authorization = '' }) => {
    if (url.host === 'auth.test') {
      issued += 1;
      return token({ token: `tok-${String(issued)}`, ...fields });
    }
    return accepts(authorization) ? { status: 200 } : challenge(`${BEARER},scope="${PULL}"`);
  };
}

const anyToken = (authorization: string) => authorization.startsWith('Bearer ');

describe('no authentication', () => {
  it('shows user and password from the second request on, and costs no request', async () => {
    const { get, lines, unasked } = authenticated(JOE, () => ({ status: 200 }));
    expect(unasked()).toBeUndefined();
    await get('/v2/');
    await get('/v2/', { scope: PULL });
    expect(lines()).toEqual(['GET https://r.test/v2/ -', `GET https://r.test/v2/ ${JOES}`]);
    expect(unasked()).toBe('sent');
  });

  it.each<[string, Credentials, string | undefined]>([
    ['no credentials', NONE, undefined],
    ['an identity token', { kind: 'identity-token', token: 'id' }, 'not-sent'],
  ])(
    'a registry without a challenge is shown nothing with %s',
    async (_name, credentials, expected) => {
      const { get, lines, unasked } = authenticated(credentials, () => ({ status: 200 }));
      await get('/v2/');
      await get('/v2/', { scope: PULL });
      expect(lines()).toEqual(['GET https://r.test/v2/ -', 'GET https://r.test/v2/ -']);
      expect(unasked()).toBe(expected);
    },
  );

  it('shows nothing unasked to where a redirect leads, nor to another origin', async () => {
    const { get, lines } = authenticated(JOE, ({ url }) =>
      url.pathname === '/blob'
        ? { status: 307, headers: { location: 'https://cdn.test/x' } }
        : { status: 200 },
    );
    await get('/v2/');
    await get('/blob');
    await get('http://r.test/v2/');
    expect(lines().slice(1)).toEqual([
      `GET https://r.test/blob ${JOES}`,
      'GET https://cdn.test/x -',
      'GET http://r.test/v2/ -',
    ]);
  });

  it('shows nothing unasked because of an answer from elsewhere', async () => {
    const { get, lines } = authenticated(JOE, ({ url }) =>
      url.host === 'r.test'
        ? { status: 307, headers: { location: 'https://other.test/' } }
        : { status: 200 },
    );
    await get('/v2/');
    await get('/v2/');
    expect(lines().filter((line) => line.includes('Basic'))).toEqual([]);
  });

  it('a registry whose /v2/ is open may still ask for a token, or for user and password, elsewhere', async () => {
    const open: Play = ({ url, authorization = '' }) =>
      url.host === 'auth.test'
        ? token({ token: 'tok' })
        : url.pathname === '/v2/' || anyToken(authorization)
          ? { status: 200 }
          : challenge(BEARER);
    const { get, lines, unasked } = authenticated(JOE, open);
    await get('/v2/');
    expect((await get('/v2/a/tags/list', { scope: PULL })).status).toBe(200);
    expect((await get('/v2/a/tags/list', { scope: PULL })).status).toBe(200);
    expect(lines().slice(3)).toEqual([
      'GET https://r.test/v2/a/tags/list Bearer tok',
      'GET https://r.test/v2/a/tags/list Bearer tok',
    ]);
    expect(unasked()).toBeUndefined();
  });

  it.each([
    ['no challenge', undefined],
    ['an unknown scheme', 'Negotiate abc'],
    ['a Bearer challenge without realm', 'Bearer service="x"'],
    ['junk', '"'],
  ])('a 401 with %s is returned as it is', async (_name, value) => {
    const { get, sent } = authenticated(JOE, () =>
      value === undefined ? { status: 401 } : challenge(value),
    );
    expect((await get()).status).toBe(401);
    expect(sent).toHaveLength(1);
  });
});

describe('Basic', () => {
  const basic: Play = ({ authorization }) =>
    authorization === JOES ? { status: 200 } : challenge('basic realm="x"');

  it('answers the challenge, and is shown at once from then on', async () => {
    const { get, lines } = authenticated(JOE, basic);
    expect((await get()).status).toBe(200);
    await get('/v2/_catalog', { scope: 'registry:catalog:*' });
    expect(lines()).toEqual([
      'GET https://r.test/v2/ -',
      `GET https://r.test/v2/ ${JOES}`,
      `GET https://r.test/v2/_catalog ${JOES}`,
    ]);
  });

  it.each<[string, Credentials]>([
    ['no credentials', NONE],
    ['an identity token', { kind: 'identity-token', token: 'id' }],
  ])('the layer returns the 401 as it is with %s', async (_name, credentials) => {
    const { get, sent } = authenticated(credentials, basic);
    expect((await get()).status).toBe(401);
    expect(sent).toHaveLength(1);
  });

  it('wrong credentials are shown once per request, not for ever', async () => {
    const { get, sent } = authenticated(JOE, () => challenge('Basic realm="x"'));
    expect((await get()).status).toBe(401);
    expect(sent).toHaveLength(2);
    expect((await get()).status).toBe(401);
    expect(sent).toHaveLength(3);
  });

  it('user and password are masked, also in the form in which they travel', () => {
    const { masked } = authenticated(JOE, basic);
    expect(masked).toEqual(['s3cret', btoa('joe:s3cret')]);
  });
});

describe('Bearer', () => {
  it('fetches a token with the credentials, and shows it to the registry', async () => {
    const { get, lines, masked } = authenticated(JOE, tokenServer(anyToken));
    expect((await get()).status).toBe(200);
    expect(lines()).toEqual([
      'GET https://r.test/v2/ -',
      `GET ${REALM}?service=reg&scope=repository%3Aa%3Apull ${JOES}`,
      'GET https://r.test/v2/ Bearer tok-1',
    ]);
    expect(masked).toContain('tok-1');
  });

  it('fetches an anonymous token without credentials', async () => {
    const { get, lines } = authenticated(NONE, tokenServer(anyToken));
    expect((await get()).status).toBe(200);
    expect(lines()[1]).toMatch(/scope=repository%3Aa%3Apull -$/);
  });

  it('a Bearer challenge is preferred to Basic, wherever it stands', async () => {
    const { get, lines } = authenticated(JOE, ({ url, authorization }) =>
      url.host === 'auth.test'
        ? token({ token: 't' })
        : authorization === 'Bearer t'
          ? {}
          : challenge(`Basic realm="x", ${BEARER}`),
    );
    expect((await get()).status).toBe(200);
    expect(lines().at(-1)).toBe('GET https://r.test/v2/ Bearer t');
  });

  it('knows after the first challenge what to show, without another 401', async () => {
    const { get, lines } = authenticated(JOE, tokenServer(anyToken));
    await get();
    await get('/v2/b/tags/list', { scope: 'repository:b:pull' });
    await get('/v2/b/manifests/x', { scope: 'repository:b:pull' });
    expect(lines().slice(3)).toEqual([
      `GET ${REALM}?service=reg&scope=repository%3Ab%3Apull ${JOES}`,
      'GET https://r.test/v2/b/tags/list Bearer tok-2',
      'GET https://r.test/v2/b/manifests/x Bearer tok-2',
    ]);
  });

  it('asks for several scopes one by one, and for what the registry named besides', async () => {
    const { get, tokenRequests } = authenticated(JOE, tokenServer(anyToken));
    await get('/v2/', { scope: 'repository:a:delete registry:catalog:*' });
    expect(tokenRequests()[0]?.url.searchParams.getAll('scope')).toEqual([
      'repository:a:delete,pull',
      'registry:catalog:*',
    ]);
    // Learned: the next request with that scope asks for the same token, and finds it.
    await get('/v2/', { scope: 'repository:a:delete registry:catalog:*' });
    expect(tokenRequests()).toHaveLength(1);
  });

  it('asks for no scope when nobody named one, and keeps what the realm brings along', async () => {
    const { get, lines } = authenticated(NONE, ({ url, authorization }) =>
      url.host === 'auth.test'
        ? token({ token: 't' })
        : authorization === undefined
          ? challenge('Bearer realm="https://joe:pw@auth.test/t?account=x#y"')
          : {},
    );
    await get();
    expect(lines()[1]).toBe('GET https://auth.test/t?account=x -');
  });

  it.each<[string, object]>([
    ['token', { token: 'tok' }],
    ['access_token', { access_token: 'tok' }],
    ['both', { token: 'tok', access_token: 'tok' }],
    ['an empty token beside an access_token', { token: '', access_token: 'tok' }],
    ['odd other fields', { token: 'tok', expires_in: 'soon', issued_at: 7, refresh_token: null }],
  ])('takes %s', async (_name, fields) => {
    const { get, lines } = authenticated(
      NONE,
      tokenServer(anyToken, { token: undefined, ...fields }),
    );
    expect((await get()).status).toBe(200);
    expect(lines().at(-1)).toBe('GET https://r.test/v2/ Bearer tok');
  });

  it('masks the token and the refresh token before either is used', async () => {
    const { get, masked } = authenticated(
      NONE,
      tokenServer(anyToken, { access_token: 'acc', refresh_token: 'ref' }),
    );
    await get();
    expect(masked).toEqual(['tok-1', 'acc', 'ref']);
  });

  it('a second 401 after a fresh token is the last word', async () => {
    const { get, lines } = authenticated(
      JOE,
      tokenServer(() => false),
    );
    expect((await get()).status).toBe(401);
    expect(lines()).toHaveLength(4);
  });

  it('a fresh token that is refused for a moment is shown once more after a pause', async () => {
    let refusals = 1;
    const { get, lines, clock } = authenticated(
      JOE,
      tokenServer((shown) => anyToken(shown) && (refusals -= 1) < 0),
    );
    expect((await get()).status).toBe(200);
    expect(lines().slice(2)).toEqual(Array(2).fill('GET https://r.test/v2/ Bearer tok-1'));
    expect(clock.slept).toEqual([3000]);
  });

  it('pauses for a fresh token end when they never help', async () => {
    const { get, clock } = authenticated(
      JOE,
      tokenServer(() => false),
    );
    for (let n = 0; n < 6; n += 1) {
      await get('/v2/', { scope: `repository:a${String(n)}:pull` });
    }
    expect(clock.slept).toEqual([3000, 3000, 3000]);
  });

  it('a token fetched for this request and refused by it is not fetched again', async () => {
    const { get, lines, tokenRequests } = authenticated(JOE, ({ url, authorization = '' }) =>
      url.host === 'auth.test'
        ? token({ token: 't' })
        : url.pathname === '/v2/' && authorization !== ''
          ? {}
          : challenge(`${BEARER},scope="repository:b:pull"`),
    );
    await get('/v2/');
    expect(lines()).toHaveLength(3);
    expect((await get('/v2/b/tags/list', { scope: 'repository:b:pull,delete' })).status).toBe(401);
    expect(lines().slice(3)).toEqual([
      expect.stringContaining('scope=repository%3Ab%3Apull%2Cdelete'),
      'GET https://r.test/v2/b/tags/list Bearer t',
      'GET https://r.test/v2/b/tags/list Bearer t',
    ]);
    expect(tokenRequests()).toHaveLength(2);
  });

  it('a token that grants too little is not renewed in vain', async () => {
    const { get, tokenRequests } = authenticated(JOE, ({ url, authorization, method }) =>
      url.host === 'auth.test'
        ? token({ token: 'narrow', expires_in: 300 })
        : authorization === undefined
          ? challenge(`${BEARER},scope="${PULL}"`)
          : method === 'GET'
            ? {}
            : challenge(`${BEARER},scope="${PULL}",error="insufficient_scope"`),
    );
    await get('/v2/', { scope: PULL });
    expect((await get('/v2/', { method: 'DELETE', scope: PULL })).status).toBe(401);
    expect(tokenRequests()).toHaveLength(1);
  });
});

describe('the life of a token', () => {
  it.each<[string, object, number, number]>([
    ['300 seconds, until shortly before', { expires_in: 300 }, 284_999, 285_000],
    ['60 seconds when nothing is said', {}, 44_999, 45_000],
    ['60 seconds when nonsense is said', { expires_in: -1 }, 44_999, 45_000],
    ['10 seconds, three quarters of it', { expires_in: 10 }, 7_499, 7_500],
  ])('a token lives as long as it says: %s', async (_name, fields, good, over) => {
    const { get, clock, tokenRequests } = authenticated(JOE, tokenServer(anyToken, fields));
    await get('/v2/', { scope: PULL });
    await clock.advance(good);
    await get('/v2/', { scope: PULL });
    expect(tokenRequests()).toHaveLength(1);
    await clock.advance(over - good);
    expect((await get('/v2/', { scope: PULL })).status).toBe(200);
    expect(tokenRequests()).toHaveLength(2);
  });

  it('ends when the registry refuses it: a fresh one is fetched, once for all', async () => {
    let good = 'Bearer tok-1';
    const { get, tokenRequests } = authenticated(
      JOE,
      tokenServer((shown) => shown === good),
    );
    await get('/v2/', { scope: PULL });
    good = 'Bearer tok-2';
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => get('/v2/', { scope: PULL })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect(tokenRequests()).toHaveLength(2);
  });

  it('may end while its own request waits for its turn, and is renewed then', async () => {
    const late = authenticated(JOE, async ({ url, authorization }, index) => {
      if (url.host === 'auth.test') {
        return token({ token: `tok-${String(index)}`, expires_in: 60 });
      }
      if (authorization !== undefined && late.tokenRequests().length === 1) {
        // A host's pause and a retry's wait lie below this layer, and may be longer than a token's life.
        await late.clock.advance(120_000);
        return challenge(`${BEARER},scope="${PULL}",error="invalid_token"`);
      }
      return authorization === undefined ? challenge(`${BEARER},scope="${PULL}"`) : {};
    });
    expect((await late.get('/v2/', { scope: PULL })).status).toBe(200);
    expect(late.tokenRequests()).toHaveLength(2);
  });

  it('a short life is no reason to ask for ever', async () => {
    const never = authenticated(JOE, async ({ url }) => {
      if (url.host === 'auth.test') {
        return token({ token: 'tok', expires_in: 60 });
      }
      await never.clock.advance(120_000);
      return challenge(`${BEARER},scope="${PULL}",error="invalid_token"`);
    });
    expect((await never.get('/v2/', { scope: PULL })).status).toBe(401);
    expect(never.tokenRequests()).toHaveLength(2);
  });

  it('begins once for all who wait for it', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const { get, tokenRequests } = authenticated(JOE, async ({ url, authorization }) => {
      if (url.host === 'auth.test') {
        await held;
        return token({ token: 't' });
      }
      return authorization === undefined ? challenge(BEARER) : {};
    });
    const answers = Promise.all(
      Array.from({ length: 16 }, async () => get('/v2/', { scope: PULL })),
    );
    await settled();
    release();
    expect((await answers).map(({ status }) => status)).toEqual(Array(16).fill(200));
    expect(tokenRequests()).toHaveLength(1);
  });

  it('a failed fetch is not kept', async () => {
    let broken = true;
    const { get } = authenticated(JOE, ({ url, authorization }) =>
      url.host === 'auth.test'
        ? broken
          ? { status: 500 }
          : token({ token: 't' })
        : authorization === undefined
          ? challenge(BEARER)
          : {},
    );
    await expect(get()).rejects.toMatchObject({ name: 'AuthError', status: 500 });
    broken = false;
    expect((await get()).status).toBe(200);
  });
});

describe('identity and registry tokens', () => {
  it('an identity token is exchanged by POST', async () => {
    const { get, sent, masked } = authenticated(
      { kind: 'identity-token', token: 'id&tok' },
      tokenServer(anyToken),
    );
    expect((await get('/v2/', { scope: 'registry:catalog:*' })).status).toBe(200);
    expect(sent[1]).toMatchObject({ method: 'POST', repeatable: true });
    expect(sent[1]?.url.href).toBe(REALM);
    expect(sent[1]).not.toHaveProperty('authorization');
    expect(Object.fromEntries(new URLSearchParams(String(sent[1]?.body)))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'registry-manifest-cleanup',
      service: 'reg',
      scope: `registry:catalog:* ${PULL}`,
      refresh_token: 'id&tok',
    });
    expect(masked[0]).toBe('id&tok');
  });

  it('a registry token is shown as it is, and never exchanged', async () => {
    const credentials: Credentials = { kind: 'registry-token', token: 'reg' };
    const { get, lines, masked } = authenticated(credentials, () => challenge(BEARER));
    expect((await get()).status).toBe(401);
    expect(lines()).toEqual(['GET https://r.test/v2/ Bearer reg']);
    expect(masked).toEqual(['reg']);
  });
});

describe('places where secrets do not go', () => {
  it.each([
    ['https://r.test:5000/', 'another port'],
    ['http://r.test/', 'another scheme'],
    ['https://r.test.evil/', 'another host'],
  ])('a request to %s (%s) shows nothing and answers no challenge', async (url) => {
    const { get, lines } = authenticated(JOE, () => challenge('Basic realm="x"'));
    expect((await get(url)).status).toBe(401);
    expect(lines()).toEqual([`GET ${url} -`]);
  });

  it('the challenge of where a redirect led is not answered', async () => {
    const { get, lines } = authenticated(JOE, ({ url }) =>
      url.host === 'r.test'
        ? { status: 307, headers: { location: 'https://evil.test/' } }
        : challenge('Basic realm="x", Bearer realm="https://evil.test/token"'),
    );
    expect((await get()).status).toBe(401);
    expect(lines()).toEqual(['GET https://r.test/v2/ -', 'GET https://evil.test/ -']);
  });

  it('a token server that redirects elsewhere takes no credentials along', async () => {
    const { get, lines } = authenticated(JOE, ({ url, authorization }) =>
      url.host === 'auth.test'
        ? { status: 307, headers: { location: 'https://evil.test/' } }
        : url.host === 'evil.test'
          ? token({ token: 't' })
          : authorization === undefined
            ? challenge(BEARER)
            : {},
    );
    await get();
    expect(lines().filter((line) => line.includes('evil.test'))).toEqual([
      'GET https://evil.test/ -',
    ]);
  });

  it.each([
    ['http://auth.test/token', /is not https/],
    ['ftp://auth.test/token', /isn't an http or https URL/],
    ['/token', /isn't an http or https URL/],
    ['', /isn't an http or https URL/],
  ])('the realm %j is not asked', async (realm, message) => {
    const { get, sent } = authenticated(JOE, () => challenge(`Bearer realm="${realm}"`));
    await expect(get()).rejects.toThrow(message);
    await expect(get()).rejects.toMatchObject({ name: 'AuthError' });
    expect(sent).toHaveLength(2);
  });

  it.each([
    'https://127.0.0.1/token',
    'https://127.8.9.1:5001/token',
    'https://2130706433/token',
    'https://0x7f.1/token',
    'https://0177.0.0.1/token',
    'https://0/token',
    'https://localhost/token',
    'https://LOCALHOST./token',
    'https://auth.localhost/token',
    'https://[::1]/token',
    'https://[::]/token',
    'https://[::ffff:127.0.0.1]/token',
    'https://[0:0:0:0:0:ffff:7f00:1]/token',
    'https://169.254.169.254/latest/meta-data',
    'https://169.254.0.1/token',
    'https://0xa9fea9fe/token',
    'https://[fe80::1]/token',
    'https://[febf::1]/token',
    'https://[::ffff:169.254.169.254]/token',
    'https://[64:ff9b::169.254.169.254]/token',
    'https://metadata.google.internal/token',
  ])('the realm %s is not asked for a registry elsewhere', async (realm) => {
    const { get, sent } = authenticated(JOE, () => challenge(`Bearer realm="${realm}"`));
    await expect(get()).rejects.toThrow(/a (?:loopback|link-local) address/);
    await expect(get()).rejects.toMatchObject({ name: 'AuthError' });
    expect(sent).toHaveLength(2);
  });

  it.each([
    ['http://127.0.0.1:5000/', 'http://localhost:5001/token'],
    ['http://localhost:5000/', 'http://[::1]:5001/token'],
    ['http://169.254.3.4/', 'http://169.254.3.5/token'],
    ['https://r.test/', 'https://10.0.0.1/token'],
    ['https://r.test/', 'https://localhost.example/token'],
    ['https://r.test/', 'https://169.253.0.1/token'],
    ['https://r.test/', 'https://[fec0::1]/token'],
  ])('a registry at %s lets the realm %s be asked', async (registry, realm) => {
    const { get, sent } = authenticated(
      JOE,
      ({ url, authorization }) =>
        url.pathname === '/token'
          ? token({ token: 't' })
          : authorization === undefined
            ? challenge(`Bearer realm="${realm}"`)
            : {},
      registry,
    );
    expect((await get()).status).toBe(200);
    expect(sent).toHaveLength(3);
  });

  it('a registry on loopback does not let a realm on the link be asked', async () => {
    const { get } = authenticated(
      JOE,
      () => challenge('Bearer realm="http://169.254.169.254/token"'),
      'http://127.0.0.1/',
    );
    await expect(get()).rejects.toThrow('a link-local address');
  });

  it('a realm may be http when the registry itself is', async () => {
    const { get, lines } = authenticated(
      JOE,
      ({ url, authorization }) =>
        url.host === 'auth.test'
          ? token({ token: 't' })
          : authorization === undefined
            ? challenge('Bearer realm="http://auth.test/token"')
            : {},
      'http://r.test/',
    );
    expect((await get()).status).toBe(200);
    expect(lines()[1]).toBe(`GET http://auth.test/token ${JOES}`);
  });

  it.each<[string, Credentials, Answer, RegExp]>([
    [
      'refused credentials',
      JOE,
      { status: 401, body: 's3cret' },
      /refused the credentials.*\(status 401\)/,
    ],
    ['a forbidden token', JOE, { status: 403 }, /refused the credentials/],
    [
      'no anonymous tokens',
      { kind: 'none', why: 'the Docker config has none for r.test; it has a.test' },
      { status: 401 },
      /without credentials \(status 401\)\. No credentials were given, and the Docker config has none for r\.test; it has a\.test\. Give `username`/,
    ],
    ['a broken server', JOE, { status: 500, body: 's3cret' }, /gave no token \(status 500\)/],
    ['HTML', JOE, { body: '<html>s3cret</html>' }, /something other than a token/],
    ['an array', JOE, { body: '["s3cret"]' }, /something other than a token|without a token/],
    ['no token', JOE, { body: '{"refresh_token":"s3cret"}' }, /answered without a token/],
    ['a token that would add a header', JOE, token({ token: 's3cret\r\nx: y' }), /without a token/],
  ])(
    'a token answer with %s makes an error that names the server and no secret',
    async (_name, credentials, answer, message) => {
      const { get } = authenticated(credentials, ({ url }) =>
        url.host === 'auth.test' ? answer : challenge(`Bearer realm="${REALM}?sig=s3cret"`),
      );
      const error: unknown = await get().catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'AuthError', message: expect.stringMatching(message) });
      expect(String(error)).toContain('https://auth.test/token');
      expect(String(error)).not.toMatch(/s3cret|am9l/);
    },
  );

  it('no token request reads more than 128 KiB', async () => {
    const { get, tokenRequests } = authenticated(JOE, tokenServer(anyToken));
    await get();
    expect(tokenRequests()[0]?.maxBytes).toBe(128 * 1024);
  });
});

describe('the words of a refusal for the login', () => {
  const login = async (credentials: Credentials, play: Play) => {
    const { get } = authenticated(credentials, play);
    await get('/v2/');
    return (await get('/v2/a/tags/list', { scope: PULL })).login;
  };
  const openThen =
    (answer: Answer): Play =>
    ({ url }) =>
      url.pathname === '/v2/' ? { status: 200 } : answer;
  const ID: Credentials = { kind: 'identity-token', token: 'id' };
  const WITH_REASON: Credentials = { kind: 'none', why: 'there is no Docker config (/x)' };

  it.each<[string, Credentials, Play, string]>([
    ['no credentials', NONE, openThen({ status: 403 }), 'No credentials were given. Give'],
    [
      'why there are none',
      WITH_REASON,
      openThen({ status: 401 }),
      'No credentials were given, and there is no Docker config (/x). Give',
    ],
    [
      'sent unasked',
      JOE,
      openThen({ status: 403 }),
      'The registry never asked for a login. The cred',
    ],
    [
      'sent unasked, 401',
      JOE,
      openThen({ status: 401 }),
      'The registry never asked for a login. The',
    ],
    [
      'a wrong password',
      JOE,
      openThen(challenge('Basic realm="x"')),
      'The credentials were not accepted. Give',
    ],
    ['an identity token', ID, openThen({ status: 403 }), 'never asked for a login by token'],
    [
      'one for Basic',
      ID,
      openThen(challenge('Basic realm="x"')),
      'asks for user and password, and',
    ],
    ['another scheme', JOE, () => challenge('Negotiate'), 'a login by negotiate'],
    ['no scheme', JOE, () => ({ status: 401 }), 'a login without saying how'],
    [
      'another origin',
      JOE,
      ({ url }) =>
        url.host === 'cdn.test'
          ? { status: 403 }
          : url.pathname === '/v2/'
            ? {}
            : { status: 307, headers: { location: 'https://cdn.test/x' } },
      'That answer came from https://cdn.test, to which',
    ],
  ])('a refusal explains the login: %s', async (_name, credentials, play, expected) => {
    expect(await login(credentials, play)).toContain(expected);
  });

  it.each<[string, Credentials, Play]>([
    [
      'a right that user and password lack',
      JOE,
      ({ authorization, url }) =>
        authorization !== JOES
          ? challenge('Basic realm="x"')
          : { status: url.pathname === '/v2/' ? 200 : 403 },
    ],
    [
      'a right that a token lacks',
      JOE,
      ({ url, authorization }) =>
        url.host === 'auth.test'
          ? token({ token: 't' })
          : authorization === undefined
            ? challenge(BEARER)
            : { status: url.pathname === '/v2/' ? 200 : 403 },
    ],
    ['an answer that is no refusal', NONE, openThen({ status: 404 })],
  ])('a refusal says nothing of %s', async (_name, credentials, play) => {
    expect(await login(credentials, play)).toBeUndefined();
  });
});

describe('granted', () => {
  const SCOPE = 'repository:a:pull,delete';
  const jwt = (actions: readonly string[]) => {
    const claims = { access: [{ type: 'repository', name: 'a', actions }] };
    return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
  };
  /** A registry that wants a token, and a token server that answers like this when it is asked for deletes. */
  const asking =
    (answer: Answer | (() => Answer), wants = BEARER): Play =>
    ({ url, authorization = '' }) => {
      if (url.host === 'auth.test') {
        const isOfDeletes = url.search.includes('delete');
        return !isOfDeletes
          ? token({ token: 'read' })
          : typeof answer === 'function'
            ? answer()
            : answer;
      }
      return anyToken(authorization) ? { status: 200 } : challenge(wants);
    };

  it.each<[string, Credentials, Play]>([
    ['no authentication', JOE, () => ({ status: 200 })],
    [
      'Basic',
      JOE,
      ({ authorization }) => (authorization === JOES ? {} : challenge('Basic realm="x"')),
    ],
    ['a token that was given as it is', { kind: 'registry-token', token: 'reg' }, () => ({})],
    [
      'such a token that is refused',
      { kind: 'registry-token', token: 'reg' },
      () => challenge(BEARER),
    ],
  ])('a grant is unknown, and nobody is asked: %s', async (_name, credentials, play) => {
    const { get, granted, sent } = authenticated(credentials, play);
    await get('/v2/', { scope: PULL });
    const before = sent.length;
    expect(await granted(SCOPE)).toEqual({ kind: 'unknown' });
    expect(sent).toHaveLength(before);
  });

  it('a grant is unknown before the registry has named a token server', async () => {
    const { granted, sent } = authenticated(JOE, asking(token({ token: jwt(['pull']) })));
    expect(await granted(SCOPE)).toEqual({ kind: 'unknown' });
    expect(sent).toEqual([]);
  });

  it.each<[string, Answer, object]>([
    ['all of it', token({ token: jwt(['pull', 'delete']) }), { kind: 'granted' }],
    ['less', token({ token: jwt(['pull']) }), { kind: 'lacking', actions: ['pull'] }],
    [
      'less, as an access token',
      token({ access_token: jwt([]) }),
      { kind: 'lacking', actions: [] },
    ],
    ['a token that says nothing', token({ token: 'opaque' }), { kind: 'unknown' }],
    ['401', { status: 401 }, { kind: 'lacking', actions: [] }],
    ['403', { status: 403 }, { kind: 'lacking', actions: [] }],
    ['400', { status: 400 }, { kind: 'unknown' }],
    ['500', { status: 500 }, { kind: 'unknown' }],
    ['no token', token({}), { kind: 'unknown' }],
    ['HTML', { body: '<html>' }, { kind: 'unknown' }],
  ])('the token server gives %s', async (_name, answer, expected) => {
    const { get, granted, tokenRequests } = authenticated(JOE, asking(answer));
    await get();
    expect(await granted(SCOPE)).toEqual(expected);
    expect(tokenRequests().at(-1)).toMatchObject({ method: 'GET', authorization: JOES });
    expect(tokenRequests().at(-1)?.url.searchParams.getAll('scope')).toEqual([SCOPE]);
  });

  it.each<TransportFailure>(['reset', 'timeout', 'dns', 'tls'])(
    'a grant is unknown when the token server fails by %s',
    async (kind) => {
      const fail = () => {
        throw new TransportError(kind, 'as prepared');
      };
      const { get, granted } = authenticated(JOE, asking(fail));
      await get();
      expect(await granted(SCOPE)).toEqual({ kind: 'unknown' });
    },
  );

  it('a grant is unknown when the run is told to stop', async () => {
    const stopped = () => {
      throw new NotSent('not sent');
    };
    const { get, granted } = authenticated(JOE, asking(stopped));
    await get();
    expect(await granted(SCOPE)).toEqual({ kind: 'unknown' });
  });

  it('a grant is unknown where the realm may not be asked', async () => {
    const play: Play = () => challenge('Bearer realm="http://auth.test/token"');
    const { get, granted, tokenRequests } = authenticated(JOE, play);
    await expect(get()).rejects.toMatchObject({ name: 'AuthError' });
    expect(await granted(SCOPE)).toEqual({ kind: 'unknown' });
    expect(tokenRequests()).toEqual([]);
  });

  it('rejects with a mistake of our own', async () => {
    const mistaken = () => {
      throw new Error('a bug');
    };
    const { get, granted } = authenticated(JOE, asking(mistaken));
    await get();
    await expect(granted(SCOPE)).rejects.toThrow('a bug');
  });

  it('asks for what the registry has said to be needed for such a scope', async () => {
    const more = `${BEARER},scope="repository:a:delete repository:b:pull"`;
    const { get, granted, tokenRequests } = authenticated(
      JOE,
      asking(token({ token: jwt(['pull', 'delete']) }), more),
    );
    await get('/v2/', { scope: SCOPE });
    const [asked] = tokenRequests();
    expect(asked?.url.searchParams.getAll('scope')).toEqual([SCOPE, 'repository:b:pull']);
    // The token that is at hand has the answer.
    expect(await granted(SCOPE)).toEqual({ kind: 'granted' });
    expect(tokenRequests()).toHaveLength(1);
  });

  it('masks the token that it looks at', async () => {
    const { get, granted, masked } = authenticated(JOE, asking(token({ token: jwt(['pull']) })));
    await get();
    await granted(SCOPE);
    expect(masked).toContain(jwt(['pull']));
  });
});
