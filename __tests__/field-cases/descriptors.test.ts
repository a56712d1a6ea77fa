/**
 * What a tag reaches though the descriptor that leads there is odd, and layers that have the bytes of manifests: on
 * real registries, with nothing but the ledger or a list of digests.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { OCI_INDEX } from '../../src/oci/media-types.js';
import { image, index, opaque, type Content, APP, names } from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import { apart } from '../support/clients/ledger.js';
import { cleanAtOnce } from '../support/clients/run-action.js';
import { push, putManifest, send } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { startRelay } from '../support/servers/relay.js';
import { layoutArtifact, oddIndex } from '../support/builders/odd-contents.js';

jest.setTimeout(120_000);

const ODD: [string, unknown][] = [
  ['in upper case', OCI_INDEX.toUpperCase()],
  ['with parameters', `${OCI_INDEX}; charset=utf-8`],
  ['unknown', 'application/vnd.example.thing+json'],
  ['of bytes', 'application/octet-stream'],
  ['without a slash', 'index'],
  ['empty', ''],
  ['absent', undefined],
];

const distributions = realRegistries.filter(({ hasReferrersApi }) => !hasReferrersApi);

describe.each(distributions)('$name', (kind) => {
  describeWith(kind.name, kind.found, 'a run over odd descriptors', () => {
    let registry: RealRegistry;
    beforeAll(async () => {
      if (kind.found !== undefined) {
        registry = await kind.start();
      }
    });
    afterAll(async () => {
      await registry.stop();
    });

    it.each(ODD)(
      'keeps the children of a nested index that is named by a type %s',
      async (what, type) => {
        const repository = `odd/${String(ODD.findIndex(([each]) => each === what))}`;
        const [a, b, stray] = [image(`${what} a`), image(`${what} b`), image(`${what} stray`)];
        const inner = index([a, b]);
        const deep = oddIndex([inner], type);
        const outer = oddIndex([deep], type);
        // As an image of its own first, so that the ledger has the children; then only the odd index leads to them.
        await push(registry, repository, index([a, b, stray]), 'v1');
        expect((await cleanAtOnce(registry, { repositories: repository })).exitCode).toBe(0);
        const plain = await startRelay(registry);
        try {
          await push(registry, repository, inner);
          await pushOdd(registry, repository, deep);
          await pushOdd(registry, repository, outer, 'v1');
          const run = await cleanAtOnce({ url: plain.url }, { repositories: repository });
          expect(run.log).not.toContain('::error');
          expect(run.exitCode).toBe(0);
        } finally {
          await plain.stop();
        }
        const now = new Set(
          [...apart(registry.manifests()).users].filter((name) =>
            name.startsWith(`${repository}@`),
          ),
        );
        expect(now).toEqual(
          new Set([a, b, inner, deep, outer].map(({ digest }) => `${repository}@${digest}`)),
        );
      },
    );

    it('keeps the children of an index that a manifest of another type mentions, and is stopped by no layer', async () => {
      const [a, stray, layered] = [image('m a'), image('m stray'), image('m layered')];
      const inner = index([a]);
      // Whatever a registry stores under a manifest's type may be one of which the fields are not understood.
      const root = opaque(OCI_INDEX, {
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [],
        Manifests: [inner.descriptor],
        annotations: { layer: [...layered.blobs.keys()].at(-1), nowhere: image('m none').digest },
      });
      await push(registry, 'mentioned', index([a, stray, layered]), 'v1');
      expect((await cleanAtOnce(registry, { repositories: 'mentioned' })).exitCode).toBe(0);
      await push(registry, 'mentioned', inner);
      await putManifest(registry, 'mentioned', root, 'v1');
      const run = await cleanAtOnce(registry, { repositories: 'mentioned' });
      expect(run.log).not.toContain('::error');
      expect(run.exitCode).toBe(0);
      const now = [...apart(registry.manifests()).users].filter((name) =>
        name.startsWith('mentioned@'),
      );
      expect(new Set(now)).toEqual(
        new Set([a, inner, root].map(({ digest }) => `mentioned@${digest}`)),
      );
    });
  });

  describeWith(kind.name, kind.found, 'a run over layers with the bytes of manifests', () => {
    const [file, stray, lone] = [image('file'), image('stray'), image('lone')];
    const artifact = layoutArtifact('layout', [file]);

    /** Whether a client gets the artifact whole. */
    async function isWhole(registry: RealRegistry, { blobs }: Content): Promise<boolean> {
      const asked = [...blobs.keys()].map((digest) =>
        send(registry, { method: 'HEAD', path: `/v2/${APP}/blobs/${digest}` }),
      );
      return (await Promise.all(asked)).every(({ status }) => status === 200);
    }

    it('keeps the manifest that a tagged artifact has as a layer, and the layer with it', async () => {
      const registry = await kind.start();
      try {
        await push(registry, APP, file, 'old');
        await push(registry, APP, stray, 'older');
        await push(registry, APP, artifact, 'layout');
        expect((await cleanAtOnce(registry)).exitCode).toBe(0);
        for (const tag of ['old', 'older']) {
          await push(registry, APP, image('new'), tag);
        }
        const run = await cleanAtOnce(registry);
        expect(run.exitCode).toBe(0);
        expect(await isWhole(registry, artifact)).toBe(true);
        expect(apart(registry.manifests()).users).toEqual(
          new Set(names(APP, file, artifact, image('new'))),
        );
      } finally {
        await registry.stop();
      }
    });

    it('keeps a digest that only an input names where the repository has it as a blob', async () => {
      const registry = await kind.start();
      try {
        await push(registry, APP, image('new'), 'v1');
        // The artifact itself has lost its tag and nobody names it, so no edge tells of its layers.
        const hidden = layoutArtifact('hidden', [lone]);
        await push(registry, APP, lone);
        await push(registry, APP, hidden);
        await push(registry, APP, stray);
        const digests = [lone, stray].map(({ digest }) => `${APP}@${digest}`).join('\n');
        const run = await cleanAtOnce(registry, { digests });
        expect(run.exitCode).toBe(0);
        expect(await isWhole(registry, hidden)).toBe(true);
        expect(apart(registry.manifests()).users).toEqual(
          new Set(names(APP, lone, hidden, image('new'))),
        );
        expect(run.summary).toContain('as a layer or config too');
      } finally {
        await registry.stop();
      }
    });
  });
});

const [olareg] = realRegistries.filter(({ name }) => name === 'olareg');

describeWith('olareg', olareg?.found, 'a registry that has every manifest as a blob', () => {
  it('loses an orphan that only an input names', async () => {
    const registry = await olareg?.start();
    if (registry === undefined) {
      throw new Error('not reached without the program');
    }
    try {
      await push(registry, APP, image('new'), 'v1');
      await push(registry, APP, image('stray'));
      const digests = `${APP}@${image('stray').digest}`;
      const run = await cleanAtOnce(registry, { digests, repositories: APP, concurrency: '1' });
      expect(run.exitCode).toBe(0);
      expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, image('new'))));
    } finally {
      await registry.stop();
    }
  });
});

/** Distribution 3 refuses an index whose entries it can't find; these are there. */
async function pushOdd(
  registry: RealRegistry,
  repository: string,
  content: Content,
  tag: string = content.digest,
): Promise<void> {
  await putManifest(registry, repository, content, tag);
}
