/**
 * Deletes by `remove/`. Each is a task and makes a version, and those of one repository run one after the other; so
 * several go together. Pulp keeps what a tag or an index names, and says nothing: the version is read after each.
 */
import { isDigest, type Digest } from '../../../oci/digest.js';
import { isRepository } from '../../../oci/reference.js';
import { guarded } from '../../guard.js';
import { RegistryError } from '../../registry-error.js';
import type { DeleteOptions, Deleter, Reader } from '../../registry.js';
import type { PulpApi } from './api.js';
import type { Content, Found, Place } from './content.js';
import type { Tasks } from './tasks.js';
import { Turns, type Outcome } from './turns.js';

/** The most digests that fit into an address: gunicorn takes 4,094 bytes. */
const MOST_AT_ONCE = 32;

export interface RemovalOptions {
  readonly api: PulpApi;
  readonly content: Content;
  readonly tasks: Tasks;
  readonly reader: Pick<Reader, 'isThere'>;
  /** deletes what is in no version; by `/v2`, which would take tags along */
  readonly pending: Deleter;
}

interface Asked {
  readonly digest: Digest;
  readonly options: DeleteOptions;
}

type Result = 'deleted' | 'gone';

export function createRemovalDeleter(options: RemovalOptions): Deleter {
  const removals = new Removals(options);
  const turns = new Turns<Asked, Result>(MOST_AT_ONCE, (repository, batch) =>
    removals.carryOut(repository, batch),
  );
  return {
    takesChildren: true,
    async deleteManifest(repository, digest, asked = {}) {
      guarded('repository', repository, isRepository);
      guarded('digest', digest, isDigest);
      return turns.ask(repository, { digest, options: asked });
    },
  };
}

class Removals {
  readonly #options: RemovalOptions;
  /** repositories from whose version this run removed something */
  readonly #changed = new Set<string>();

  constructor(options: RemovalOptions) {
    this.#options = options;
  }

  async carryOut(repository: string, batch: readonly Asked[]): Promise<Outcome<Asked, Result>> {
    const { content } = this.#options;
    const what = whatOf(repository, batch);
    const digests = batch.map(({ digest }) => digest);
    const place = await content.place(repository, what);
    if (place === undefined) {
      return ({ digest, options }) => this.#deletePending(repository, digest, options, 'gone');
    }
    const found = await content.find(place, digests, what);
    let kept: ReadonlySet<Digest> = new Set();
    if (found.manifests.size > 0) {
      kept = await this.#remove(place, batch, found, what);
      this.#changed.add(repository);
    }
    return ({ digest, options }) => {
      if (kept.has(digest)) {
        throw referenced(repository, digest);
      }
      // A delete of its index may have taken it along before its own turn.
      const listing = this.#changed.has(repository) ? content.latest(repository) : undefined;
      const wasHere = found.manifests.has(digest) || listing?.has(digest) === true;
      return this.#deletePending(repository, digest, options, wasHere ? 'deleted' : 'gone');
    };
  }

  /** @returns those that are still in the version after it */
  async #remove(place: Place, batch: readonly Asked[], found: Found, what: string) {
    const { api, content, tasks } = this.#options;
    const names = batch.flatMap(({ digest, options: { tags = [] } }) =>
      tags.map((tag) => `${tag}@${digest}`),
    );
    const goAlong = new Set(names);
    const units = [
      ...[...found.manifests.values()].map((href) => api.guarded('manifest', href)),
      // Pulp's name of a tag is that of the tag at this manifest: a tag that moved has another one.
      ...found.tags
        .filter(({ name, digest }) => goAlong.has(`${name}@${digest}`))
        .map(({ href }) => api.guarded('tag', href)),
    ];
    const isLate = () => batch.some(({ options }) => options.isLate?.() === true);
    await tasks.change(place.repository, 'remove', units, what, isLate);
    const after = await content.find(place, [...found.manifests.keys()], what);
    return new Set(after.manifests.keys());
  }

  /** A push by its digest alone leaves a manifest beside the version, where it is served as well. */
  async #deletePending(
    repository: string,
    digest: Digest,
    options: DeleteOptions,
    otherwise: Result,
  ): Promise<Result> {
    const { reader, pending } = this.#options;
    if (!(await reader.isThere(repository, digest))) {
      return otherwise;
    }
    const result = await pending.deleteManifest(repository, digest, options);
    return otherwise === 'deleted' ? otherwise : result;
  }
}

function whatOf(repository: string, batch: readonly Asked[]): string {
  const [first] = batch;
  return first !== undefined && batch.length === 1
    ? (first.options.what ?? `delete ${repository}@${first.digest}`)
    : `delete ${String(batch.length)} manifests of ${repository}`;
}

function referenced(repository: string, digest: Digest): RegistryError {
  return new RegistryError(
    'referenced',
    `Pulp said that it deleted ${repository}@${digest}, and the manifest is still there. A tag or an index names it: it was pushed or tagged during this ` +
      'run, or is a part of an index that stays. The next run decides again',
  );
}
