import { describe, expect, it } from '@jest/globals';

import { createSharing } from '../../src/run/sharing.js';
import type { ImageManifest, IndexManifest } from '../../src/oci/manifest.js';
import {
  attestation,
  buildCache,
  helmChart,
  image,
  index,
  opaque,
  referrer,
} from '../support/builders/build.js';
import { parsed } from '../support/builders/inventories.js';

describe('the sharing of descriptors', () => {
  it.each([
    image('a', { layers: 3 }),
    image('b', { family: 'docker', base: ['base'] }),
    index([image('a'), attestation('a', image('a'))]),
    referrer('sbom', image('a')),
    helmChart('chart', '1.0.0'),
    buildCache('cache', 'index'),
    opaque('application/vnd.example+json', { about: image('a').digest }),
  ])('changes nothing in a manifest', (content) => {
    const share = createSharing();
    share(parsed(image('before', { base: ['base'] })));
    expect(share(parsed(content))).toEqual(parsed(content));
    expect(share(parsed(content))).toEqual(parsed(content));
  });

  it('gives two images the same descriptor of a layer that they share', () => {
    const share = createSharing();
    const [a, b] = ['a', 'b'].map((name) => share(parsed(image(name, { base: ['base'] })))) as [
      ImageManifest,
      ImageManifest,
    ];
    expect(a.layers[0]).toBe(b.layers[0]);
    expect(a.layers[1]).not.toEqual(b.layers[1]);
  });

  it('gives two indexes the same descriptor of what they list besides manifests', () => {
    const share = createSharing();
    const [a, b] = ['a', 'b'].map((name) => {
      const other = { mediaType: 'a/b', digest: 'x', size: 1 };
      return share({ ...parsed(index([image(name)])), others: [other] } as IndexManifest);
    }) as [IndexManifest, IndexManifest];
    expect(a.others[0]).toBe(b.others[0]);
    expect(a.children).not.toEqual(b.children);
  });

  it('keeps the media type that each manifest gives a layer', () => {
    const share = createSharing();
    const honest = parsed(image('a')) as ImageManifest;
    const [layer] = honest.layers;
    for (const lie of [{ size: 1 }, { mediaType: 'a/b' }, { urls: ['https://example.com/'] }]) {
      const liar = { ...honest, layers: layer === undefined ? [] : [{ ...layer, ...lie }] };
      expect(share(liar)).toEqual(liar);
      expect(share(honest)).toEqual(honest);
    }
  });
});
