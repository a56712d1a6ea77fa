import { afterEach, describe, expect, it } from '@jest/globals';

import type { RegistryErrorKind } from '../../../src/registry/registry-error.js';
import { digestOf } from '../../../src/oci/digest.js';
import { OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { createPusher } from '../../../src/registry/distribution/pushes.js';
import { play } from '../../support/builders/answers.js';
import { image, manifest, type Content } from '../../support/builders/build.js';
import type { Action, SeenRequest } from '../../support/servers/memory/script.js';
import { linkBlob } from '../../support/servers/memory/state.js';
import {
  errorAnswer,
  apiClient,
  startClient,
  stopClients,
  tally,
  when,
  type Client,
} from '../../support/clients/client.js';

afterEach(stopClients);

const OURS = 'team/ledger';
/** Not valid as UTF-8: bytes that passed through text would arrive changed. */
const BYTES = Buffer.from([0x1f, 0x8b, 0x00, 0xff, 0xc3, 0x28, 0x0d, 0x0a]);
const DIGEST = digestOf(BYTES);
const first = image('first');
const second = image('second');
const MIB = 1024 * 1024;

/** The upload that a POST began: PUT ends it. */
const UPLOAD = /^PUT .*\/blobs\/uploads\//;
const START = /^POST .*\/blobs\/uploads\/$/;
const MANIFEST = /^PUT .*\/manifests\//;

const LOGIN = { kind: 'basic', username: 'u', password: 'p' } as const;

/** What olareg 0.2.1 sends with `--store-ro`, its text/plain included. */
const READ_ONLY: Action = {
  kind: 'answer',
  status: 403,
  headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  body:
    '{"errors":[{"code":"DENIED","message":"requested access to the resource is denied",' +
    '"detail":"repository is read-only"}]}\n',
};

async function pushContent({ pusher }: Client, tag: string, content: Content): Promise<void> {
  for (const blob of content.blobs.values()) {
    await pusher.pushBlob(OURS, blob);
  }
  await pusher.pushManifest(OURS, tag, content);
}

/** The script that changes the Location of the answer to POST. */
function located(change: (location: string) => string | undefined) {
  return when(START, {
    kind: 'rewrite',
    rewrite: (answer) => {
      const { Location, ...headers } = answer.headers;
      const changed = change(Location ?? '');
      return {
        ...answer,
        headers: changed === undefined ? headers : { ...headers, Location: changed },
      };
    },
  });
}

describe('a push', () => {
  it('blobs, manifest and tag can be read back', async () => {
    const client = await startClient();
    const { reader, registry } = client;
    await pushContent(client, 'v1', first);
    for (const [digest, blob] of first.blobs) {
      expect(await reader.blob(OURS, digest as typeof DIGEST, MIB)).toEqual(blob);
    }
    expect(await reader.manifest(OURS, 'v1')).toMatchObject({
      kind: 'found',
      manifest: { digest: first.digest, mediaType: first.mediaType },
      body: first.bytes.toString('utf8'),
    });
    expect(await reader.tags(OURS)).toEqual(['v1']);
    expect(registry.state.repositories.get(OURS)?.manifests.get(first.digest)?.bytes).toEqual(
      first.bytes,
    );
  });

  it.each([
    ['any bytes', BYTES],
    ['none', Buffer.alloc(0)],
    ['many', Buffer.alloc(3 * MIB, 'ledger')],
  ])('a blob of %s costs one POST, and one PUT of just these', async (_, bytes) => {
    const { pusher, registry } = await startClient();
    const uploads: SeenRequest[] = [];
    registry.intercept((request) => {
      uploads.push(...(request.method === 'PUT' ? [request] : []));
      return undefined;
    });
    expect(await pusher.pushBlob(OURS, bytes)).toBe(digestOf(bytes));
    expect(registry.state.blobs.get(digestOf(bytes))?.equals(bytes)).toBe(true);
    expect(tally(registry)).toEqual({ 'POST upload': 1, 'PUT upload': 1 });
    expect(uploads[0]?.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': String(bytes.length),
    });
    expect(uploads[0]?.headers).not.toHaveProperty('transfer-encoding');
  });

  it('the manifest is pushed under its own type', async () => {
    const client = await startClient();
    const docker = image('docker', { family: 'docker' });
    await pushContent(client, 'v1', docker);
    expect(
      client.registry.state.repositories.get(OURS)?.manifests.get(docker.digest)?.mediaType,
    ).toBe(docker.mediaType);
  });

  it('a tag that exists moves, and its old manifest stays', async () => {
    const client = await startClient();
    await pushContent(client, 'v1', first);
    await pushContent(client, 'v1', second);
    expect(await client.reader.resolve(OURS, 'v1')).toBe(second.digest);
    expect(await client.reader.manifest(OURS, first.digest)).toMatchObject({ kind: 'found' });
  });

  it('a manifest may be pushed by its digest, and then has no tag', async () => {
    const client = await startClient();
    const { registry } = client;
    for (const long of [false, true]) {
      const digest = digestOf(first.bytes, long ? 'sha512' : 'sha256');
      await pushContent(client, digest, first);
      expect(registry.state.repositories.get(OURS)?.manifests.get(digest)?.bytes).toEqual(
        first.bytes,
      );
    }
    expect(registry.state.repositories.get(OURS)?.tags.size).toBe(0);
  });

  it('a manifest is refused under a digest that is not its own', async () => {
    const client = await startClient();
    await expect(pushContent(client, second.digest, first)).rejects.toThrow(
      `push ${OURS}@${second.digest}: the registry answered 400 (DIGEST_INVALID`,
    );
    expect(client.registry.state.repositories.get(OURS)?.manifests.size).toBe(0);
  });

  it('a manifest may be there already', async () => {
    const client = await startClient();
    await pushContent(client, 'v1', first);
    await pushContent(client, 'v1', first);
    expect(client.registry.state.repositories.get(OURS)?.manifests.size).toBe(1);
  });

  it('a manifest is refused where its blobs are missing', async () => {
    const { pusher } = await startClient();
    await expect(pusher.pushManifest(OURS, 'v1', first)).rejects.toMatchObject({
      kind: 'part-missing',
      message: expect.stringMatching(/push team\/ledger:v1: .*400 \(MANIFEST_BLOB_UNKNOWN/),
    });
  });
});

describe('the place of an upload', () => {
  it.each<[string, (location: string) => string]>([
    ['a path', (location) => location.replace(/^https?:\/\/[^/]+/, '')],
    ['a path from where we are', (location) => location.replace(/^.*\/uploads\//, '')],
    ['a URL', (location) => location],
  ])('may be %s', async (_, change) => {
    const { pusher, registry } = await startClient();
    registry.intercept(located(change));
    await pusher.pushBlob(OURS, BYTES);
    expect(registry.state.repositories.get(OURS)?.blobs).toEqual(new Set([DIGEST]));
  });

  it('keeps the query that it came with', async () => {
    const { pusher, registry } = await startClient();
    const state = 'a+b/c==&d=e f%';
    registry.intercept((request) =>
      located(
        (location) => `${location.split('?', 1)[0] ?? ''}?_state=${encodeURIComponent(state)}`,
      )(request),
    );
    await pusher.pushBlob(OURS, BYTES);
    const put = registry.requests.find(({ method }) => method === 'PUT')?.path ?? '';
    const query = new URL(put, registry.url).searchParams;
    expect([...query]).toEqual([
      ['_state', state],
      ['digest', DIGEST],
    ]);
  });

  it('gets no credentials where it is of another origin', async () => {
    const elsewhere = await startClient();
    const started = await fetch(`${elsewhere.registry.url}/v2/${OURS}/blobs/uploads/`, {
      method: 'POST',
    });
    elsewhere.registry.requests.length = 0;
    const { pusher, registry } = await startClient({ auth: LOGIN }, LOGIN);
    registry.intercept(located(() => started.headers.get('location') ?? ''));
    expect(await pusher.pushBlob(OURS, BYTES)).toBe(DIGEST);
    expect(elsewhere.registry.state.blobs.get(DIGEST)).toEqual(BYTES);
    expect(
      elsewhere.registry.requests.map(({ method, authorization }) => [method, authorization]),
    ).toEqual([['PUT', false]]);
    expect(tally(registry)).not.toHaveProperty('PUT upload');
  });

  it.each([
    ['http://registry.test/v2/x', 'from https:// to http:// is not followed'],
    ['ftp://registry.test/v2/x', 'from https:// to ftp:// is not followed'],
    ['file:///etc/passwd', 'from https:// to file:// is not followed'],
    ['HTTP://REGISTRY.TEST/v2/x', 'X-Forwarded-Proto'],
    ['http://[oops', "doesn't lead to a valid URL"],
  ])('the place is never %s of a registry with https', async (location, words) => {
    const { send, requests } = play({ status: 202, headers: { location } });
    const pusher = createPusher(apiClient(send, 'https://registry.test'));
    const pushing = pusher.pushBlob(OURS, BYTES);
    await expect(pushing).rejects.toMatchObject({ name: 'TransportError', kind: 'redirect' });
    await expect(pushing).rejects.toThrow(words);
    expect(requests).toHaveLength(1);
  });

  it('takes no name and password from it', async () => {
    const { pusher, registry } = await startClient({ auth: LOGIN }, LOGIN);
    registry.intercept(located((location) => location.replace('http://', 'http://eve:pw@')));
    expect(await pusher.pushBlob(OURS, BYTES)).toBe(DIGEST);
  });

  it.each<[string, string | undefined]>([['missing', undefined]])(
    'the place is needed: %s',
    async (_, location) => {
      const { pusher, registry } = await startClient();
      registry.intercept(located(() => location));
      await expect(pusher.pushBlob(OURS, BYTES)).rejects.toMatchObject({
        name: 'RegistryError',
        kind: 'not-a-registry',
        message: expect.stringContaining('start an upload to team/ledger: 202'),
      });
      expect(tally(registry)).toEqual({ 'POST upload': 1 });
    },
  );
});

describe('an upload that is lost on the way', () => {
  const lost = (times: number, action: Action = errorAnswer(404, 'BLOB_UPLOAD_UNKNOWN')) => {
    let seen = 0;
    return when(UPLOAD, () => {
      seen += 1;
      return seen <= times ? action : undefined;
    });
  };
  const puts = ({ requests }: Client['registry']) =>
    requests.filter(({ method }) => method === 'PUT').map(({ path }) => path.split('?', 1)[0]);

  it.each([1, 2])('the upload starts over, %i times', async (times) => {
    const { pusher, registry } = await startClient();
    registry.intercept(lost(times));
    expect(await pusher.pushBlob(OURS, BYTES)).toBe(DIGEST);
    expect(registry.state.blobs.get(DIGEST)).toEqual(BYTES);
    expect(tally(registry)).toEqual({ 'POST upload': times + 1, 'PUT upload': times + 1 });
    expect(new Set(puts(registry)).size).toBe(times + 1);
  });

  it.each<[string, Action]>([
    ['404 BLOB_UPLOAD_UNKNOWN', errorAnswer(404, 'BLOB_UPLOAD_UNKNOWN')],
    ['404 in HTML', { kind: 'html', status: 404 }],
  ])('the upload is given up after three tries: %s', async (_, action) => {
    const { pusher, registry } = await startClient();
    registry.intercept(lost(Infinity, action));
    await expect(pusher.pushBlob(OURS, BYTES)).rejects.toMatchObject({
      name: 'RegistryError',
      message: expect.stringMatching(/upload a blob to team\/ledger: .*404/),
    });
    expect(tally(registry)).toEqual({ 'POST upload': 3, 'PUT upload': 3 });
    expect(registry.state.blobs.size).toBe(0);
  });

  it('another failure, such as 500, is tried at the same place, and then told', async () => {
    const { pusher, registry } = await startClient();
    registry.intercept(lost(2, errorAnswer(500, 'UNKNOWN')));
    expect(await pusher.pushBlob(OURS, BYTES)).toBe(DIGEST);
    expect(tally(registry)).toEqual({ 'POST upload': 1, 'PUT upload': 3 });
    expect(new Set(puts(registry)).size).toBe(1);
  });

  it.each<[string, Action]>([
    ['a reset', { kind: 'reset' }],
    ['503', { kind: 'answer', status: 503 }],
  ])('sends all bytes again after %s', async (_, action) => {
    const { pusher, registry } = await startClient();
    registry.intercept((request) => (request.attempt === 1 ? action : undefined));
    await pusher.pushBlob(OURS, BYTES);
    linkBlob(registry.state, OURS, digestOf(Buffer.from('{}')), Buffer.from('{}'));
    const config = { mediaType: 'application/vnd.oci.empty.v1+json', bytes: Buffer.from('{}') };
    const artifact = manifest({ config, layers: [] });
    await pusher.pushManifest(OURS, 'v1', artifact);
    expect(registry.state.blobs.get(DIGEST)).toEqual(BYTES);
    expect(registry.state.repositories.get(OURS)?.manifests.get(artifact.digest)?.bytes).toEqual(
      artifact.bytes,
    );
    expect(tally(registry)).toEqual({ 'POST upload': 2, 'PUT upload': 2, 'PUT manifest': 2 });
  });
});

const SCOPE = 'repository:team/ledger:pull,push';

/** Whatever was asked: each with the kind that it is of, and words that its message has to hold. */
const REFUSALS: [string, Action, string, string[]][] = [
  ['401', errorAnswer(401, 'UNAUTHORIZED'), 'unauthorized', [SCOPE, '401', 'username']],
  ['403', errorAnswer(403, 'DENIED'), 'forbidden', [SCOPE, '403 (DENIED)', 'login-action']],
  ['403 without a code', { kind: 'answer', status: 403 }, 'forbidden', [SCOPE]],
  ['403 read-only', READ_ONLY, 'read-only', ['--store-ro']],
  [
    '405',
    { kind: 'answer', status: 405, body: 'no\n' },
    'read-only',
    ['405', 'takes no pushes', '[registry-read-only]'],
  ],
  ['405 UNSUPPORTED', errorAnswer(405, 'UNSUPPORTED'), 'read-only', ['takes no pushes']],
  ['500', errorAnswer(500, 'UNKNOWN', 'disk full'), 'unexpected', ['500', 'disk full']],
  ['400', errorAnswer(400, 'NAME_INVALID'), 'unexpected', ['400 (NAME_INVALID)']],
  ['a page', { kind: 'html' }, 'not-a-registry', ['text/html', 'registry-url']],
  ['a page that is accepted', { kind: 'html', status: 202 }, 'not-a-registry', ['text/html']],
  ['a page that is created', { kind: 'html', status: 201 }, 'not-a-registry', ['text/html']],
  ['an error that is created', errorAnswer(201, 'DENIED'), 'unexpected', ['201 (DENIED)']],
  [
    '307: a write never repeats itself elsewhere',
    { kind: 'answer', status: 307, headers: { Location: '/x' } },
    'not-a-registry',
    ['307'],
  ],
];

async function expectRefused(
  pushing: Promise<unknown>,
  kind: string,
  words: readonly string[],
): Promise<void> {
  await expect(pushing).rejects.toMatchObject({ name: 'RegistryError', kind });
  for (const word of words) {
    await expect(pushing).rejects.toThrow(word);
  }
  // Nothing here was to be deleted, and no catalog was asked for.
  await expect(pushing).rejects.not.toThrow(/[Dd]elet|catalog/);
}

describe('a refusal', () => {
  it.each(REFUSALS)('the start of an upload is refused: %s', async (_, action, kind, words) => {
    const { pusher, registry } = await startClient();
    registry.intercept(when(START, action));
    await expectRefused(pusher.pushBlob(OURS, BYTES), kind, [
      'start an upload to team/ledger',
      ...words,
    ]);
    expect(tally(registry)).not.toHaveProperty('PUT upload');
  });

  it.each(REFUSALS)('the bytes of an upload are refused: %s', async (_, action, kind, words) => {
    const { pusher, registry } = await startClient();
    registry.intercept(when(UPLOAD, action));
    await expectRefused(pusher.pushBlob(OURS, BYTES), kind, [
      'upload a blob to team/ledger',
      ...words,
    ]);
  });

  it.each([
    ...REFUSALS,
    ['404', errorAnswer(404, 'NAME_UNKNOWN'), 'unexpected', ['404 (NAME_UNKNOWN)']],
    ['404 in HTML', { kind: 'html', status: 404 }, 'not-a-registry', ['registry-url']],
    ['204', { kind: 'answer', status: 204 }, 'not-a-registry', ['204']],
  ] as typeof REFUSALS)('of the manifest: %s', async (_, action, kind, words) => {
    const { pusher, registry } = await startClient();
    registry.intercept(when(MANIFEST, action));
    await expectRefused(pusher.pushManifest(OURS, 'v1', first), kind, [
      'push team/ledger:v1',
      ...words,
    ]);
  });

  it.each<[string, Action, RegistryErrorKind, string]>([
    ['with a code', errorAnswer(404, 'NAME_UNKNOWN'), 'no-repository', 'create it there first'],
    // A proxy that passes on reads alone: what it would take to make a repository is not known.
    ['without one', { kind: 'answer', status: 404 }, 'not-a-registry', 'registry-url'],
    ['in HTML', { kind: 'html', status: 404 }, 'not-a-registry', 'registry-url'],
  ])('the start of an upload gets a 404: %s', async (_, action, kind, words) => {
    const { pusher, registry } = await startClient();
    registry.intercept(when(START, action));
    const pushing = pusher.pushBlob(OURS, BYTES);
    await expectRefused(pushing, kind, ['404', words]);
    // Two sentences, each with one end.
    await expect(pushing).rejects.not.toThrow(/[?.]\./);
    expect(tally(registry)).toEqual({ 'POST upload': 1 });
  });

  it('a registry in read-only mode is named', async () => {
    const { pusher } = await startClient({ readOnly: true });
    await expectRefused(pusher.pushBlob(OURS, BYTES), 'read-only', ['takes no pushes']);
    await expectRefused(pusher.pushManifest(OURS, 'v1', first), 'read-only', ['takes no pushes']);
  });

  it('a read-only registry asks for no other credentials', async () => {
    const { pusher, registry } = await startClient();
    registry.intercept(when(START, READ_ONLY));
    await expect(pusher.pushBlob(OURS, BYTES)).rejects.not.toThrow('credentials');
  });

  it('never lets text of the registry into a message as it is', async () => {
    const { pusher, registry } = await startClient();
    registry.intercept(() => errorAnswer(400, 'X', '\n::set-output name=a::b\u001b[31m'));
    for (const pushing of [pusher.pushBlob(OURS, BYTES), pusher.pushManifest(OURS, 'v1', first)]) {
      // eslint-disable-next-line no-control-regex
      await expect(pushing).rejects.not.toThrow(/[\u0000-\u001f]/);
    }
  });

  it('a registry may give no answer at all', async () => {
    const { pusher, registry } = await startClient();
    registry.intercept(() => ({ kind: 'reset' }));
    for (const pushing of [pusher.pushBlob(OURS, BYTES), pusher.pushManifest(OURS, 'v1', first)]) {
      await expect(pushing).rejects.toMatchObject({ name: 'TransportError', kind: 'reset' });
    }
  });
});

describe('tokens', () => {
  const auth = { kind: 'token', username: 'u', password: 'p', expiresIn: 300 } as const;

  it('asks for one that may push, and for nothing more', async () => {
    const client = await startClient({ auth }, LOGIN);
    await pushContent(client, 'v1', first);
    const scopes = client.registry.requests
      .filter(({ path }) => path.startsWith('/token'))
      .map(({ path }) => new URL(path, client.registry.url).searchParams.getAll('scope'));
    expect(scopes).toEqual([[SCOPE]]);
  });

  it('names the scope that was not granted', async () => {
    const grant = (scope: string) => scope.replace(',push', '');
    const { pusher, registry } = await startClient({ auth: { ...auth, grant } }, LOGIN);
    await expectRefused(pusher.pushBlob(OURS, BYTES), 'unauthorized', ['pull,push']);
    expect(registry.state.blobs.size).toBe(0);
  });
});

it('stores what an OCI client calls an artifact', async () => {
  const { pusher, reader } = await startClient();
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', bytes: Buffer.from('{}') };
  const layer = { mediaType: 'application/vnd.test.v1+gzip', bytes: BYTES };
  const artifact = manifest({ config, layers: [layer], artifactType: 'application/vnd.test.v1' });
  await Promise.all([config, layer].map(({ bytes }) => pusher.pushBlob(OURS, bytes)));
  await pusher.pushManifest(OURS, 'v1', artifact);
  expect(await reader.manifest(OURS, 'v1')).toMatchObject({
    manifest: { kind: 'image', mediaType: OCI_MANIFEST, artifactType: 'application/vnd.test.v1' },
  });
});

describe('a manifest that Distribution refuses in passing', () => {
  const refusing = (times: number) =>
    when(MANIFEST, ({ attempt }) =>
      attempt <= times ? errorAnswer(400, 'DIGEST_INVALID') : undefined,
    );

  it('the manifest is pushed again', async () => {
    const { pusher, registry } = await startClient();
    for (const blob of first.blobs.values()) {
      await pusher.pushBlob(OURS, blob);
    }
    registry.intercept(refusing(4));
    await pusher.pushManifest(OURS, 'v1', first);
    expect(registry.state.repositories.get(OURS)?.tags.get('v1')).toBe(first.digest);
  });

  it('the manifest is given up after five times', async () => {
    const { pusher, registry } = await startClient();
    registry.intercept(refusing(9));
    await expectRefused(pusher.pushManifest(OURS, 'v1', first), 'unexpected', ['DIGEST_INVALID']);
    expect(tally(registry)).toEqual({ 'PUT manifest': 5 });
  });
});
