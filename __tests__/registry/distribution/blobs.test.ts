import { afterEach, describe, expect, it } from '@jest/globals';

import { digestOf } from '../../../src/oci/digest.js';
import type { Action } from '../../support/servers/memory/script.js';
import { linkBlob } from '../../support/servers/memory/state.js';
import {
  errorAnswer,
  startClient,
  stopClients,
  tally,
  when,
} from '../../support/clients/client.js';

afterEach(stopClients);

const APP = 'team/app';
/** Not valid as UTF-8: a blob that passed through text would come back changed. */
const BYTES = Buffer.from([0x00, 0xff, 0xfe, 0x0a, 0xc3, 0x28, 0xef, 0xbb, 0xbf]);
const DIGEST = digestOf(BYTES);
const MIB = 1024 * 1024;

describe('blob', () => {
  it('a blob is read in one GET, byte by byte', async () => {
    const { reader, registry } = await startClient();
    linkBlob(registry.state, APP, DIGEST, BYTES);
    expect(await reader.blob(APP, DIGEST, MIB)).toEqual(BYTES);
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `GET /v2/${APP}/blobs/${DIGEST}`,
    ]);
  });

  it('may be empty, and may have a sha512 digest', async () => {
    const { reader, registry } = await startClient();
    const empty = Buffer.alloc(0);
    const long = digestOf(BYTES, 'sha512');
    linkBlob(registry.state, APP, digestOf(empty), empty);
    linkBlob(registry.state, APP, long, BYTES);
    expect(await reader.blob(APP, digestOf(empty), MIB)).toEqual(empty);
    expect(await reader.blob(APP, long, MIB)).toEqual(BYTES);
  });

  it('a blob is undefined where the repository does not have it, though another one does', async () => {
    const { reader, registry } = await startClient();
    linkBlob(registry.state, 'team/other', DIGEST, BYTES);
    expect(await reader.blob(APP, DIGEST, MIB)).toBeUndefined();
  });

  it.each(['BLOB_UNKNOWN', 'NAME_UNKNOWN', 'MANIFEST_UNKNOWN'])(
    'a blob is undefined after a 404 %s',
    async (code) => {
      const { reader, registry } = await startClient();
      registry.intercept(when(/blobs/, errorAnswer(404, code)));
      expect(await reader.blob(APP, DIGEST, MIB)).toBeUndefined();
    },
  );

  const bytes = (body: Uint8Array): Action => ({
    kind: 'answer',
    status: 200,
    body: Buffer.from(body),
  });

  it.each<[string, Action, string, string]>([
    ['404 without a code', { kind: 'answer', status: 404 }, 'not-a-registry', 'registry-url'],
    ['404 in HTML', { kind: 'html', status: 404 }, 'not-a-registry', 'registry-url'],
    ['404 DENIED', errorAnswer(404, 'DENIED'), 'unexpected', '404 (DENIED)'],
    ['404 UNAVAILABLE', errorAnswer(404, 'UNAVAILABLE'), 'unexpected', '404 (UNAVAILABLE)'],
    ['401', errorAnswer(401, 'UNAUTHORIZED'), 'unauthorized', 'repository:team/app:pull'],
    ['403', errorAnswer(403, 'DENIED'), 'forbidden', 'repository:team/app:pull'],
    ['500', errorAnswer(500, 'UNKNOWN'), 'unexpected', '500'],
    ['204', { kind: 'answer', status: 204 }, 'not-a-registry', '204'],
    ['a page', { kind: 'html' }, 'wrong-bytes', 'another digest'],
    ['no bytes', bytes(Buffer.alloc(0)), 'wrong-bytes', 'another digest'],
    [
      'one bit changed',
      bytes(BYTES.map((byte, n) => (n === 3 ? byte ^ 1 : byte))),
      'wrong-bytes',
      'another digest',
    ],
    [
      'one byte more',
      bytes(Buffer.concat([BYTES, Buffer.from('\n')])),
      'wrong-bytes',
      'another digest',
    ],
  ])('a blob is never taken for missing, nor for right: %s', async (_, action, kind, words) => {
    const { reader, registry } = await startClient();
    linkBlob(registry.state, APP, DIGEST, BYTES);
    registry.intercept(when(/blobs/, action));
    const reading = reader.blob(APP, DIGEST, MIB);
    await expect(reading).rejects.toMatchObject({ name: 'RegistryError', kind });
    await expect(reading).rejects.toThrow(words);
    await expect(reading).rejects.toThrow(`read the blob ${DIGEST} of ${APP}`);
  });

  it('a blob is read up to `maxBytes` and no further', async () => {
    const { reader, registry } = await startClient();
    linkBlob(registry.state, APP, DIGEST, BYTES);
    expect(await reader.blob(APP, DIGEST, BYTES.length)).toEqual(BYTES);
    await expect(reader.blob(APP, DIGEST, BYTES.length - 1)).rejects.toMatchObject({
      name: 'TransportError',
      kind: 'too-large',
    });
  });

  it('a blob is asked for again when it was cut off', async () => {
    const { reader, registry } = await startClient();
    linkBlob(registry.state, APP, DIGEST, BYTES);
    registry.intercept(
      when(/blobs/, ({ attempt }) => (attempt < 3 ? { kind: 'truncate' } : undefined)),
    );
    expect(await reader.blob(APP, DIGEST, MIB)).toEqual(BYTES);
    expect(tally(registry)).toEqual({ 'GET blob': 3 });
  });

  it.each([
    ['the right bytes', BYTES],
    ['other bytes', Buffer.from('other')],
  ])('may lie in another place, without our credentials: %s', async (_, stored) => {
    const other = await startClient();
    const login = { kind: 'basic', username: 'u', password: 'p' } as const;
    const { reader, registry } = await startClient({ auth: login }, login);
    linkBlob(other.registry.state, APP, DIGEST, stored);
    registry.intercept(
      when(/blobs/, ({ headers }) =>
        headers.authorization === undefined
          ? undefined
          : {
              kind: 'answer',
              status: 307,
              headers: { Location: `${other.registry.url}/v2/${APP}/blobs/${DIGEST}` },
            },
      ),
    );
    const reading = reader.blob(APP, DIGEST, MIB);
    const [result] = await Promise.allSettled([reading]);
    expect(result).toMatchObject(
      stored === BYTES
        ? { status: 'fulfilled', value: BYTES }
        : { status: 'rejected', reason: { kind: 'wrong-bytes' } },
    );
    expect(other.registry.requests.map(({ authorization }) => authorization)).toEqual([false]);
  });
});

describe('hasBlob', () => {
  it('the reader asks with one HEAD', async () => {
    const { reader, registry } = await startClient();
    linkBlob(registry.state, APP, DIGEST, Buffer.alloc(3 * MIB));
    expect(await reader.hasBlob(APP, DIGEST)).toBe(true);
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `HEAD /v2/${APP}/blobs/${DIGEST}`,
    ]);
  });

  it('the answer is for the repository, not for the registry', async () => {
    const { reader, registry } = await startClient();
    linkBlob(registry.state, 'team/other', DIGEST, BYTES);
    expect(await reader.hasBlob(APP, DIGEST)).toBe(false);
    expect(await reader.hasBlob('team/other', DIGEST)).toBe(true);
  });

  it("the answer is no for any 404 that isn't a web page: an answer to HEAD can not say more", async () => {
    const { reader, registry } = await startClient();
    linkBlob(registry.state, APP, DIGEST, BYTES);
    registry.intercept(when(/blobs/, { kind: 'answer', status: 404 }));
    expect(await reader.hasBlob(APP, DIGEST)).toBe(false);
  });

  it.each<[string, Action, string, string]>([
    ['401', errorAnswer(401, 'UNAUTHORIZED'), 'unauthorized', 'repository:team/app:pull'],
    ['403', errorAnswer(403, 'DENIED'), 'forbidden', 'repository:team/app:pull'],
    ['500', errorAnswer(500, 'UNKNOWN'), 'unexpected', '500'],
    ['204', { kind: 'answer', status: 204 }, 'not-a-registry', '204'],
    ['200 of a web page', { kind: 'html' }, 'not-a-registry', 'text/html'],
    ['404 of a web page', { kind: 'html', status: 404 }, 'not-a-registry', 'text/html'],
  ])('the answer is not known: %s', async (_, action, kind, words) => {
    const { reader, registry } = await startClient();
    linkBlob(registry.state, APP, DIGEST, BYTES);
    registry.intercept(when(/blobs/, action));
    const asking = reader.hasBlob(APP, DIGEST);
    await expect(asking).rejects.toMatchObject({ name: 'RegistryError', kind });
    await expect(asking).rejects.toThrow(`look for the blob ${DIGEST} of ${APP}`);
    await expect(asking).rejects.toThrow(words);
  });

  it('may be answered by another place, without our credentials', async () => {
    const other = await startClient();
    const login = { kind: 'basic', username: 'u', password: 'p' } as const;
    const { reader, registry } = await startClient({ auth: login }, login);
    linkBlob(other.registry.state, APP, DIGEST, BYTES);
    registry.intercept(
      when(/blobs/, ({ headers }) =>
        headers.authorization === undefined
          ? undefined
          : {
              kind: 'answer',
              status: 307,
              headers: { Location: `${other.registry.url}/v2/${APP}/blobs/${DIGEST}` },
            },
      ),
    );
    expect(await reader.hasBlob(APP, DIGEST)).toBe(true);
    expect(other.registry.requests).toMatchObject([{ method: 'HEAD', authorization: false }]);
  });
});
