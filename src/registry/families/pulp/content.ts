/**
 * The manifests and tags of a repository's latest version: Pulp's list, tagged or not. A version never changes, so its
 * pages can't shift, and it says itself how many manifests and tags it has.
 */
import * as v from 'valibot';

import { isDigest, type Digest } from '../../../oci/digest.js';
import { isTag } from '../../../oci/reference.js';
import type { Client } from '../../distribution/client.js';
import { saysUnknown } from '../../distribution/errors.js';
import { RegistryError } from '../../registry-error.js';
import type { Listed, Listing } from '../../registry.js';
import type { Href, PulpApi } from './api.js';

export const PAGE = 1000;
/** A version may be removed while it is read, where few are retained: then the next one is read. */
const MOST_READINGS = 3;
/** A million, as for other lists. */
const MOST_ROWS = 1_000_000;

const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(MOST_ROWS));
const rows = <T>(row: v.GenericSchema<unknown, T>) =>
  v.object({ count: Count, results: v.array(row) });
const ManifestRow = v.object({
  pulp_href: v.string(),
  digest: v.pipe(v.string(), v.guard(isDigest)),
});
const TagRow = v.object({
  pulp_href: v.string(),
  name: v.pipe(v.string(), v.check(isTag)),
  tagged_manifest: v.string(),
});
const DistributionRow = v.object({
  base_path: v.string(),
  repository: v.nullish(v.string()),
  namespace: v.nullish(v.string()),
});
const Repository = v.object({ latest_version_href: v.string() });
const Part = v.optional(v.object({ count: Count }), { count: 0 });
const Version = v.object({
  content_summary: v.object({
    present: v.object({ 'container.manifest': Part, 'container.tag': Part }),
  }),
});

type DistributionRow = v.InferOutput<typeof DistributionRow>;

export interface Place {
  readonly repository: Href;
  readonly namespace: Href | undefined;
}

/** Some manifests of the latest version. */
export interface Found {
  readonly manifests: ReadonlyMap<Digest, Href>;
  /** the tags that point at them */
  readonly tags: readonly { readonly name: string; readonly href: Href; readonly digest: Digest }[];
}

export class Content {
  readonly #api: PulpApi;
  readonly #client: Client;
  readonly #page: number;
  readonly #places = new Map<string, Place>();
  readonly #listings = new Map<string, Listing>();

  /** @param page rows of one page */
  constructor(api: PulpApi, client: Client, page = PAGE) {
    this.#api = api;
    this.#client = client;
    this.#page = page;
  }

  /** The list that was read last, if any was. */
  latest(repository: string): Listing | undefined {
    return this.#listings.get(repository);
  }

  /** Complete, or it rejects. Empty for a name that Pulp doesn't know. */
  async read(name: string): Promise<Listing> {
    const what = `list the manifests of ${name}`;
    const place = await this.place(name, what);
    if (place === undefined) {
      return new Map();
    }
    for (let reading = 1; ; reading += 1) {
      const version = await this.#version(place, what);
      const found = await this.#readVersion(version, what).catch(async (error: unknown) => {
        const isOver =
          reading < MOST_READINGS &&
          error instanceof RegistryError &&
          (await this.#version(place, what)) !== version;
        if (!isOver) {
          throw error;
        }
        return undefined;
      });
      if (found !== undefined) {
        this.#listings.set(name, found);
        return found;
      }
    }
  }

  async #readVersion(version: Href, what: string): Promise<Listing> {
    const { content_summary } = await this.#api.read(Version, version, what);
    const { 'container.manifest': manifests, 'container.tag': tags } = content_summary.present;
    const counts = { manifests: manifests.count, tags: tags.count };
    const found = await this.#rows(version, {}, what, counts);
    const listed = new Map<Digest, Listed & { tags: string[] }>();
    for (const [digest, id] of found.manifests) {
      listed.set(digest, { id, tags: [] });
    }
    found.tags.forEach(({ name, digest }) => listed.get(digest)?.tags.push(name));
    return listed;
  }

  /**
   * Looks for these in the latest version at this moment.
   *
   * @param digests few: they go into an address
   */
  async find(place: Place, digests: readonly Digest[], what: string): Promise<Found> {
    const version = await this.#version(place, what);
    return this.#rows(version, { digests: digests.join(',') }, what);
  }

  /** @param counts how many there have to be */
  async #rows(
    version: Href,
    { digests }: { readonly digests?: string },
    what: string,
    counts?: { readonly manifests: number; readonly tags: number },
  ): Promise<Found> {
    const of = (key: string): Record<string, string> =>
      digests === undefined ? {} : { [key]: digests };
    const query = { repository_version: version };
    const manifests = new Map<Digest, Href>();
    const digestOf = new Map<Href, Digest>();
    const first = { ...query, ...of('digest__in'), fields: 'pulp_href,digest' };
    for (const row of await this.#all('content/container/manifests/', ManifestRow, first, what)) {
      const href = this.#named('manifest', row.pulp_href, what);
      manifests.set(row.digest, href);
      digestOf.set(href, row.digest);
    }
    const second = { ...query, ...of('digest'), fields: 'pulp_href,name,tagged_manifest' };
    const tags = new Map<Href, Found['tags'][number]>();
    for (const row of await this.#all('content/container/tags/', TagRow, second, what)) {
      const href = this.#named('tag', row.pulp_href, what);
      const digest = digestOf.get(row.tagged_manifest);
      if (digest === undefined) {
        throw incomplete(what, 'a tag points at a manifest that is not in the list');
      }
      tags.set(href, { name: row.name, href, digest });
    }
    const names = new Set([...tags.values()].map(({ name }) => name));
    if (digestOf.size !== manifests.size || names.size !== tags.size) {
      throw incomplete(what, 'a digest or a tag stands there twice');
    }
    // The rows leave out content that the user may not see; the version's count doesn't.
    if (
      counts !== undefined &&
      (counts.manifests !== manifests.size || counts.tags !== tags.size)
    ) {
      throw incomplete(
        what,
        `it has ${String(manifests.size)} manifests and ${String(tags.size)} tags, and Pulp counts ` +
          `${String(counts.manifests)} and ${String(counts.tags)}`,
      );
    }
    return { manifests, tags: [...tags.values()] };
  }

  /** The rows of all pages. The next page's address is our own: behind a proxy, Pulp's may name another host. */
  async #all<T>(
    path: string,
    row: v.GenericSchema<unknown, T>,
    query: Readonly<Record<string, string>>,
    what: string,
  ): Promise<T[]> {
    const all: T[] = [];
    for (;;) {
      const page = { ...query, limit: String(this.#page), offset: String(all.length) };
      const { count, results } = await this.#api.read(rows(row), this.#api.route(path), what, page);
      results.forEach((each) => all.push(each));
      if (all.length >= count) {
        return all;
      }
      if (results.length === 0) {
        throw incomplete(
          what,
          `a page is empty after ${String(all.length)} of ${String(count)} rows`,
        );
      }
    }
  }

  async #version({ repository }: Place, what: string): Promise<Href> {
    const { latest_version_href } = await this.#api.read(Repository, repository, what);
    return this.#named('version', latest_version_href, what);
  }

  /** @returns `undefined` for a name that Pulp doesn't know */
  async place(name: string, what: string): Promise<Place | undefined> {
    const known = this.#places.get(name);
    if (known !== undefined) {
      return known;
    }
    const query = { base_path: name, fields: 'base_path,repository,namespace' };
    const found = await this.#distributions(query, what);
    const distribution = found.find(({ base_path }) => base_path === name);
    if (distribution === undefined) {
      await this.#expectUnknown(name, what);
      return undefined;
    }
    const { repository, namespace } = distribution;
    if (typeof repository !== 'string' || !this.#api.is('repository', repository)) {
      throw new RegistryError(
        'unexpected',
        `could not ${what}: Pulp serves ${name} from something else than a repository of the type ` +
          "`container/container`, such as a fixed version, whose content can't be removed. Leave it out with `repositories`",
      );
    }
    const place = {
      repository,
      namespace:
        typeof namespace === 'string' ? this.#named('namespace', namespace, what) : undefined,
    };
    this.#places.set(name, place);
    return place;
  }

  /** Pulp leaves out what a user may not see. The registry tells whether there is something. */
  async #expectUnknown(name: string, what: string): Promise<void> {
    const answer = await this.#client.send('GET', name, 'tags/list');
    if (!saysUnknown(answer)) {
      throw new RegistryError(
        'hidden',
        `could not ${what}: Pulp's API shows no distribution of this name, and the registry answers ` +
          `${String(answer.status)} for it. The user needs a role that may view it, such as ` +
          '`container.containernamespace_collaborator` on its namespace',
      );
    }
  }

  /** The names of all repositories whose content can change. */
  async names(what: string): Promise<string[]> {
    const query = { fields: 'base_path,repository,namespace', ordering: 'base_path' };
    const found = await this.#distributions(query, what);
    return [
      ...new Set(
        found
          .filter(({ repository }) => typeof repository === 'string')
          .map(({ base_path }) => base_path),
      ),
    ];
  }

  #distributions(query: Readonly<Record<string, string>>, what: string) {
    const row: v.GenericSchema<unknown, DistributionRow> = DistributionRow;
    return this.#all('distributions/container/container/', row, query, what);
  }

  #named(kind: Parameters<PulpApi['is']>[0], href: string, what: string): Href {
    return this.#api.is(kind, href) ? href : this.#api.misunderstood(what);
  }
}

function incomplete(what: string, why: string): RegistryError {
  return new RegistryError(
    'unexpected',
    `could not ${what}: Pulp's list is not complete: ${why}. Run this again; if it stays so, check the roles of the user`,
  );
}
