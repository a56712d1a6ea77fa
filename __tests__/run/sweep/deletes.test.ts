import { afterEach, describe, expect, it } from '@jest/globals';
import { cosign, digestTag, image, index, referrer } from '../../support/builders/build.js';
import { setTag } from '../../support/servers/memory/state.js';
import { stopClients, tally, when } from '../../support/clients/client.js';
import { digests, startScene } from '../../support/scenes/survey.js';
import { current, old, older, NOTHING, sweep, deletes } from '../../support/scenes/sweeping.js';

afterEach(stopClients);

describe('a sweep', () => {
  it('deletes the orphans and nothing else', async () => {
    const scene = await startScene();
    const list = index([current, image('a')]);
    scene.put(list, 'v1');
    scene.put(old);
    scene.put(older);
    expect(await sweep(scene, [old, older, current])).toEqual({
      ...NOTHING,
      deleted: digests([old, older]).sort(),
    });
    expect(new Set(scene.app.manifests.keys())).toEqual(
      new Set(digests([list, current, image('a')])),
    );
  });

  it('costs a recheck, a DELETE each, and a verify', async () => {
    const scene = await startScene();
    scene.put(index([current]), 'v1', 'latest');
    scene.put(old);
    await sweep(scene, [old]);
    expect(tally(scene.registry)).toEqual({
      // once before and once after
      'GET tags': 2,
      // 2 tags before the deletes, and after them
      'GET manifest': 4,
      // the child and what was deleted
      'HEAD manifest': 2,
      // whether there is such an API: the first look's answer does not count
      'GET referrers': 1,
      'DELETE manifest': 1,
    });
  });

  it('leaves nothing for a second sweep to delete', async () => {
    const scene = await startScene();
    scene.put(current, 'v1');
    scene.put(index([old]));
    scene.put(cosign('sig', old), digestTag(old.digest, 'sig'));
    await sweep(scene, [index([old])]);
    expect((await scene.look([index([old]), old])).plan.orphans).toEqual([]);
  });

  it('deletes by digest only, parents before children, subjects before referrers', async () => {
    const scene = await startScene();
    const sbom = referrer('sbom', old);
    const sig = cosign('sig', old);
    const inner = index([old]);
    const outer = index([inner]);
    [outer, sbom].forEach((content) => {
      scene.put(content);
    });
    scene.put(sig, digestTag(old.digest, 'sig'));
    const outcome = await sweep(scene, [sbom, old, outer]);
    expect(deletes(scene)).toEqual([
      ...digests([outer, inner, old]),
      ...digests([sbom, sig]).sort(),
    ]);
    expect(outcome.deleted).toEqual(deletes(scene));
  });

  it('waits for the answer about a parent before it asks for the child', async () => {
    const scene = await startScene();
    scene.put(index([old]));
    let answered = false;
    let early = false;
    scene.registry.intercept((request) => {
      if (request.method !== 'DELETE') {
        return undefined;
      }
      if (request.path.endsWith(old.digest)) {
        early = !answered;
        return undefined;
      }
      return {
        kind: 'pass',
        delay: 20,
        after: () => {
          answered = true;
        },
      };
    });
    await sweep(scene, [index([old])], undefined, { concurrency: 16 });
    expect(early).toBe(false);
    expect(scene.app.manifests.size).toBe(0);
  });
});

describe('orphans with a tag', () => {
  const signatures = Array.from({ length: 5 }, (_, n) =>
    cosign('sig', image(`signed ${String(n)}`)),
  );

  it('are deleted one after the other, since a delete reads all tags; those without do not wait', async () => {
    const scene = await startScene();
    const images = Array.from({ length: 5 }, (_, n) => image(`signed ${String(n)}`));
    images.forEach((each, n) => {
      scene.put(each);
      scene.put(signatures[n] ?? each, digestTag(each.digest, 'sig'));
    });
    const open = { tagged: 0, all: 0 };
    const most = { tagged: 0, all: 0 };
    const count = (isTagged: boolean, by: 1 | -1) => {
      open.all += by;
      open.tagged += isTagged ? by : 0;
      most.all = Math.max(most.all, open.all);
      most.tagged = Math.max(most.tagged, open.tagged);
    };
    scene.registry.intercept(
      when(/^DELETE/, ({ path }) => {
        const isTagged = signatures.some(({ digest }) => path.endsWith(digest));
        count(isTagged, 1);
        return {
          kind: 'pass',
          delay: 10,
          after: () => {
            count(isTagged, -1);
          },
        };
      }),
    );
    const { deleted } = await sweep(scene, images, undefined, { concurrency: 16 });
    expect(deleted).toHaveLength(10);
    expect(most.tagged).toBe(1);
    expect(most.all).toBeGreaterThan(1);
  });

  it('are deleted one after the other, too, if they got their tag only after the plan was made', async () => {
    const scene = await startScene();
    const images = Array.from({ length: 4 }, (_, n) => image(`signed ${String(n)}`));
    const late = Array.from({ length: 4 }, (_, n) => image(`tagged late ${String(n)}`));
    [...images, ...late].forEach((each) => {
      scene.put(each);
    });
    let open = 0;
    let most = 0;
    const tag = () => {
      images.forEach(({ digest }, n) => {
        setTag(scene.app, digestTag(digest, 'sig'), late[n]?.digest ?? '');
      });
      scene.registry.intercept(
        when(/^DELETE/, ({ path }) => {
          const by = late.some(({ digest }) => path.endsWith(digest)) ? 1 : 0;
          open += by;
          most = Math.max(most, open);
          return {
            kind: 'pass',
            delay: 10,
            after: () => {
              open -= by;
            },
          };
        }),
      );
    };
    const { deleted } = await sweep(scene, [...images, ...late], tag, { concurrency: 16 });
    expect(deleted).toHaveLength(8);
    expect(most).toBe(1);
  });

  it('are not tried any more once a delete was refused', async () => {
    const scene = await startScene({ deleteEnabled: false });
    signatures.forEach((each, n) => {
      scene.put(each, digestTag(image(`signed ${String(n)}`).digest, 'sig'));
    });
    const more = { concurrency: 16, policy: { danglingReferrers: 'delete' } } as const;
    const { failed, skipped } = await sweep(scene, [], undefined, more);
    expect([failed.length, skipped.length]).toEqual([1, 4]);
    expect(deletes(scene)).toHaveLength(1);
  });
});

it('a sweep never deletes a manifest that the registry served under another digest', async () => {
  const scene = await startScene();
  scene.put(old);
  const lie = image('lie').digest;
  scene.registry.intercept(
    when(new RegExp(`GET .*${lie}`), {
      kind: 'answer',
      status: 200,
      headers: { 'Content-Type': old.mediaType },
      body: old.bytes,
    }),
  );
  const survey = await scene.look([image('lie'), old]);
  expect(survey.plan.orphans).toEqual([]);
  expect(survey.inventory.gaps).toHaveLength(1);
});
