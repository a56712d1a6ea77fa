/** Entries of the ledger that somebody else has written. */
import { afterEach, describe, expect, it } from '@jest/globals';

import { surveyRepository } from '../../../src/run/survey.js';
import { artifactOf } from '../../../src/memory/ledger/artifact.js';
import { digestOf } from '../../../src/oci/digest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { fate, policy } from '../../support/builders/inventories.js';
import { APP } from '../../support/scenes/survey.js';
import { fakeClock } from '../../support/scenes/fake-clock.js';
import { image, opaque, referrer, type Content } from '../../support/builders/build.js';
import { seed } from '../../support/clients/push.js';
import { stopClients } from '../../support/clients/client.js';
import { recordOf, recordsOf, THEN } from '../../support/builders/records.js';
import { startScene, known, recall, run } from '../../support/scenes/ledger.js';

afterEach(stopClients);

const a = image('a');
const b = image('b');

describe('an entry that somebody else has written', () => {
  it('is of use though its manifest is another than ours would be', async () => {
    const scene = await startScene();
    const tag = await scene.put({ records: recordsOf([a]) });
    const digest = scene.home.tags.get(tag) ?? '';
    const { bytes } = scene.home.manifests.get(digest) ?? { bytes: Buffer.alloc(0) };
    // A tool that copies repositories may write manifests again.
    const copy = Buffer.from(JSON.stringify(JSON.parse(bytes.toString('utf8')), null, 2));
    scene.home.manifests.clear();
    scene.home.manifests.set(digestOf(copy), { mediaType: OCI_MANIFEST, bytes: copy });
    scene.home.tags.set(tag, digestOf(copy));

    const { news } = await run(scene, { inUse: [a], known: [a] });
    expect(news.failures).toEqual([]);
    expect((await known(scene)).has(a.digest)).toBe(true);
  });

  it('can’t take from an unknown manifest in use what that protects', async () => {
    const scene = await startScene();
    const child = image('child');
    // No field says in the body what it is: only the registry knows its type.
    const unknown = opaque('application/vnd.example+json', { parts: [child.digest] });
    const { state } = scene.registry;
    seed(state, APP, unknown, 'v1');
    seed(state, APP, child);
    await scene.put({
      records: new Map([
        [unknown.digest, recordOf(unknown, { mediaType: OCI_INDEX })],
        [child.digest, recordOf(child, { everInUse: true, status: 'unused' })],
      ]),
    });
    const { manifests, records } = await recall(await scene.open());
    const look = (known?: Parameters<typeof surveyRepository>[3]) =>
      surveyRepository(
        APP,
        [child.digest],
        {
          reader: scene.reader,
          policy: policy(),
          concurrency: 1,
          progress: { expect: () => undefined, done: () => undefined },
          clock: fakeClock({ auto: true }, THEN),
        },
        known,
      );
    expect(fate((await look()).plan, child)).toBe('keep: mentioned');
    expect(fate((await look({ manifests, past: records })).plan, child)).toBe('keep: mentioned');
  });

  it('names nothing that does not exist', async () => {
    const scene = await startScene();
    const absent: Content = referrer('sbom', a);
    await scene.put({ records: recordsOf([absent, a]) });
    const { isSettled } = await run(scene, { absent: [absent, a], inUse: [b] });
    expect(isSettled).toBe(true);
    const { tag } = artifactOf(APP, Buffer.from(''));
    expect([...scene.home.tags.keys()]).not.toContain(tag);
    expect(await run(scene, { absent: [absent, a], inUse: [b], known: [b] })).toMatchObject({
      isSettled: true,
    });
    expect([...(await known(scene)).keys()]).toEqual([b.digest]);
  });
});
