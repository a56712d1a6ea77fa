/**
 * What a repository has of the parts that a restored manifest needs: the blobs of an image, the entries of an index.
 * Only reads, and asks for each part once.
 */
import pMap from 'p-map';

import type { Digest } from '../oci/digest.js';
import type { Manifest } from '../oci/manifest.js';
import { compare } from '../plan/graph.js';
import { entriesOf } from '../plan/naming.js';
import type { Reader } from '../registry/registry.js';
import { number } from '../text/words.js';
import { requiredBlobsOf } from './saved-copy.js';

/** What became of one manifest or tag; `why` is safe to print. */
export type RestoreResult = 'restored' | 'standing' | { readonly why: string };

interface PartsOptions {
  readonly reader: Pick<Reader, 'resolve' | 'manifest' | 'hasBlob'>;
  readonly concurrency: number;
  /** manifests that an index may lack, as it did before */
  readonly absent?: ReadonlySet<Digest>;
  /** what became of a manifest of the backup; `undefined` for others */
  readonly resultOf: (digest: Digest) => RestoreResult | undefined;
}

/** The most parts that a message names. */
const FEW = 5;
/** The most answers that are remembered: some 20 MB. With more, a part is asked for again. */
export const MOST_ANSWERS = 100_000;

export class Parts {
  readonly #repository: string;
  readonly #options: PartsOptions;
  readonly #blobs = new Map<Digest, Promise<boolean>>();
  readonly #manifests = new Map<Digest, Promise<boolean>>();

  constructor(repository: string, options: PartsOptions) {
    this.#repository = repository;
    this.#options = options;
  }

  async resolves(reference: string, digest: Digest): Promise<boolean> {
    return (await this.#options.reader.resolve(this.#repository, reference)) === digest;
  }

  /** One HEAD, and one GET if its answer does not settle it. */
  async isThere(digest: Digest): Promise<boolean> {
    return (
      (await this.resolves(digest, digest)) ||
      (await this.#options.reader.manifest(this.#repository, digest)).kind === 'found'
    );
  }

  /** The registry's own undo brings back the blobs with their manifest. */
  expectBlobs(manifest: Manifest): void {
    requiredBlobsOf(manifest).forEach((digest) => {
      remember(this.#blobs, digest, Promise.resolve(true));
    });
  }

  /** Has all parts asked for once more: the registry has denied one that it seemed to have. */
  forget(): void {
    this.#blobs.clear();
    this.#manifests.clear();
  }

  /** @returns why a push can't succeed, or would make an image that nobody can pull; `undefined` for neither */
  async whyIncomplete(manifest: Manifest): Promise<string | undefined> {
    return (await this.whyWithoutEntries(manifest)) ?? (await this.#whyWithoutBlobs(manifest));
  }

  /** Some registries take an index without its children, and nobody could pull it. */
  async whyWithoutEntries(manifest: Manifest): Promise<string | undefined> {
    const { absent, resultOf } = this.#options;
    const entries = manifest.kind === 'index' ? entriesOf(manifest) : [];
    const failed = entries.find((digest) => typeof resultOf(digest) === 'object');
    if (failed !== undefined) {
      return `${failed}, which it lists, could not be restored`;
    }
    const children = manifest.kind === 'index' ? manifest.children : [];
    const unknown = children
      .map(({ digest }) => digest)
      .filter((digest) => absent?.has(digest) !== true && resultOf(digest) === undefined);
    const missing = await this.#without([...new Set(unknown)], (digest) => this.#has(digest));
    if (missing.length === 0) {
      return undefined;
    }
    // A run saves all that it deletes, so the run that made this backup did not delete them.
    const why =
      missing.length === 1
        ? 'is neither there nor in the backup: it was gone before, or somebody else has deleted it. Push that image again'
        : 'are neither there nor in the backup: they were gone before, or somebody else has deleted them. Push those images again';
    return `${few(missing)}, which it lists, ${why}`;
  }

  async #whyWithoutBlobs(manifest: Manifest): Promise<string | undefined> {
    const missing = await this.#without(requiredBlobsOf(manifest), async (digest) => {
      // An index may list layers, and manifests of unknown types.
      const isManifest = async () =>
        manifest.kind === 'index' &&
        // Everything with a result was restored before it, or would have been.
        (this.#options.resultOf(digest) !== undefined || (await this.#has(digest)));
      return (await this.#hasBlob(digest)) || (await isManifest());
    });
    return missing.length === 0
      ? undefined
      : `the registry no longer has what it consists of (${few(missing)}): build or push it again`;
  }

  #hasBlob(digest: Digest): Promise<boolean> {
    return once(this.#blobs, digest, () => this.#options.reader.hasBlob(this.#repository, digest));
  }

  /** Only for manifests that this restore does not push. */
  #has(digest: Digest): Promise<boolean> {
    return once(this.#manifests, digest, () => this.isThere(digest));
  }

  /** The digests for which `isSo` is false. */
  async #without(
    digests: readonly Digest[],
    isSo: (digest: Digest) => Promise<boolean>,
  ): Promise<Digest[]> {
    const { concurrency } = this.#options;
    const found = await pMap(digests, async (digest) => ((await isSo(digest)) ? [] : [digest]), {
      concurrency,
    });
    return found.flat().sort(compare);
  }
}

/** A question that failed is not remembered. */
async function once(
  answers: Map<Digest, Promise<boolean>>,
  digest: Digest,
  ask: () => Promise<boolean>,
): Promise<boolean> {
  const known = answers.get(digest);
  if (known !== undefined) {
    return known;
  }
  const answer = ask();
  remember(answers, digest, answer);
  try {
    return await answer;
  } catch (error) {
    answers.delete(digest);
    throw error;
  }
}

function remember(
  answers: Map<Digest, Promise<boolean>>,
  digest: Digest,
  answer: Promise<boolean>,
): void {
  if (answers.size >= MOST_ANSWERS) {
    answers.clear();
  }
  answers.set(digest, answer);
}

function few(digests: readonly Digest[]): string {
  const named = digests.slice(0, FEW).join(', ');
  return digests.length <= FEW ? named : `${named} and ${number(digests.length - FEW)} more`;
}
