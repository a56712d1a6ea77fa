/** What `protect` and `protect-files` name beside manifests: image IDs, layers, and what is nowhere. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import * as v from 'valibot';

import { image, index, type Content, APP, names } from '../support/builders/build.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import { apart } from '../support/clients/ledger.js';
import { cleanAtOnce } from '../support/clients/run-action.js';
import { push } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { lastBlob } from '../support/builders/odd-contents.js';

jest.setTimeout(120_000);

const [current, pinned, stray, other] = [
  image('current'),
  image('pinned'),
  image('stray'),
  image('other'),
];
const list = index([image('part a'), image('part b')]);
const NOWHERE = `sha256:${'ab'.repeat(32)}`;

const configOf = ({ blobs }: Content) => [...blobs.keys()][0] ?? '';

const Report = v.object({
  pinned: v.object({ unmet: v.number() }),
  repositories: v.array(
    v.object({
      kept: v.array(
        v.object({
          digest: v.string(),
          reason: v.object({ kind: v.string(), blob: v.optional(v.string()) }),
        }),
      ),
    }),
  ),
});

describe.each(realRegistries)('$name', (kind) => {
  describeWith(kind.name, kind.found, 'a run with protected digests', () => {
    let registry: RealRegistry;
    const directory = mkdtempSync(path.join(tmpdir(), 'protections-'));
    const orphans = [pinned, stray, other, list];
    const digests = orphans
      .flatMap((content) => [content, ...content.children])
      .map(({ digest }) => `${APP}@${digest}`)
      .join('\n');

    beforeEach(async () => {
      registry = stopAfterTest(await kind.start());
      await push(registry, APP, current, 'v1');
      for (const content of orphans) {
        await push(registry, APP, content);
      }
    });
    afterEach(() => {
      rmSync(directory, { recursive: true, force: true });
    });
    const run = (inputs: Readonly<Record<string, string>>) =>
      cleanAtOnce(registry, {
        digests,
        'max-deletes': '100%',
        ...(kind.hasCatalog ? {} : { repositories: APP }),
        ...kind.inputs,
        ...inputs,
      });

    it('keeps the image of an image ID, in an index too, and the images that have a layer', async () => {
      // With an index, olareg removes the children that only that index holds.
      const parts = kind.name === 'olareg' ? [] : list.children.slice(0, 1);
      const protect = [
        configOf(pinned),
        ...parts.map((part) => `${APP}@${configOf(part)}`),
        lastBlob(other),
      ];
      const done = await run({ protect: protect.join('\n') });
      expect(done.log).not.toMatch(/::(?:error|warning)/);
      expect(done.exitCode).toBe(0);
      expect(apart(registry.manifests()).users).toEqual(
        new Set(names(APP, current, pinned, other, ...parts)),
      );
      const { repositories } = v.parse(Report, done.report);
      const kept = repositories.flatMap((each) => each.kept);
      expect(kept).toContainEqual({
        digest: pinned.digest,
        reason: expect.objectContaining({ kind: 'protected', blob: configOf(pinned) }),
      });
      expect(done.summary).toContain(configOf(pinned).slice(0, 19));
    });

    it('is blocked by no config or layer in files and lists of digests', async () => {
      // Docker's and BuildKit's metadata of a build.
      const metadata = path.join(mkdtempSync(path.join(tmpdir(), 'metadata-')), 'metadata.json');
      writeFileSync(
        metadata,
        JSON.stringify({
          'containerimage.config.digest': configOf(current),
          'containerimage.digest': current.digest,
          layers: [lastBlob(current), NOWHERE],
        }),
      );
      const layers = [...stray.blobs.keys()].map((digest) => `${APP}@${digest}`);
      const done = await run({
        'protect-files': metadata,
        digests: `${digests}\n${layers.join('\n')}`,
      });
      expect(done.log).not.toContain('::error');
      expect(done.exitCode).toBe(0);
      expect(apart(registry.manifests()).users).toEqual(new Set(names(APP, current)));
      expect(v.parse(Report, done.report).pinned).toMatchObject({ unmet: 1 });
    });

    it('warns of a digest of `protect` that is nowhere', async () => {
      const elsewhere = `${APP}@sha256:${'cd'.repeat(32)}`;
      const done = await run({
        protect: `${NOWHERE}\n${elsewhere}\n${pinned.digest}\n${APP}@${other.digest}`,
      });
      expect(done.exitCode).toBe(0);
      expect(apart(registry.manifests()).users).toEqual(
        new Set(names(APP, current, pinned, other)),
      );
      const warnings = done.log.split('\n').filter((line) => line.startsWith('::warning'));
      const told = warnings.filter((line) => line.includes('`protect` names'));
      // A run over some repositories can't know what the others have.
      expect(told).toHaveLength(kind.hasCatalog ? 2 : 0);
      expect(told.every((line) => line.includes(NOWHERE) || line.includes(elsewhere))).toBe(true);
    });
  });
});
