import { gunzipSync, gzipSync } from 'node:zlib';

import { afterEach, describe, expect, it } from '@jest/globals';

import { artifactOf, keyOf, parseEntryTag } from '../../../src/memory/ledger/artifact.js';
import { encodeEntry, type Entry } from '../../../src/memory/ledger/entry.js';
import { digestOf } from '../../../src/oci/digest.js';
import { APP } from '../../support/scenes/survey.js';
import { image, index } from '../../support/builders/build.js';
import type { Answer } from '../../support/servers/memory/answer.js';
import type { Action } from '../../support/servers/memory/script.js';
import { linkBlob, setTag } from '../../support/servers/memory/state.js';
import { seed } from '../../support/clients/push.js';
import { errorAnswer, stopClients, tally, when } from '../../support/clients/client.js';
import { recordsOf, sorted } from '../../support/builders/records.js';
import {
  before,
  freeing,
  LEDGER,
  startScene,
  WEB,
  type Scene,
} from '../../support/scenes/ledger.js';

afterEach(stopClients);

const a = image('a');
const b = image('b');

const entry: Entry = { repository: APP, sequence: 1, records: recordsOf([a, index([a, b])]) };

/** The blob that an entry's tag names. */
const blobOf = (tag: string): string => parseEntryTag(tag)?.blob ?? '';

/** Lets the tag point at an entry with this blob, valid or not. */
function plant({ registry, home }: Scene, blob: Buffer, repository = APP): string {
  const { tag, digest, mediaType, bytes } = artifactOf(repository, blob);
  linkBlob(registry.state, LEDGER, digestOf(blob), blob);
  home.manifests.set(digest, { mediaType, bytes });
  setTag(home, tag, digest);
  return tag;
}

describe.each([true, false])('a store, with digest headers: %s', (digestHeader) => {
  it('reads what it wrote', async () => {
    const scene = await startScene({ digestHeader });
    const writer = await scene.store();
    expect(await writer.write(entry)).toMatch(/^ledger-v1\./);

    for (const store of [writer, await scene.store()]) {
      const { entries, warnings } = await store.read(APP);
      expect(warnings).toEqual([]);
      expect(entries).toHaveLength(1);
      const [read] = entries;
      expect(read).toMatchObject({ repository: APP, sequence: 1 });
      expect(sorted(read?.records ?? new Map())).toEqual(sorted(entry.records));
      expect(read?.manifests.size).toBe(2);
      expect(scene.home.tags).toEqual(new Map([[read?.tag, read?.digest]]));
    }
  });

  it('knows whether an entry stands, and takes it away', async () => {
    const scene = await startScene({ digestHeader });
    await scene.put({ ...entry });
    await scene.put({ ...entry, sequence: 2 });
    const store = await scene.store();
    const [one, two] = (await store.read(APP)).entries;
    if (one === undefined || two === undefined) {
      throw new Error('two entries were put there');
    }
    expect([await store.stands(one), await store.stands(two)]).toEqual([true, true]);
    await store.remove(one);
    expect([await store.stands(one), await store.stands(two)]).toEqual([false, true]);
    expect([...scene.home.tags]).toEqual([[two.tag, two.digest]]);
    expect((await store.read(APP)).entries.map(({ tag }) => tag)).toEqual([two.tag]);
    expect(store.has(APP)).toBe(true);

    // Another run may have been faster.
    await store.remove(one);
    await store.remove(two);
    expect(store.has(APP)).toBe(false);
    expect(scene.home.manifests.size).toBe(0);
  });

  it('does not take another manifest under its tag for an entry', async () => {
    const scene = await startScene({ digestHeader });
    const tag = await scene.put(entry);
    const store = await scene.store();
    const [stored] = (await store.read(APP)).entries;
    seed(scene.registry.state, LEDGER, a, tag);
    expect(stored !== undefined && (await store.stands(stored))).toBe(false);
  });

  it('says of an entry that it was not written when its tag no longer exists', async () => {
    const scene = await startScene({ digestHeader });
    const store = await scene.store();
    scene.registry.intercept(
      when(/^PUT .*\/manifests\//, {
        kind: 'pass',
        after: () => {
          scene.home.tags.clear();
        },
      }),
    );
    expect(await store.write(entry)).toBeUndefined();
    scene.registry.intercept();
    expect(await store.write(entry)).toMatch(/^ledger-v1\./);
  });

  it('says of an entry that it was not written when its blob can’t be read back', async () => {
    const scene = await startScene({ digestHeader });
    const store = await scene.store();
    scene.registry.intercept(when(/^GET .*\/blobs\//, errorAnswer(404, 'BLOB_UNKNOWN')));
    expect(await store.write(entry)).toBeUndefined();
    // Nor does it count with it.
    expect(store.has(APP)).toBe(false);
  });
});

describe('a write', () => {
  it('costs two uploads, a manifest, and three questions', async () => {
    const scene = await startScene();
    const store = await scene.store();
    scene.registry.requests.length = 0;
    await store.write(entry);
    expect(tally(scene.registry)).toEqual({
      'POST upload': 2,
      'PUT upload': 2,
      'PUT manifest': 1,
      'HEAD manifest': 1,
      'GET blob': 2,
    });
  });

  it('pushes the config once, however many entries are written at once', async () => {
    const scene = await startScene();
    const store = await scene.store();
    scene.registry.requests.length = 0;
    const names = Array.from({ length: 8 }, (_, n) => `app-${String(n)}`);
    await Promise.all(names.map((repository) => store.write({ ...entry, repository })));
    expect(tally(scene.registry)).toMatchObject({ 'POST upload': 9, 'PUT manifest': 8 });
    expect(scene.home.tags.size).toBe(8);
  });

  it('pushes no config that is there', async () => {
    const scene = await startScene();
    await (await scene.store()).write(entry);
    scene.registry.requests.length = 0;
    await (await scene.store()).write({ ...entry, sequence: 2 });
    expect(tally(scene.registry)).toMatchObject({ 'POST upload': 1, 'GET blob': 2 });
  });

  it('pushes the config again when that failed', async () => {
    const scene = await startScene();
    const store = await scene.store();
    const config = digestOf(Buffer.from('{}')).replace(':', '%3A');
    scene.registry.intercept(
      when(new RegExp(`^PUT .*${config}`), errorAnswer(400, 'BLOB_UPLOAD_INVALID')),
    );
    await expect(store.write(entry)).rejects.toThrow('400');
    scene.registry.intercept();
    expect(await store.write({ ...entry, repository: WEB })).toMatch(/^ledger-v1\./);
  });

  it('pushes the manifest only when all that it names is there', async () => {
    const scene = await startScene();
    const store = await scene.store();
    scene.registry.intercept(when(/^PUT .*\/uploads\//, errorAnswer(400, 'DIGEST_INVALID')));
    await expect(store.write(entry)).rejects.toThrow('400');
    expect(tally(scene.registry)).not.toHaveProperty('PUT manifest');
  });

  it.each<[string, RegExp, Action]>([
    ['the upload', /^POST/, errorAnswer(500, 'UNKNOWN')],
    ['the manifest', /^PUT .*\/manifests\//, errorAnswer(400, 'MANIFEST_INVALID')],
    ['the look back', /^HEAD/, { kind: 'reset' }],
    ['the blob read back', /^GET .*\/blobs\//, { kind: 'rewrite', rewrite: damaged }],
  ])('fails with %s', async (_, pattern, action) => {
    const scene = await startScene();
    const store = await scene.store();
    scene.registry.intercept(when(pattern, action));
    await expect(store.write(entry)).rejects.toThrow();
    expect(store.has(APP)).toBe(false);
  });
});

function damaged(answer: Answer): Answer {
  const body = Buffer.from(answer.body);
  body.writeUInt8(body.readUInt8(20) ^ 1, 20);
  return { ...answer, body };
}

describe('the list of tags', () => {
  it('tells that the repository is unknown', async () => {
    const scene = await startScene();
    const store = await scene.store();
    expect(store).toMatchObject({ isEmpty: true, isShared: false });
    expect(store.has(APP)).toBe(false);
    expect(await store.read(APP)).toEqual({ entries: [], warnings: [] });
    // Nobody has to ask for what is not listed.
    expect(tally(scene.registry)).toEqual({ 'GET tags': 1 });
  });

  it('tells a repository with entries alone', async () => {
    const scene = await startScene();
    await scene.put({ repository: APP });
    const store = await scene.store();
    expect(store).toMatchObject({ isEmpty: false, isShared: false });
    expect([APP, WEB].map((name) => store.has(name))).toEqual([true, false]);
  });

  it('tells a repository with images alone', async () => {
    const scene = await startScene();
    seed(scene.registry.state, LEDGER, a, 'v1');
    expect(await scene.store()).toMatchObject({ isEmpty: true, isShared: true });
  });

  it('tells a repository with images beside entries', async () => {
    const scene = await startScene();
    await scene.put({ repository: WEB });
    seed(scene.registry.state, LEDGER, a, 'v1');
    const store = await scene.store();
    expect(store).toMatchObject({ isEmpty: false, isShared: true });
    expect([APP, WEB].map((name) => store.has(name))).toEqual([false, true]);
  });

  it('tells a repository with entries of a later version', async () => {
    const scene = await startScene();
    const tag = `ledger-v2.${keyOf(APP)}.${'0'.repeat(64)}`;
    seed(scene.registry.state, LEDGER, a, tag);
    const store = await scene.store();
    expect(store).toMatchObject({ isEmpty: false, isShared: false });
    expect(store.has(APP)).toBe(true);
  });

  it('is read page by page', async () => {
    const scene = await startScene({ tagPageSize: 2 });
    const names = ['a', 'b', 'c', 'd', 'e'];
    await Promise.all(names.map((repository) => scene.put({ repository })));
    const store = await scene.store();
    expect(names.map((name) => store.has(name))).toEqual(names.map(() => true));
  });

  it('fails as the request does', async () => {
    const scene = await startScene();
    scene.registry.intercept(when(/tags/, errorAnswer(403, 'DENIED')));
    await expect(scene.store()).rejects.toMatchObject({ kind: 'forbidden' });
  });
});

describe('a read', () => {
  it('returns all entries of one repository, and asks for no other', async () => {
    const scene = await startScene();
    await scene.put({ sequence: 1, records: recordsOf([a]) });
    await scene.put({ sequence: 2, records: recordsOf([b]) });
    await scene.put({ repository: WEB });
    const store = await scene.store();
    const { entries } = await store.read(APP);
    expect(entries.map(({ sequence }) => sequence).sort()).toEqual([1, 2]);
    expect(tally(scene.registry)).toEqual({ 'GET tags': 1, 'GET blob': 2 });
  });

  it('is repeated when another run has replaced an entry since the list', async () => {
    const scene = await startScene();
    const old = await scene.put({ sequence: 1, records: recordsOf([a]) });
    const store = await scene.store();
    scene.registry.intercept(
      before(/^GET .*\/blobs\//, async () => {
        await scene.put({ sequence: 2, records: recordsOf([a, b]) });
        scene.drop(old);
      }),
    );
    const { entries, warnings } = await store.read(APP);
    expect(warnings).toEqual([]);
    expect(entries.map(({ sequence }) => sequence)).toEqual([2]);
    expect(tally(scene.registry)).toEqual({ 'GET tags': 2, 'GET blob': 2 });
    // The list is kept: there is nothing to look for again.
    expect((await store.read(APP)).entries).toHaveLength(1);
    expect(tally(scene.registry)).toEqual({ 'GET tags': 2, 'GET blob': 3 });
  });

  it('is repeated when another run has merged one of two entries into the other', async () => {
    const scene = await startScene();
    const old = await scene.put({ sequence: 1, records: recordsOf([a]) });
    await scene.put({ sequence: 2, records: recordsOf([a, b]) });
    const store = await scene.store();
    scene.drop(old);
    const { entries, warnings } = await store.read(APP);
    expect(warnings).toEqual([]);
    expect(entries.map(({ sequence }) => sequence)).toEqual([2]);
  });

  it('finds nothing when all entries were deleted', async () => {
    const scene = await startScene();
    const old = await scene.put(entry);
    const store = await scene.store();
    scene.drop(old);
    expect(await store.read(APP)).toEqual({ entries: [], warnings: [] });
    expect(store.has(APP)).toBe(false);
  });

  it('skips with a warning an entry that is listed and has no content, and deletes nothing', async () => {
    const scene = await startScene();
    const [lost, whole] = [await scene.put(entry), await scene.put({ sequence: 2 })];
    scene.home.blobs.delete(blobOf(lost));
    const store = await scene.store();
    const { entries, warnings } = await store.read(APP);
    expect(entries.map(({ tag }) => tag)).toEqual([whole]);
    expect(warnings).toEqual([
      `${LEDGER}:${lost} is skipped: its content is missing [ledger-entry-skipped]`,
    ]);
    expect(scene.home.tags.size).toBe(2);
    expect(tally(scene.registry)).not.toHaveProperty('DELETE manifest');
  });

  it('is repeated 20 times at most', async () => {
    const scene = await startScene();
    const tag = await scene.put(entry);
    const digest = scene.home.tags.get(tag) ?? '';
    let n = 0;
    const store = await scene.store();
    scene.registry.requests.length = 0;
    // The registry's blobs are gone, and its list never twice the same.
    scene.registry.intercept(({ route }) => {
      if (route.kind === 'tags') {
        n += 1;
        scene.home.tags.clear();
        setTag(scene.home, `ledger-v1.${keyOf(APP)}.${String(n).padStart(64, '0')}`, digest);
      }
      return route.kind === 'blob' ? errorAnswer(404, 'BLOB_UNKNOWN') : undefined;
    });
    const { entries, warnings } = await store.read(APP);
    expect(entries).toEqual([]);
    expect(warnings).toEqual([]);
    expect(tally(scene.registry)).toMatchObject({ 'GET tags': 20, 'GET blob': 20 });
  });

  it('skips with a warning each that it does not understand, and deletes none', async () => {
    const scene = await startScene();
    const { registry, home } = scene;
    const later = `ledger-v2.${keyOf(APP)}.${'0'.repeat(64)}`;
    seed(registry.state, LEDGER, a, later);
    const broken = await scene.put({ sequence: 8 });
    const web = plant(scene, await encodeEntry({ ...entry, repository: WEB }));
    const text = plant(scene, Buffer.from('hello'));
    const whole = await encodeEntry(entry);
    const stored = JSON.parse(gunzipSync(whole).toString('utf8')) as {
      manifests: { body: string }[];
    };
    stored.manifests.forEach((each) => (each.body = each.body.replace(b.digest, a.digest)));
    const forged = plant(scene, gzipSync(JSON.stringify(stored)));
    const good = plant(scene, whole);
    registry.intercept(when(new RegExp(blobOf(broken)), { kind: 'rewrite', rewrite: damaged }));

    const store = await scene.store();
    const { entries, warnings } = await store.read(APP);
    expect(entries.map(({ tag }) => tag)).toEqual([good]);
    expect([...warnings].sort()).toEqual(
      [
        `${LEDGER}:${later} is skipped: a later version of this action wrote it [ledger-entry-skipped]`,
        `${LEDGER}:${broken} is skipped: its bytes are damaged [ledger-entry-skipped]`,
        `${LEDGER}:${web} is skipped: it is the memory of another repository [ledger-entry-skipped]`,
        `${LEDGER}:${text} is skipped: it can't be unpacked [ledger-entry-skipped]`,
        `${LEDGER}:${forged} is skipped: what it says of a manifest does not have the digest of that manifest [ledger-entry-skipped]`,
      ].sort(),
    );
    expect(home.tags.size).toBe(6);
    expect(tally(registry)).toEqual({ 'GET tags': 1, 'GET blob': 5 });
  });

  it('skips with a warning a content that is too large for an entry', async () => {
    const scene = await startScene();
    const tag = await scene.put(entry);
    const length = String(300 * 1024 * 1024);
    scene.registry.intercept(
      when(/^GET .*\/blobs\//, {
        kind: 'rewrite',
        rewrite: (answer) => ({ ...answer, headers: { 'Content-Length': length } }),
      }),
    );
    const store = await scene.store();
    const { entries, warnings } = await store.read(APP);
    expect(entries).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining(tag)]);
  });

  it.each<[string, Action]>([
    ['500', errorAnswer(500, 'UNKNOWN')],
    ['403', errorAnswer(403, 'DENIED')],
    ['no answer', { kind: 'reset' }],
    ['half an answer', { kind: 'truncate' }],
  ])('fails on %s: what could not be read is not nothing', async (_, action) => {
    const scene = await startScene();
    await scene.put(entry);
    await scene.put({ repository: WEB });
    const store = await scene.store();
    scene.registry.intercept(when(/^GET .*\/blobs\//, action));
    await expect(store.read(APP)).rejects.toThrow();
  });

  it('fails when a list that it needs again does', async () => {
    const scene = await startScene();
    scene.drop(await scene.put(entry));
    const tag = await scene.put(entry);
    const store = await scene.store();
    scene.drop(tag);
    scene.registry.intercept(when(/tags/, errorAnswer(500, 'UNKNOWN')));
    await expect(store.read(APP)).rejects.toThrow('500');
  });
});

describe('a delete of an entry', () => {
  it('goes by the digest of the manifest, and takes one request', async () => {
    const scene = await startScene();
    const tag = await scene.put(entry);
    const digest = scene.home.tags.get(tag) ?? '';
    const store = await scene.store();
    const [stored] = (await store.read(APP)).entries;
    scene.registry.requests.length = 0;
    scene.registry.intercept(freeing(scene));
    await (stored === undefined ? Promise.reject(new Error('lost')) : store.remove(stored));
    expect(scene.registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `DELETE /v2/${LEDGER}/manifests/${digest}`,
    ]);
    expect(scene.home.blobs.size).toBe(0);
  });

  it('needs no list that has the entry in it', async () => {
    const scene = await startScene();
    const early = await scene.store();
    await scene.put(entry);
    const [stored] = (await (await scene.store()).read(APP)).entries;
    await (stored === undefined ? Promise.reject(new Error('lost')) : early.remove(stored));
    expect(scene.home.tags.size).toBe(0);
    expect(early.has(APP)).toBe(false);
  });

  it('fails where it is refused, and the entry stays in the list', async () => {
    const scene = await startScene({ deleteEnabled: false });
    await scene.put(entry);
    const store = await scene.store();
    const [stored] = (await store.read(APP)).entries;
    await expect(
      stored === undefined ? Promise.resolve() : store.remove(stored),
    ).rejects.toMatchObject({ kind: 'deletes-off' });
    expect(store.has(APP)).toBe(true);
  });
});

describe('a tag that a delete has left behind', () => {
  it('is pushed and deleted once more', async () => {
    const scene = await startScene();
    const tag = await scene.put(entry);
    const store = await scene.store();
    const [stored] = (await store.read(APP)).entries;
    // Distribution 2.8.2 fails so when another tag comes or goes while it looks for those of the manifest.
    scene.registry.intercept(
      when(/^DELETE/, ({ attempt }) => {
        if (attempt > 1) {
          return undefined;
        }
        scene.home.manifests.delete(stored?.digest ?? '');
        return { kind: 'answer', status: 500 };
      }),
    );
    expect(stored).toBeDefined();
    await (stored && store.remove(stored));
    expect([...scene.home.tags.keys()]).not.toContain(tag);
    expect(scene.home.manifests.size).toBe(0);
    expect(tally(scene.registry)).toMatchObject({ 'DELETE manifest': 3, 'PUT manifest': 1 });
  });

  it('is not pushed again when it was only deleted by somebody else', async () => {
    const scene = await startScene();
    const tag = await scene.put(entry);
    const store = await scene.store();
    const [stored] = (await store.read(APP)).entries;
    scene.drop(tag);
    await (stored && store.remove(stored));
    expect(tally(scene.registry)).toMatchObject({ 'DELETE manifest': 1 });
    expect(tally(scene.registry)).not.toHaveProperty('PUT manifest');
  });

  it('is no entry once its content no longer exists either, and gives no warning', async () => {
    const scene = await startScene();
    const tag = await scene.put(entry);
    scene.home.manifests.clear();
    scene.home.blobs.delete(blobOf(tag));
    const store = await scene.store();
    expect(await store.read(APP)).toEqual({ entries: [], warnings: [] });
  });
});

describe('changes of the ledger', () => {
  it('are made one after the other, since a delete reads all tags of its repository', async () => {
    const scene = await startScene();
    for (const repository of ['a', 'b', 'c']) {
      await scene.put({ ...entry, repository });
    }
    const store = await scene.store();
    const read = await Promise.all(['a', 'b', 'c'].map((repository) => store.read(repository)));
    let open = 0;
    let most = 0;
    scene.registry.intercept(
      when(/^(?:DELETE|PUT) .*\/manifests\//, () => {
        open += 1;
        most = Math.max(most, open);
        return {
          kind: 'pass',
          delay: 5,
          after: () => {
            open -= 1;
          },
        };
      }),
    );
    await Promise.all([
      ...read.flatMap(({ entries }) => entries.map((each) => store.remove(each))),
      ...['d', 'e'].map((repository) => store.write({ ...entry, repository })),
    ]);
    expect(most).toBe(1);
    expect(scene.home.tags.size).toBe(2);
  });

  it('go on after one that failed', async () => {
    const scene = await startScene();
    await scene.put(entry);
    const store = await scene.store();
    const [stored] = (await store.read(APP)).entries;
    scene.registry.intercept(when(/^DELETE/, errorAnswer(405, 'UNSUPPORTED')));
    await expect(stored && store.remove(stored)).rejects.toThrow('405');
    expect(await store.write({ ...entry, sequence: 2 })).toBeDefined();
  });
});
