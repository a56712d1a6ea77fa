/** What only Google's registry does: its list inside tags/list, and its refusals to delete what something names. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { familyOf, openRegistry } from '../../../src/registry/families/families.js';
import { cosign, digestTag, image, index, type Content } from '../../support/builders/build.js';
import { when } from '../../support/clients/client.js';
import { seed } from '../../support/clients/push.js';
import { connect, run, type RunOptions } from '../../support/scenes/run.js';
import {
  startGoogleRegistry,
  type GoogleRegistry,
  type GoogleRegistryOptions,
} from '../../support/servers/google/registry.js';
import { withFields, withoutMap } from '../../support/servers/google/tag-list.js';

const APP = 'project/team/app';
const [kept, orphan] = [image('kept'), image('orphan')];

const ended: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(ended.splice(0).map((end) => end()));
});

async function start(options?: GoogleRegistryOptions): Promise<GoogleRegistry> {
  const registry = await startGoogleRegistry(options);
  ended.push(() => registry.stop());
  seed(registry.state, APP, kept, 'latest');
  seed(registry.state, APP, orphan);
  return registry;
}

function open({ url }: GoogleRegistry) {
  const { transport, quote } = connect({ url });
  ended.push(async () => {
    transport.close();
  });
  return openRegistry({ registry: new URL(url), registryType: 'google' }, { ...transport, quote });
}

const clean = ({ url }: GoogleRegistry, more: Partial<RunOptions> = {}) =>
  run({ url, registryType: 'google', repositories: [APP], candidates: new Map(), ...more });

const list = (registry: GoogleRegistry) => open(registry).lister?.manifests(APP);
const has = ({ state }: GoogleRegistry, { digest }: Content) =>
  state.repositories.get(APP)?.manifests.has(digest) === true;

describe('the address', () => {
  it.each([
    ['https://europe-west1-docker.pkg.dev', 'google'],
    ['https://gcr.io', 'google'],
    ['https://eu.gcr.io', 'google'],
    ['https://gcr.io.example.com', 'distribution'],
    ['https://notgcr.io', 'distribution'],
    ['https://registry.example.com', 'distribution'],
  ])('the address %s belongs to a registry of the type %s', (url, name) => {
    expect(familyOf({ registry: new URL(url), registryType: 'auto' })?.name).toBe(name);
  });
});

describe('the list', () => {
  it('the lister reads it page by page', async () => {
    const registry = await start({ pageSize: 1 });
    expect(new Set((await list(registry))?.keys())).toEqual(new Set([kept.digest, orphan.digest]));
    expect(registry.requests.length).toBeGreaterThan(1);
  });

  it.each<[string, unknown, number | undefined]>([
    ['a number', 1_600_000_000_000, 1_600_000_000_000],
    ['0, which nobody knows', '0', undefined],
    ['absent', undefined, undefined],
  ])('may give the time of a push as %s', async (_, timeUploadedMs, pushedAt) => {
    const registry = await start();
    registry.editList(withFields(orphan.digest, { timeUploadedMs }));
    expect((await list(registry))?.get(orphan.digest)?.pushedAt).toBe(pushedAt);
  });

  it('may have null where a manifest has no tag', async () => {
    const registry = await start();
    registry.editList(withFields(orphan.digest, { tag: null }));
    expect((await list(registry))?.get(orphan.digest)?.tags).toEqual([]);
  });

  it.each([
    ['no map of manifests', withoutMap, '`registry-type`'],
    ['a time that is no number', withFields(orphan.digest, { timeUploadedMs: 'soon' }), 'form'],
    ['a negative time', withFields(orphan.digest, { timeUploadedMs: '-1' }), 'form'],
    ['a digest that is none', withFields(orphan.digest, {}, 'sha256:short'), 'algorithm'],
  ])('a list with %s is a gap, and nothing is deleted', async (_, edit, words) => {
    const registry = await start();
    registry.editList(edit);
    const { green, complaints } = await clean(registry);
    expect(green).toBe(false);
    expect(complaints.join('\n')).toContain(words);
    expect(has(registry, orphan)).toBe(true);
  });

  it('a list of another registry says that the type may be wrong', async () => {
    const registry = await start();
    registry.editList(withoutMap);
    await expect(list(registry)).rejects.toThrow('Is `registry-type` right?');
  });
});

describe('a manifest that something comes to name after the recheck', () => {
  /** Does this once, right before the first DELETE of the orphan. */
  function before(registry: GoogleRegistry, change: () => void): void {
    let isDone = false;
    registry.intercept(
      when(new RegExp(`^DELETE .*${orphan.digest}`), () => {
        if (!isDone) {
          isDone = true;
          change();
        }
        return undefined;
      }),
    );
  }

  it('a tag keeps it, and the run is green', async () => {
    const registry = await start();
    before(registry, () => {
      seed(registry.state, APP, orphan, 'v2');
    });
    const { green, run: done } = await clean(registry);
    expect(green).toBe(true);
    expect(has(registry, orphan)).toBe(true);
    expect([...(done?.repositories[0]?.fates.values() ?? [])]).toEqual([
      { kind: 'kept', reason: { kind: 'tagged', tags: ['v2'] } },
    ]);
  });

  it('a tag keeps it with its signature, which keeps its tag', async () => {
    const registry = await start();
    const signature = cosign('sig', orphan);
    const tag = digestTag(orphan.digest, 'sig');
    seed(registry.state, APP, signature, tag);
    before(registry, () => {
      seed(registry.state, APP, orphan, 'v2');
    });
    const { green, complaints } = await clean(registry);
    expect(complaints).toEqual([]);
    expect(green).toBe(true);
    expect(registry.state.repositories.get(APP)?.tags.get(tag)).toBe(signature.digest);
  });

  it('an index keeps it, and the run is green', async () => {
    const registry = await start();
    const multi = index([orphan]);
    before(registry, () => {
      seed(registry.state, APP, multi, 'multi');
    });
    const { green, run: done } = await clean(registry);
    expect(green).toBe(true);
    expect(has(registry, orphan)).toBe(true);
    expect([...(done?.repositories[0]?.fates.values() ?? [])]).toMatchObject([{ kind: 'kept' }]);
  });

  it('the delete fails where nothing that names it is seen', async () => {
    const registry = await start();
    registry.intercept(
      when(new RegExp(`^DELETE .*${orphan.digest}`), {
        kind: 'answer',
        status: 400,
        headers: { 'Content-Type': 'application/json' },
        body: '{"errors":[{"code":"GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE","message":"still referenced"}]}',
      }),
    );
    const { green, complaints } = await clean(registry);
    expect(green).toBe(false);
    expect(complaints.join('\n')).toMatch(/A tag or an index names it.*\[still-referenced\]/);
    expect(has(registry, orphan)).toBe(true);
  });
});

describe('a token', () => {
  const keyJson = '{"type":"service_account"}';
  const credentials = { kind: 'basic', username: '_json_key', password: keyJson } as const;

  it('a token that the registry takes no longer, and says no more of it, is renewed', async () => {
    const registry = await start({ auth: { keyJson, maxUses: 2 } });
    const { green, complaints } = await clean(registry, { credentials });
    expect(complaints).toEqual([]);
    expect(green).toBe(true);
    expect(has(registry, orphan)).toBe(false);
  });

  it('a token that no login helps against makes the run red, and is asked for a few times only', async () => {
    const registry = await start({ auth: { keyJson, maxUses: 0 } });
    const { green } = await clean(registry, { credentials });
    expect(green).toBe(false);
    expect(has(registry, orphan)).toBe(true);
    const asked = registry.requests.filter(({ path }) => path.startsWith('/v2/token'));
    expect(asked.length).toBeLessThan(10);
  });
});

describe('a ledger that the user names', () => {
  it('remembers bodies, so that a later run reads only new manifests', async () => {
    const registry = await start();
    const ledgerRepository = 'project/team/ledger';
    const options = { ledgerRepository, dryRun: false, gracePeriod: 0 };
    await clean(registry, options);
    expect(has(registry, orphan)).toBe(false);
    const fresh = image('fresh');
    seed(registry.state, APP, fresh, 'v3');
    registry.requests.length = 0;
    const { green } = await clean(registry, options);
    expect(green).toBe(true);
    const read = registry.requests
      .filter(({ method, path }) => method === 'GET' && path.includes(`${APP}/manifests/`))
      .map(({ path }) => path.split('/').at(-1));
    expect(new Set(read)).toEqual(new Set([fresh.digest]));
  });
});
