/**
 * Fills a registry with the estate of the benchmark, over HTTP as clients do: in each repository some tags
 * moved once, and each of those left an orphan behind. Images are tiny, since no layer is ever read.
 */
import pMap from 'p-map';

import { image, manifest, type Content } from '../../__tests__/support/builders/build.js';
import {
  push,
  pushBlob,
  putManifest,
  type Destination,
} from '../../__tests__/support/clients/push.js';
import { OCI_CONFIG } from '../../src/oci/media-types.js';

export interface Size {
  readonly repositories: number;
  /** in each repository */
  readonly tags: number;
  /** in each repository; at most as many as tags */
  readonly orphans: number;
}

const CONCURRENCY = 16;

export async function seed(registry: Destination, size: Size): Promise<void> {
  const repositories = numbers(size.repositories).map((n) => `bench/app-${n}`);
  const each = async (
    count: number,
    task: (repository: string, n: string) => Promise<void>,
  ): Promise<void> => {
    const all = numbers(count).flatMap((n) => repositories.map((name) => [name, n] as const));
    await pMap(all, ([name, n]) => task(name, n), { concurrency: CONCURRENCY });
  };
  await each(size.orphans, (name, n) =>
    push(registry, name, image(`${name} before ${n}`), `v${n}`),
  );
  await each(1, (name) => pushBlob(registry, name, ...shared(name)));
  await each(size.tags, (name, n) => putManifest(registry, name, tagged(name, n), `v${n}`));
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, n) => String(n));
}

/** Images that stay share one config in a repository: nobody reads it, and it saves uploads. */
function tagged(repository: string, n: string): Content {
  const [, bytes] = shared(repository);
  return manifest({
    config: { mediaType: OCI_CONFIG, bytes },
    layers: [],
    annotations: { 'org.opencontainers.image.revision': n },
  });
}

function shared(repository: string): [digest: string, bytes: Buffer] {
  const { blobs } = image(repository);
  const [config] = blobs;
  if (config === undefined) {
    throw new Error('an image without a config');
  }
  return config;
}
