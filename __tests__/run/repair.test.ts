import { afterEach, describe, expect, it } from '@jest/globals';

import { repairRepository, type OldRecord, type RepairOptions } from '../../src/run/repair.js';
import type { Digest } from '../../src/oci/digest.js';
import {
  cosign,
  digestTag,
  image,
  index,
  opaque,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { setTag } from '../support/servers/memory/state.js';
import { errorAnswer, stopClients, when } from '../support/clients/client.js';
import { DAY, NOW, parsed } from '../support/builders/inventories.js';
import { digests, startScene, type Scene } from '../support/scenes/survey.js';

afterEach(stopClients);

const child = image('child');
const other = image('other');
const list = index([child, other]);

/** What the ledger holds of contents that an earlier run deleted. */
function deleted(
  contents: readonly Content[],
  more: Partial<OldRecord> = {},
): Map<Digest, OldRecord> {
  return new Map(
    contents.map(({ digest, mediaType, bytes }) => [
      digest,
      { mediaType, body: bytes.toString(), status: 'deleted', condemned: NOW - DAY, ...more },
    ]),
  );
}

async function repaired(
  { look, client }: { look: Scene['look']; client: Scene },
  records: ReadonlyMap<Digest, OldRecord>,
  more: Partial<RepairOptions> = {},
) {
  const manifests = new Map(
    [...records].flatMap(([digest, { mediaType, body }]) => {
      const bytes = Buffer.from(body);
      return [[digest, parsed({ ...child, digest, mediaType, bytes })] as const];
    }),
  );
  const past = new Map(
    [...records].map(([digest, { mediaType: _, body: __, ...rest }]) => [
      digest,
      { ...rest, firstSeen: 0, everInUse: false, since: 0 },
    ]),
  );
  const survey = await look([], { known: { manifests, past } });
  const { reader, pusher } = client;
  return repairRepository(survey, records, {
    reader,
    pusher,
    concurrency: 4,
    now: NOW,
    ...more,
  });
}

/** A repository with an index from which these have been deleted. */
async function without(...gone: readonly Content[]) {
  const scene = await startScene();
  scene.put(list, 'v1');
  gone.forEach(({ digest }) => scene.app.manifests.delete(digest));
  return { scene, look: scene.look, client: scene, app: scene.app };
}

describe('needed-returns: a manifest that an earlier run deleted', () => {
  it('is restored if a kept index lists it', async () => {
    const at = await without(child, other);
    const result = await repaired(at, deleted([child, other]));
    expect(result).toEqual({
      restored: digests([child, other]).sort(),
      failed: [],
      failedTags: [],
    });
    expect(at.app.manifests.get(child.digest)?.bytes).toEqual(child.bytes);
  });

  it('is restored if a kept manifest of an unknown type mentions it', async () => {
    const scene = await startScene();
    scene.put(opaque('application/x', { about: child.digest }), 'v1');
    scene.put(child);
    scene.app.manifests.delete(child.digest);
    const result = await repaired({ look: scene.look, client: scene }, deleted([child]));
    expect(result?.restored).toEqual([child.digest]);
  });

  it('is restored with its children, its referrers, and their digest tags', async () => {
    const scene = await startScene();
    const inner = index([child]);
    const signature = cosign('sig', inner);
    const sbom = referrer('sbom', inner);
    const tag = digestTag(inner.digest, 'sig');
    scene.put(index([inner]), 'v1');
    [signature, sbom].forEach((content) => {
      scene.put(content);
    });
    const all = [child, inner, signature, sbom];
    digests(all).forEach((digest) => scene.app.manifests.delete(digest));
    const records = new Map([
      ...deleted([child, inner, sbom]),
      ...deleted([signature], { tags: [tag, 'latest'] }),
    ]);
    const result = await repaired({ look: scene.look, client: scene }, records);
    expect(result).toEqual({ restored: digests(all).sort(), failed: [], failedTags: [] });
    expect(scene.app.tags.get(tag)).toBe(signature.digest);
    // What an ordinary tag pointed at before says nothing of now.
    expect(scene.app.tags.has('latest')).toBe(false);
  });

  it('leaves a digest tag where it is now', async () => {
    const scene = await startScene();
    const signature = cosign('sig', child);
    const newer = cosign('sbom', child);
    const tag = digestTag(child.digest, 'sig');
    scene.put(list, 'v1');
    scene.put(newer, tag);
    scene.app.manifests.delete(child.digest);
    const records = new Map([...deleted([child]), ...deleted([signature], { tags: [tag] })]);
    const result = await repaired({ look: scene.look, client: scene }, records);
    expect(result?.restored).toEqual([child.digest]);
    expect(scene.app.tags.get(tag)).toBe(newer.digest);
  });

  it.each<[string, Partial<OldRecord>]>([
    ['more than thirty days ago', { condemned: NOW - 30 * DAY }],
    ['by nobody that is known', { condemned: undefined }],
  ])('is not restored if it was deleted %s', async (_, more) => {
    const at = await without(child);
    expect(await repaired(at, deleted([child], more))).toBeUndefined();
    expect(at.app.manifests.has(child.digest)).toBe(false);
  });

  it('is not restored if nothing needs it', async () => {
    const at = await without();
    expect(await repaired(at, deleted([image('unneeded')]))).toBeUndefined();
    expect(await repaired(at, new Map())).toBeUndefined();
  });

  it('is not reported if it is there after all', async () => {
    const at = await without();
    const survey = await at.look([], {});
    const { reader, pusher } = at.client;
    const manifests = new Map(survey.inventory.manifests);
    manifests.delete(child.digest);
    const late = { ...survey, inventory: { ...survey.inventory, manifests } };
    const result = await repairRepository(late, deleted([child]), {
      reader,
      pusher,
      concurrency: 1,
      now: NOW,
    });
    expect(result).toBeUndefined();
  });

  it('is only reported in a dry-run', async () => {
    const at = await without(child);
    const { reader } = at.client;
    const survey = await at.look([]);
    const result = await repairRepository(survey, deleted([child]), {
      reader,
      concurrency: 1,
      now: NOW,
    });
    expect(result?.restored).toEqual([child.digest]);
    expect(at.app.manifests.has(child.digest)).toBe(false);
  });

  it('is reported with the reason if it can not be restored, and so is its tag', async () => {
    const at = await without(child);
    const tag = digestTag(child.digest, 'sig');
    const signature = cosign('sig', child);
    at.scene.registry.intercept(when(/^PUT /, errorAnswer(403, 'DENIED')));
    at.scene.put(signature);
    at.app.manifests.delete(signature.digest);
    const twice = { tags: [digestTag(child.digest, 'att'), tag] };
    const records = new Map([...deleted([child]), ...deleted([signature], twice)]);
    const result = await repaired(at, records);
    expect(result?.restored).toEqual([]);
    expect(result?.failed.map(({ digest }) => digest)).toEqual(digests([child, signature]).sort());
    expect(result?.failedTags.map((each) => each.tag)).toEqual(twice.tags);
  });
});

describe('a tag without a manifest', () => {
  /** The tag is listed, and points at what was deleted. */
  async function dangling(tag = 'v9') {
    const scene = await startScene();
    scene.put(image('current'), 'v1');
    scene.put(child);
    scene.app.manifests.delete(child.digest);
    setTag(scene.app, tag, child.digest);
    return { scene, look: scene.look, client: scene, app: scene.app };
  }
  const leaving = { status: 'leaving' } as const;

  it('resolves again with a manifest that a run was about to delete', async () => {
    const at = await dangling();
    const result = await repaired(at, deleted([child], leaving));
    expect(result?.restored).toEqual([child.digest]);
    expect(at.app.manifests.has(child.digest)).toBe(true);
  });

  it('is tried first with the manifest that had the tag before, and with no more than needed', async () => {
    const at = await dangling();
    const records = new Map([
      ...deleted([other], leaving),
      ...deleted([child], { ...leaving, tags: ['v9'] }),
    ]);
    const result = await repaired(at, records);
    expect(result?.restored).toEqual([child.digest]);
  });

  it('is tried with twenty at most', async () => {
    const at = await dangling();
    const many = Array.from({ length: 25 }, (_, n) => image(`try ${String(n)}`));
    many.forEach((content) => {
      at.scene.put(content);
      at.app.manifests.delete(content.digest);
    });
    const result = await repaired(at, deleted(many, leaving));
    expect(result?.restored).toHaveLength(20);
  });

  it.each([
    ['what was deleted by a run that came to its end', 'v9', {}],
    ['anything, if it is a digest tag', digestTag(other.digest, 'sig'), leaving],
  ])('is not tried with %s', async (_, tag, more) => {
    const at = await dangling(tag);
    expect(await repaired(at, deleted([child], more))).toBeUndefined();
  });

  it('is not tried with anything in a dry-run', async () => {
    const at = await dangling();
    const { reader } = at.client;
    const options = { reader, concurrency: 1, now: NOW };
    const survey = await at.look([]);
    expect(await repairRepository(survey, deleted([child], leaving), options)).toBeUndefined();
  });
});
