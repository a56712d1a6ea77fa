import { afterEach, describe, expect, it } from '@jest/globals';

import { createTransport } from '../../../src/http/transport.js';
import { digestOf } from '../../../src/oci/digest.js';
import { MANIFEST_ACCEPT, OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { openRegistry } from '../../../src/registry/families/families.js';
import { parsed } from '../../support/builders/inventories.js';
import { fakeClock } from '../../support/scenes/fake-clock.js';
import { image, index, manifest, opaque, referrer } from '../../support/builders/build.js';
import { createAuthority } from '../../support/servers/certificate.js';
import type { Action } from '../../support/servers/memory/script.js';
import { repositoryOf, setTag } from '../../support/servers/memory/state.js';
import { seed } from '../../support/clients/push.js';
import {
  errorAnswer,
  jsonAnswer,
  startClient,
  stopClients,
  tally,
  when,
} from '../../support/clients/client.js';
import { printable } from '../../../src/text/printable.js';

afterEach(stopClients);

const APP = 'team/app';
const app = image('app');

describe('ping', () => {
  it('a registry is accepted', async () => {
    const { reader, registry } = await startClient();
    await reader.ping();
    expect(tally(registry)).toEqual({ 'GET base': 1 });
  });

  it.each<[string, Action, string, string]>([
    ['a page', { kind: 'html' }, 'not-a-registry', 'registry-url'],
    ['a page that was not found', { kind: 'html', status: 404 }, 'not-a-registry', 'registry-url'],
    ['nothing there', { kind: 'answer', status: 404 }, 'not-a-registry', 'registry-url'],
    ['401', errorAnswer(401, 'UNAUTHORIZED'), 'unauthorized', 'username'],
    ['403', { kind: 'answer', status: 403 }, 'forbidden', 'password'],
    ['500', { kind: 'answer', status: 500 }, 'unexpected', '500'],
  ])('tells of %s', async (_, action, kind, words) => {
    const { reader, registry, base } = await startClient();
    registry.intercept(when(/ \/v2\/$/, action));
    await expect(reader.ping()).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(words),
    });
    await expect(reader.ping()).rejects.toThrow(base.host);
  });
});

it('ping tells of a registry that is at another address', async () => {
  const there = await startClient();
  const { reader, registry, base } = await startClient();
  registry.intercept(() => ({
    kind: 'answer',
    status: 308,
    headers: { Location: `${there.base.origin}/v2/` },
  }));
  const reading = reader.ping();
  await expect(reading).rejects.toMatchObject({ kind: 'not-a-registry' });
  await expect(reading).rejects.toThrow(`could not speak with ${base.origin}/v2/`);
  await expect(reading).rejects.toThrow(`Put \`${there.base.origin}\` into \`registry-url\``);
});

describe('tags', () => {
  it('the list is sorted, each name once', async () => {
    const { reader, registry } = await startClient();
    seed(registry.state, APP, app, 'b', 'a', 'C');
    expect(await reader.tags(APP)).toEqual(['C', 'a', 'b']);
    expect(registry.requests.map(({ path }) => path)).toEqual(['/v2/team/app/tags/list']);
  });

  it.each([
    ['null', jsonAnswer({ name: APP, tags: null })],
    ['empty', jsonAnswer({ tags: [] })],
    ['a repository that is unknown', errorAnswer(404, 'NAME_UNKNOWN')],
  ])('the list is empty: %s', async (_, action) => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/tags\/list/, action));
    expect(await reader.tags(APP)).toEqual([]);
  });

  it.each([
    ['no list at all', jsonAnswer({ message: 'ok' })],
    ['a list of something else', jsonAnswer({ tags: [1] })],
    ['a list in another form', jsonAnswer({ tags: 'v1' })],
    ['HTML', { kind: 'html' } as const],
  ])('the list is never taken for empty: %s', async (_, action) => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/tags\/list/, action));
    await expect(reader.tags(APP)).rejects.toThrow('could not list the tags of team/app');
  });

  it.each(['NAME_UNKNOWN', 'MANIFEST_UNKNOWN'])(
    'the list is never cut off by a later page that says %s',
    async (code) => {
      const { reader, registry } = await startClient({ tagPageSize: 1 });
      seed(registry.state, APP, app, 'a', 'b');
      registry.intercept(when(/list\?/, errorAnswer(404, code)));
      await expect(reader.tags(APP)).rejects.toThrow('could not list the tags of team/app');
    },
  );

  it('follows pages', async () => {
    const { reader, registry } = await startClient({ tagPageSize: 2 });
    seed(registry.state, APP, app, 'a', 'b', 'c', 'd', 'e');
    expect(await reader.tags(APP)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(tally(registry)).toEqual({ 'GET tags': 3 });
  });

  it.each([
    ['another origin', '<https://evil.example/v2/team/app/tags/list?last=a>; rel="next"'],
    ['a loop', '</v2/team/app/tags/list>; rel="next"'],
  ])('does not follow %s', async (_, Link) => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/tags\/list/, jsonAnswer({ tags: ['a'] }, { Link })));
    await expect(reader.tags(APP)).rejects.toMatchObject({ name: 'RegistryError' });
    expect(tally(registry)).toEqual({ 'GET tags': 1 });
  });

  it('refuses a list with a name that breaks the grammar, and says which, made harmless', async () => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/tags\/list/, jsonAnswer({ tags: ['ok', '::error::x\n'] })));
    await expect(reader.tags(APP)).rejects.toThrow(
      /tags of team\/app holds the name ": :error: :x", .*OCI spec/,
    );
  });

  it('takes a digest in a list for what it is', async () => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/tags\/list/, jsonAnswer({ tags: ['v1', app.digest] })));
    expect(await reader.tags(APP)).toEqual([app.digest, 'v1']);
  });

  it('refuses a list that a cache answered', async () => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/tags\/list/, jsonAnswer({ tags: ['v1'] }, { Age: '7' })));
    await expect(reader.tags(APP)).rejects.toThrow(
      'could not list the tags of team/app: the answer came from a cache (`Age: 7`)',
    );
  });
});

describe('manifest', () => {
  it('confirms by digest what came for a tag whose digest nobody named', async () => {
    const { reader, registry } = await startClient({ digestHeader: false });
    seed(registry.state, APP, app, 'v1');
    expect(await reader.manifest(APP, 'v1')).toMatchObject({ manifest: parsed(app) });
    expect(tally(registry)).toEqual({ 'GET manifest': 1, 'HEAD manifest': 1 });
    // By digest there is nothing to confirm.
    registry.requests.length = 0;
    expect(await reader.manifest(APP, app.digest)).toMatchObject({ manifest: parsed(app) });
    expect(tally(registry)).toEqual({ 'GET manifest': 1 });
  });

  it('asks again when what a tag pointed at has gone between the two questions', async () => {
    const { reader, registry } = await startClient({ digestHeader: false });
    seed(registry.state, APP, app, 'v1');
    registry.intercept(
      when(/^HEAD/, () => {
        repositoryOf(registry.state, APP).manifests.clear();
        return undefined;
      }),
    );
    expect(await reader.manifest(APP, 'v1')).toEqual({ kind: 'absent' });
  });

  it.each<[string, Action]>([
    ['another manifest', { kind: 'answer', status: 200, body: index([]).bytes }],
    ['one whose HEAD is a page', { kind: 'html' }],
  ])('takes no %s for what a tag points at', async (what, action) => {
    const { reader, registry } = await startClient({ digestHeader: false });
    seed(registry.state, APP, app, 'v1');
    const sent: Action =
      action.kind === 'answer'
        ? { ...action, headers: { 'Content-Type': index([]).mediaType } }
        : action;
    registry.intercept(when(what.includes('HEAD') ? /^HEAD/ : /^GET .*v1$/, sent));
    await expect(reader.manifest(APP, 'v1')).rejects.toMatchObject({ kind: 'unexpected' });
    await expect(reader.manifest(APP, 'v1')).rejects.toThrow('did not say which digest it has');
  });

  it('sends all four types, in one GET', async () => {
    const { reader, registry } = await startClient();
    seed(registry.state, APP, app, 'v1');
    let accept: string | undefined;
    registry.intercept((request) => {
      ({ accept } = request.headers);
      return undefined;
    });
    expect(await reader.manifest(APP, 'v1')).toEqual({
      kind: 'found',
      manifest: parsed(app),
      body: app.bytes.toString('utf8'),
    });
    expect(accept).toBe(MANIFEST_ACCEPT);
    expect(tally(registry)).toEqual({ 'GET manifest': 1 });
  });

  it.each([
    ['Docker image', image('d', { family: 'docker' })],
    ['Docker list', index([image('d', { family: 'docker' })], { family: 'docker' })],
    ['OCI index', index([app])],
    ['OCI without mediaType', image('u', { typed: false })],
  ])('the reader gets %s, by tag and by digest', async (_, content) => {
    const { reader, registry } = await startClient();
    seed(registry.state, APP, content, 'v1');
    for (const reference of ['v1', content.digest]) {
      expect(await reader.manifest(APP, reference)).toEqual({
        kind: 'found',
        manifest: parsed(content),
        body: content.bytes.toString('utf8'),
      });
    }
  });

  it('computes the digest where the registry says none', async () => {
    const { reader, registry } = await startClient({ digestHeader: false });
    seed(registry.state, APP, app, 'v1');
    expect(await reader.manifest(APP, 'v1')).toMatchObject({ manifest: { digest: app.digest } });
  });

  it('takes a sha512 digest where it is right', async () => {
    const { reader, registry } = await startClient();
    const digest = digestOf(app.bytes, 'sha512');
    repositoryOf(registry.state, APP).manifests.set(digest, app);
    setTag(repositoryOf(registry.state, APP), 'v1', digest);
    for (const reference of ['v1', digest]) {
      expect(await reader.manifest(APP, reference)).toMatchObject({ manifest: { digest } });
    }
  });

  it.each([
    ['by tag', 'v1'],
    ['by digest', app.digest],
  ])('may be absent, %s', async (_, reference) => {
    const { reader } = await startClient();
    expect(await reader.manifest(APP, reference)).toEqual({ kind: 'absent' });
  });

  const changed = (headers: Record<string, string>, body: Buffer = app.bytes): Action => ({
    kind: 'answer',
    status: 200,
    headers: { 'Content-Type': OCI_MANIFEST, ...headers },
    body,
  });
  const other = image('other').digest;

  it.each<[string, string, Action, string]>([
    ['another digest announced', 'v1', changed({ 'Docker-Content-Digest': other }), 'announced'],
    ['another one asked for', other, changed({}), 'asked for'],
    ['a digest that is none', 'v1', changed({ 'Docker-Content-Digest': 'sha256:0' }), 'announced'],
    ['a digest of md5', 'v1', changed({ 'Docker-Content-Digest': 'md5:0' }), 'announced'],
    [
      'a right one asked for, a wrong one announced',
      app.digest,
      changed({ 'Docker-Content-Digest': other }),
      'announced',
    ],
    ['bytes changed on the way', app.digest, changed({}, Buffer.from('{}')), 'Something between'],
    ['no JSON', 'v1', changed({}, Buffer.from('nothing')), "isn't valid JSON"],
    [
      'schema 1, whose digest is that of a part',
      'v1',
      changed({
        'Content-Type': 'application/vnd.docker.distribution.manifest.v1+prettyjws',
        'Docker-Content-Digest': other,
      }),
      'schema 1',
    ],
    ['a page', 'v1', { kind: 'html' }, 'registry-url'],
    ['204', 'v1', { kind: 'answer', status: 204 }, '204'],
  ])('the reader refuses it: %s', async (_, reference, action, words) => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/manifests/, action));
    const reading = reader.manifest(APP, reference);
    await expect(reading).rejects.toMatchObject({
      name: 'RegistryError',
      message: expect.stringContaining(words),
    });
    await expect(reading).rejects.toThrow(`team/app${reference === 'v1' ? ':v1' : '@sha256:'}`);
  });

  it('the reader follows a redirect, without the credentials at another origin', async () => {
    const other = await startClient();
    const login = { kind: 'basic', username: 'u', password: 'p' } as const;
    const { reader, registry } = await startClient({ auth: login }, login);
    seed(other.registry.state, APP, app, 'v1');
    registry.intercept(
      when(/manifests\//, ({ headers, path }) =>
        headers.authorization === undefined
          ? undefined
          : {
              kind: 'answer',
              status: 307,
              headers: { Location: `${other.registry.url}${path}` },
            },
      ),
    );
    expect(await reader.manifest(APP, app.digest)).toMatchObject({ kind: 'found' });
    expect(other.registry.requests.map(({ authorization }) => authorization)).toEqual([false]);
    // What a tag points at somewhere else says nothing of where deletes go.
    await expect(reader.manifest(APP, 'v1')).rejects.toThrow(
      `the answer came from ${other.registry.url}, to which the registry redirects`,
    );
    await expect(reader.resolve(APP, 'v1')).rejects.toThrow('Give `registry-url` the address');
  });
});

describe('resolve', () => {
  it('the reader sends one HEAD', async () => {
    const { reader, registry } = await startClient();
    seed(registry.state, APP, app, 'v1');
    expect(await reader.resolve(APP, 'v1')).toBe(app.digest);
    expect(tally(registry)).toEqual({ 'HEAD manifest': 1 });
  });

  it.each<[string, Action]>([
    ['no digest', { kind: 'answer', status: 200 }],
    [
      'a digest that is none',
      { kind: 'answer', status: 200, headers: { 'Docker-Content-Digest': 'x' } },
    ],
    ['404', { kind: 'answer', status: 404 }],
    ['403', { kind: 'answer', status: 403 }],
    [
      '404 with a digest',
      { kind: 'answer', status: 404, headers: { 'Docker-Content-Digest': app.digest } },
    ],
  ])('the answer settles nothing: %s', async (_, action) => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/^HEAD/, action));
    expect(await reader.resolve(APP, 'v1')).toBeUndefined();
  });
});

describe('referrers', () => {
  const [a, b] = [referrer('a', app), referrer('b', app)];

  it('lists them', async () => {
    const { reader, registry } = await startClient({ referrersApi: true });
    [app, a, b].forEach((content) => {
      seed(registry.state, APP, content);
    });
    expect(new Set(await reader.referrers(APP, app.digest))).toEqual(new Set([a.digest, b.digest]));
    expect(await reader.referrers(APP, a.digest)).toEqual([]);
  });

  it('a list that is null has none', async () => {
    const { reader, registry } = await startClient();
    const none = jsonAnswer({ manifests: null }, { 'Content-Type': OCI_INDEX });
    registry.intercept(when(/referrers/, none));
    expect(await reader.referrers(APP, app.digest)).toEqual([]);
  });

  it.each([
    ['no list', {}],
    ['a list of something else', { manifests: [{}] }],
    ['an unverifiable digest', { manifests: [{ digest: 'md5:0' }] }],
  ])('a list is never taken for none: %s', async (_, body) => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/referrers/, jsonAnswer(body, { 'Content-Type': OCI_INDEX })));
    await expect(reader.referrers(APP, app.digest)).rejects.toThrow('list the referrers');
  });

  it('a list is never cut off by a second page that is not found', async () => {
    const { reader, registry } = await startClient();
    registry.intercept(
      when(/referrers/, ({ path }) =>
        path.endsWith('?p=2')
          ? { kind: 'answer', status: 404 }
          : jsonAnswer(
              { manifests: [a.descriptor] },
              { 'Content-Type': OCI_INDEX, Link: `<${path}?p=2>; rel="next"` },
            ),
      ),
    );
    await expect(reader.referrers(APP, app.digest)).rejects.toThrow('404');
  });

  it('the list is unknown where there is no API, which each answer says for itself alone', async () => {
    const { reader, registry } = await startClient();
    const digests = [app, a, b].map(({ digest }) => digest);
    const answers = await Promise.all(digests.map((digest) => reader.referrers(APP, digest)));
    expect(answers).toEqual([undefined, undefined, undefined]);
    expect(tally(registry)).toEqual({ 'GET referrers': 3 });
  });

  it.each<[string, Action]>([
    ['a page', { kind: 'html' }],
    ['a page that was not found', { kind: 'html', status: 404 }],
    ['404 in plain text', { kind: 'answer', status: 404, body: '404 page not found\n' }],
    ['405', errorAnswer(405, 'UNSUPPORTED')],
  ])('the list is asked for again after an answer that passes: %s', async (_, action) => {
    const { reader, registry } = await startClient({ referrersApi: true });
    registry.intercept(when(/referrers/, action));
    expect(await reader.referrers(APP, app.digest)).toBeUndefined();
    registry.intercept();
    expect(await reader.referrers(APP, app.digest)).toEqual([]);
    // From here on the same answer is a gap.
    registry.intercept(when(/referrers/, action));
    await expect(reader.referrers('team/other', a.digest)).rejects.toThrow(
      'list the referrers of team/other@',
    );
  });

  it.each([
    ['404 DENIED', errorAnswer(404, 'DENIED', 'no access')],
    ['404 UNAUTHORIZED', errorAnswer(404, 'UNAUTHORIZED', 'log in')],
    ['405 TOOMANYREQUESTS', errorAnswer(405, 'TOOMANYREQUESTS', 'slow down')],
    ['501 UNAVAILABLE', errorAnswer(501, 'UNAVAILABLE', 'try later')],
    ['200 UNAVAILABLE', jsonAnswer({ errors: [{ code: 'UNAVAILABLE' }] })],
  ])('the list is no shorter because of a code about something else: %s', async (said, action) => {
    const { reader, registry } = await startClient();
    registry.intercept(when(/referrers/, action));
    const [status = '', code = ''] = said.split(' ');
    await expect(reader.referrers(APP, app.digest)).rejects.toThrow(`${status} (${code}`);
  });

  it('a list can not be unknown any more where an answer came for others in the meantime', async () => {
    const { reader, registry } = await startClient({ referrersApi: true });
    let release = (): void => undefined;
    const answered = new Promise<void>((resolve) => {
      release = resolve;
    });
    registry.intercept(async ({ path }) => {
      if (!path.includes(app.digest)) {
        return undefined;
      }
      await answered;
      return { kind: 'html', status: 404 };
    });
    const late = reader.referrers(APP, app.digest);
    expect(await reader.referrers('team/other', a.digest)).toEqual([]);
    release();
    await expect(late).rejects.toThrow('list the referrers of team/app@');
  });

  it('the reader asks again after a first question that failed', async () => {
    const { reader, registry } = await startClient({ referrersApi: true });
    registry.intercept(when(/referrers/, errorAnswer(403, 'DENIED')));
    await expect(reader.referrers(APP, app.digest)).rejects.toThrow('`repository:team/app:pull`');
    registry.intercept();
    expect(await reader.referrers(APP, app.digest)).toEqual([]);
  });

  it('the reader fails when a registry that had the API has it no more', async () => {
    const { reader, registry } = await startClient({ referrersApi: true });
    await reader.referrers(APP, app.digest);
    registry.intercept(when(/referrers/, { kind: 'answer', status: 404 }));
    await expect(reader.referrers(APP, a.digest)).rejects.toThrow(
      'list the referrers of team/app@',
    );
  });
});

describe('imageFacts', () => {
  const facts = async (action?: Action, content = app) => {
    const { reader, registry } = await startClient();
    seed(registry.state, APP, content);
    if (action !== undefined) {
      registry.intercept(when(/blobs/, action));
    }
    const image = parsed(content);
    if (image.kind !== 'image') {
      throw new Error('not an image');
    }
    return { found: await reader.imageFacts(APP, image), requests: tally(registry) };
  };

  it('the facts come from the config', async () => {
    expect(await facts()).toEqual({
      found: {
        created: Date.UTC(2020, 0, 2, 3, 4, 5),
        platform: { os: 'linux', architecture: 'amd64' },
      },
      requests: { 'GET blob': 1 },
    });
  });

  it('the facts are empty where the config is gone', async () => {
    expect((await facts(errorAnswer(404, 'BLOB_UNKNOWN'))).found).toEqual({});
  });

  it('the facts are empty, and not asked for, where the config’s digest can not be verified', async () => {
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: 'md5:0',
      size: 1,
    };
    const content = opaque(OCI_MANIFEST, { schemaVersion: 2, config });
    expect(await facts(undefined, content)).toEqual({ found: {}, requests: {} });
  });

  it("the facts are empty for a config that isn't one", async () => {
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      bytes: Buffer.from('x'),
    };
    expect((await facts(undefined, manifest({ config, layers: [] }))).found).toEqual({});
  });

  it.each<[string, Action, string]>([
    ['404 without a code', { kind: 'answer', status: 404 }, 'registry-url'],
    ['403', errorAnswer(403, 'DENIED'), 'repository:team/app:pull'],
    ['other bytes', jsonAnswer({}), 'another digest'],
  ])('the facts can not be had: %s', async (_, action, words) => {
    await expect(facts(action)).rejects.toThrow(words);
    await expect(facts(action)).rejects.toThrow('read the blob sha256:');
  });
});

describe('words for what the network does', () => {
  it('a message about an unknown authority names ca-file and insecure', async () => {
    const { pem: cert, keyPem: key } = createAuthority().issue('registry');
    const { reader } = await startClient({ tls: { cert, key } });
    const reading = reader.ping();
    await expect(reading).rejects.toMatchObject({ kind: 'tls' });
    await expect(reading).rejects.toThrow(/ca-file.*insecure/);
  });

  it('a message tells of a registry that does not answer', async () => {
    const { registry } = await startClient();
    await registry.stop();
    const base = new URL(registry.url);
    const transport = createTransport({
      registry: base,
      credentials: { kind: 'none' },
      concurrency: 1,
      insecure: false,
      userAgent: 'tests',
      mask: () => undefined,
      clock: fakeClock({ auto: true }),
      random: () => 0,
    });
    const settings = { registry: base, registryType: 'auto' };
    const { reader } = openRegistry(settings, { ...transport, quote: printable });
    await expect(reader.ping()).rejects.toMatchObject({ kind: 'refused' });
    await expect(reader.ping()).rejects.toThrow(base.host);
    transport.close();
  });
});

it('never lets text of the registry into a message as it is', async () => {
  const { reader, repositories, registry } = await startClient();
  registry.intercept(() => errorAnswer(500, 'X', '\n::set-output name=a::b\u001b[31m'));
  for (const ask of [
    () => reader.ping(),
    () => repositories(),
    () => reader.tags(APP),
    () => reader.manifest(APP, 'v1'),
    () => reader.referrers(APP, app.digest),
  ]) {
    const error: unknown = await ask().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(Error);
    // eslint-disable-next-line no-control-regex
    expect(String(error)).not.toMatch(/[\u0000-\u001f]/);
  }
});

it('a 500 for a digest ends with a code of its own, and one for a tag does not', async () => {
  const { reader, registry } = await startClient();
  registry.intercept(() => ({ kind: 'answer', status: 500 }));
  await expect(reader.manifest(APP, app.digest)).rejects.toThrow(
    /Distribution up to 2\.8.*\[perhaps-a-blob\]$/,
  );
  await expect(reader.manifest(APP, 'v1')).rejects.toThrow(/\[server-failed\]$/);
});
