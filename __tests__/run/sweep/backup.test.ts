import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BackupError, fileOf, INDEX, openBackup } from '../../../src/run/backup/backup.js';
import { readBackup } from '../../../src/run/backup/read.js';
import { cosign, digestTag, image, index, referrer } from '../../support/builders/build.js';
import { setTag } from '../../support/servers/memory/state.js';
import { stopClients, when } from '../../support/clients/client.js';
import { DAY, NOW } from '../../support/builders/inventories.js';
import { APP, digests, remembered, startScene, type Looking } from '../../support/scenes/survey.js';
import path from 'node:path';
import {
  current,
  old,
  older,
  NOTHING,
  carryOut,
  sweep,
  deletes,
} from '../../support/scenes/sweeping.js';

afterEach(stopClients);

describe('the backup', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'sweep-backup-'));
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  const saving =
    (where: string): Looking['save'] =>
    (manifests) =>
      openBackup(where).save(
        manifests.map((each) => ({ ...each, registry: 'http://127.0.0.1', savedAt: NOW })),
      );

  it('has the bytes and the index before the recheck, and so before the first delete', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(cosign('sig', old), digestTag(old.digest, 'sig'));
    const missing: string[] = [];
    const survey = await scene.look([old]);
    scene.registry.intercept(({ method, path: where }) => {
      const files = [path.join(directory, INDEX), fileOf(directory, old.digest)];
      missing.push(
        ...files.filter((file) => !existsSync(file)).map((file) => `${method} ${where}: ${file}`),
      );
      return undefined;
    });
    const save = saving(directory);
    const outcome = await carryOut(survey, digests([old]), scene.options({ save }));
    expect(outcome.deleted).toHaveLength(2);
    expect(missing).toEqual([]);
  });

  it('gets the id that the list of manifests has of an orphan', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(older);
    const { inventory, ...survey } = await scene.look([old, older]);
    const listing = new Map([[old.digest, { tags: [], id: '45763' }]]);
    await carryOut(
      { ...survey, inventory: { ...inventory, listing } },
      digests([old, older]),
      scene.options({ save: saving(directory) }),
    );
    const { entries } = await readBackup(directory, 'http://127.0.0.1');
    expect(new Map(entries.map(({ digest, id }) => [digest, id]))).toEqual(
      new Map([
        [old.digest, '45763'],
        [older.digest, undefined],
      ]),
    );
  });

  it('gets the tags, the reason and the type of each orphan, and no kept manifest', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    const sig = cosign('sig', old);
    setTag(scene.app, digestTag(old.digest, 'att'), sig.digest);
    scene.put(sig, digestTag(old.digest, 'sig'));
    const saved: unknown[] = [];
    const save: Looking['save'] = async (manifests) => {
      saved.push(...manifests);
    };
    await sweep(scene, [old], undefined, { save });
    const { mediaType } = old;
    expect(saved).toEqual([
      {
        repository: APP,
        digest: old.digest,
        mediaType,
        tags: [],
        reason: { kind: 'unreachable' },
        bytes: old.bytes,
      },
      {
        repository: APP,
        digest: sig.digest,
        mediaType,
        tags: [digestTag(old.digest, 'att'), digestTag(old.digest, 'sig')],
        reason: expect.objectContaining({ kind: 'digest-tag', of: old.digest }),
        bytes: sig.bytes,
      },
    ]);
  });

  it('gets the tags that once pointed at each orphan, and since when nothing uses it', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    const tag = digestTag(old.digest, 'sig');
    scene.put(old);
    scene.put(cosign('sig', old), tag);
    const known = remembered([old, cosign('sig', old)], { tags: ['v1', tag] });
    const saved: unknown[] = [];
    const save: Looking['save'] = async (manifests) => {
      saved.push(...manifests);
    };
    const survey = await scene.look([], { known });
    await carryOut(survey, [], scene.options({ save }));
    expect(saved).toMatchObject([
      { tags: [], formerTags: [tag, 'v1'], unusedSince: NOW - 30 * DAY },
      { tags: [tag], formerTags: ['v1'], unusedSince: NOW - 30 * DAY },
    ]);
  });

  describe('the backup of an orphan that a signature tag names since the plan', () => {
    const tag = digestTag(older.digest, 'sig');
    const ordinary = image('ordinary');

    async function retagged(more: Partial<Looking>) {
      const scene = await startScene();
      const condemned = [old, older, ordinary];
      condemned.forEach((content) => {
        scene.put(content);
      });
      const saved: (readonly (readonly [string, readonly string[]])[])[] = [];
      const save: Looking['save'] = async (manifests) => {
        saved.push(manifests.map(({ digest, tags }) => [digest, tags]));
        await more.save?.(manifests);
      };
      const outcome = await sweep(
        scene,
        condemned,
        () => {
          setTag(scene.app, tag, old.digest);
          setTag(scene.app, 'v1', ordinary.digest);
        },
        { ...more, save },
      );
      return { scene, saved, outcome };
    }

    it('is written once more with that tag, and not for what is kept', async () => {
      const { saved, outcome } = await retagged({});
      expect(saved.slice(1)).toEqual([[[old.digest, [tag]]]]);
      expect(outcome.deleted).toEqual(digests([older, old]));
      expect(outcome.kept.map(({ digest }) => digest)).toEqual([ordinary.digest]);
    });

    it('prevents the delete if it can not be written with that tag', async () => {
      const save: Looking['save'] = async ([{ tags } = { tags: [] }]) => {
        if (tags.length > 0) {
          throw new BackupError('full');
        }
      };
      const { scene, outcome } = await retagged({ save });
      expect(outcome.skipped).toEqual(
        digests([old, older])
          .sort()
          .map((digest) => ({ digest, why: 'full [backup-unusable]' })),
      );
      expect(deletes(scene)).toEqual([]);
    });

    it('restores it with that tag, if it has to', async () => {
      const scene = await startScene();
      scene.put(old);
      scene.put(older);
      const list = index([older]);
      const outcome = await sweep(scene, [old, older], () => {
        setTag(scene.app, tag, old.digest);
        scene.registry.intercept(
          when(`DELETE /v2/${APP}/manifests/${old.digest}`, {
            kind: 'pass',
            after: () => {
              const { digest, mediaType, bytes } = list;
              scene.app.manifests.set(digest, { mediaType, bytes });
              setTag(scene.app, 'late', digest);
            },
          }),
        );
      });
      expect(new Set(outcome.restored)).toEqual(new Set(digests([old, older])));
      expect(scene.app.tags.get(tag)).toBe(old.digest);
    });
  });

  it('restores a tag that has moved between two signatures to the latter', async () => {
    const [one, two] = [referrer('one', old), referrer('two', old)];
    const tag = digestTag(old.digest, 'sig');
    const list = index([old]);
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(old);
    scene.put(one, tag);
    scene.put(two);
    const survey = await scene.look([old, one, two]);
    scene.put(two, tag);
    // A push brings an index over the image at the moment of its delete: all of it has to come back.
    scene.registry.intercept(
      when(new RegExp(`^DELETE .*${old.digest}`), {
        kind: 'pass',
        after: () => {
          scene.app.manifests.set(list.digest, { mediaType: list.mediaType, bytes: list.bytes });
          setTag(scene.app, 'late', list.digest);
        },
      }),
    );
    scene.registry.requests.length = 0;
    const outcome = await carryOut(survey, digests([old, one, two]), scene.options());
    expect(outcome.broken).toEqual([]);
    expect(new Set(outcome.restored)).toEqual(new Set(digests([old, one, two])));
    expect(scene.app.tags.get(tag)).toBe(two.digest);
    const pushed = scene.registry.requests.filter(
      ({ method, path: where }) => method === 'PUT' && where.endsWith(tag),
    );
    expect(pushed).toHaveLength(1);
  });

  it('prevents all reads and deletes if it can not be written, and each orphan says why', async () => {
    const file = path.join(directory, 'file');
    writeFileSync(file, '');
    const scene = await startScene();
    scene.put(old);
    scene.put(older);
    const outcome = await sweep(scene, [old, older], undefined, { save: saving(file) });
    const why = expect.stringMatching(
      /^the manifests to delete could not be saved in .*backup-dir/,
    );
    expect(outcome).toEqual({
      ...NOTHING,
      skipped: digests([old, older])
        .sort()
        .map((digest) => ({ digest, why })),
    });
    expect(scene.registry.requests).toEqual([]);
  });

  it('prevents all deletes if it lacks the bytes of one orphan', async () => {
    const scene = await startScene();
    scene.put(old);
    scene.put(older);
    const survey = await scene.look([old, older]);
    const bodies = new Map([...survey.bodies].filter(([digest]) => digest !== older.digest));
    const outcome = await carryOut(
      { ...survey, bodies },
      digests([old, older]),
      scene.options({ save: saving(directory) }),
    );
    expect(outcome.skipped).toEqual(
      digests([old, older])
        .sort()
        .map((digest) => ({ digest, why: expect.stringContaining(older.digest) })),
    );
    expect(deletes(scene)).toEqual([]);
  });

  it('prevents all deletes if the type of one orphan is not known', async () => {
    const scene = await startScene();
    scene.put(old);
    const survey = await scene.look([old]);
    const inventory = { ...survey.inventory, manifests: new Map() };
    const save = saving(directory);
    const outcome = await carryOut(
      { ...survey, inventory },
      digests([old]),
      scene.options({ save }),
    );
    expect(outcome.skipped).toHaveLength(1);
    expect(deletes(scene)).toEqual([]);
  });

  it('throws faults of this program, and nothing is deleted', async () => {
    const scene = await startScene();
    scene.put(old);
    const save = () => Promise.reject(new TypeError('ours'));
    await expect(sweep(scene, [old], undefined, { save })).rejects.toThrow(TypeError);
    expect(scene.registry.requests).toEqual([]);
  });
});
