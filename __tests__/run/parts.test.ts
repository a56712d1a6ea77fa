import { describe, expect, it } from '@jest/globals';

import type { Digest } from '../../src/oci/digest.js';
import type { Manifest } from '../../src/oci/manifest.js';
import { MOST_ANSWERS, Parts } from '../../src/run/parts.js';
import { RegistryError } from '../../src/registry/registry-error.js';
import { image } from '../support/builders/build.js';
import { parsed } from '../support/builders/inventories.js';

const app: Manifest = parsed(image('app'));

/** A registry that has every blob. */
function asked(hasBlob: (n: number) => Promise<boolean> = () => Promise.resolve(true)) {
  const questions: Digest[] = [];
  const none = () => Promise.reject(new Error('no manifest is asked for'));
  const parts = new Parts('team/app', {
    reader: {
      resolve: none,
      manifest: none,
      hasBlob: (_, digest) => hasBlob(questions.push(digest)),
    },
    concurrency: 4,
    resultOf: () => undefined,
  });
  return { parts, questions };
}

describe('the parts of a repository', () => {
  it('are asked for once', async () => {
    const { parts, questions } = asked();
    expect(await parts.whyIncomplete(app)).toBeUndefined();
    expect(await parts.whyIncomplete(app)).toBeUndefined();
    expect(questions).toHaveLength(2);
  });

  it('are asked for again after a question that failed', async () => {
    const { parts, questions } = asked((n) =>
      n === 1 ? Promise.reject(new RegistryError('forbidden', 'no')) : Promise.resolve(true),
    );
    await expect(parts.whyIncomplete(app)).rejects.toThrow('no');
    expect(await parts.whyIncomplete(app)).toBeUndefined();
    expect(new Set(questions).size).toBeLessThan(questions.length);
  });

  it('are remembered in bounded numbers', async () => {
    const { parts, questions } = asked();
    await parts.whyIncomplete(app);
    const layers = Array.from({ length: MOST_ANSWERS }, (_, n) => ({
      mediaType: 'application/octet-stream',
      digest: `sha256:${n.toString(16).padStart(64, '0')}`,
      size: 1,
    }));
    await parts.whyIncomplete({ ...app, layers } as Manifest);
    const before = questions.length;
    await parts.whyIncomplete(app);
    expect(questions.length).toBeGreaterThan(before);
  });
});
