/**
 * A registry as ground for a property, in memory or real: an estate is laid out in it, the program is let loose on
 * it under a script of faults, and what is there then is read past the program and past the script.
 */
import { MANIFEST_ACCEPT } from '../../../src/oci/media-types.js';
import { image, type Content } from '../builders/build.js';
import { startMemoryRegistry } from '../servers/memory/registry.js';
import type { MemoryRegistryOptions } from '../servers/memory/options.js';
import { repositoryOf, setTag, type RegistryState } from '../servers/memory/state.js';
import type { Interceptor } from '../servers/memory/script.js';
import { pushBlob, putManifest, seed, send, type Destination } from '../clients/push.js';
import type { RealRegistryKind } from '../servers/real-registries.js';
import { ANCHOR, ANCHOR_TAG, nameOf, settle, type Built } from '../builders/random-estate.js';
import { startRelay } from '../servers/relay.js';

/** A repository as a client finds it; comparable. */
export interface Look {
  /** type and bytes, by digest */
  readonly manifests: Readonly<Record<string, string>>;
  /** tag → digest */
  readonly tags: Readonly<Record<string, string>>;
}

export interface Ground {
  /** where the program is sent */
  readonly url: string;
  /** Replaces the script; without an argument the registry behaves. */
  intercept(interceptor?: Interceptor): void;
  /**
   * Puts an estate into a repository in which nothing is yet.
   *
   * @param inUse with a tag more for every manifest that is there
   */
  lay(repository: string, built: Built, inUse: boolean): Promise<void>;
  /** Takes those tags away: all of them point at one image more afterwards. */
  abandon(repository: string, built: Built): Promise<void>;
  look(repository: string, built: Built): Promise<Look>;
  stop(): Promise<void>;
}

/** What those tags point at in the end: a repository without any ordinary tag is refused. */
const NEXT = image('what came next');

const USED = 'used-';
const tagOf = (id: number) => `${USED}${String(id)}`;

export async function memoryGround(options: MemoryRegistryOptions): Promise<Ground> {
  const registry = await startMemoryRegistry(options);
  const { state } = registry;
  const retag = (repository: string, built: Built, digestOf: (own: Content) => string) => {
    const target = repositoryOf(state, repository);
    built.contents.forEach((content, id) => {
      if (target.manifests.has(content.digest)) {
        setTag(target, tagOf(id), digestOf(content));
      }
    });
  };
  return {
    url: registry.url,
    intercept: (interceptor) => {
      registry.intercept(interceptor);
    },
    lay: async (repository, built, inUse) => {
      state.repositories.clear();
      state.blobs.clear();
      registry.requests.length = 0;
      settle(state, repository, built);
      if (inUse) {
        retag(repository, built, ({ digest }) => digest);
      }
    },
    abandon: async (repository, built) => {
      seed(state, repository, NEXT);
      retag(repository, built, () => NEXT.digest);
    },
    look: async (repository) => lookInto(state, repository),
    stop: () => registry.stop(),
  };
}

export function lookInto(state: RegistryState, repository: string): Look {
  const { manifests, tags } = repositoryOf(state, repository);
  const stored = [...manifests].map(
    ([digest, { mediaType, bytes }]) => [digest, `${mediaType} ${bytes.toString()}`] as const,
  );
  return { manifests: Object.fromEntries(stored), tags: Object.fromEntries(tags) };
}

/** What the registry refuses to store is not there; everything goes over HTTP. */
export async function realGround(kind: RealRegistryKind): Promise<Ground> {
  const registry = await kind.start();
  const relay = await startRelay(registry);
  return {
    url: relay.url,
    intercept: (interceptor) => {
      relay.intercept(interceptor);
    },
    lay: (repository, built, inUse) => pushEstate(registry, repository, built, inUse),
    abandon: async (repository, built) => {
      await pushBlobs(registry, repository, [NEXT]);
      const { tags } = await look(registry, repository, built);
      // One after the other: all of them write the same manifest.
      for (const tag of Object.keys(tags).filter((each) => each.startsWith(USED))) {
        await putManifest(registry, repository, NEXT, tag);
      }
    },
    look: (repository, built) => look(registry, repository, built),
    stop: async () => {
      await relay.stop();
      await registry.stop();
    },
  };
}

async function pushEstate(
  to: Destination,
  repository: string,
  built: Built,
  inUse: boolean,
): Promise<void> {
  const { nodes, tags } = built.estate;
  await pushBlobs(to, repository, [...built.contents, ANCHOR]);
  await putManifest(to, repository, ANCHOR, ANCHOR_TAG);
  const there: Content[] = [];
  const gone: Content[] = [];
  // By their numbers, so that what an index holds is there before it.
  for (const [id, content] of built.contents.entries()) {
    if (await isTaken(to, repository, content)) {
      (nodes[id]?.present === true ? there : gone).push(content);
      if (inUse && nodes[id]?.present === true) {
        await putManifest(to, repository, content, tagOf(id));
      }
    }
  }
  for (const tag of tags) {
    const content = there.find((each) => each === built.contents[tag.target]);
    if (content !== undefined) {
      await putManifest(to, repository, content, nameOf(tag, built));
    }
  }
  // Last, for no index is taken any more when one of its entries is gone.
  for (const { digest } of gone) {
    await send(to, { method: 'DELETE', path: `/v2/${repository}/manifests/${digest}` });
  }
}

async function pushBlobs(
  to: Destination,
  repository: string,
  contents: readonly Content[],
): Promise<void> {
  const blobs = new Map(contents.flatMap((content) => [...content.blobs]));
  await Promise.all([...blobs].map(([digest, blob]) => pushBlob(to, repository, digest, blob)));
}

async function isTaken(to: Destination, repository: string, content: Content): Promise<boolean> {
  const { status } = await send(to, {
    method: 'PUT',
    path: `/v2/${repository}/manifests/${content.digest}`,
    headers: { 'content-type': content.mediaType },
    body: content.bytes,
  });
  return status === 201;
}

async function look(at: Destination, repository: string, built: Built): Promise<Look> {
  const get = (path: string) =>
    send(at, {
      method: 'GET',
      path: `/v2/${repository}/${path}`,
      headers: { accept: MANIFEST_ACCEPT },
    });
  const read = async (reference: string) => {
    const { status, headers, body } = await get(`manifests/${reference}`);
    const type = headers['content-type'] ?? '';
    return status === 200
      ? { digest: headers['docker-content-digest'], stored: `${type} ${body.toString()}` }
      : undefined;
  };
  const list = await get('tags/list');
  const { tags: names = null } = JSON.parse(list.body.toString()) as { tags?: string[] | null };
  const tags = await Promise.all(
    (names ?? []).map(async (tag) => [tag, String((await read(tag))?.digest)] as const),
  );
  const manifests = await Promise.all(
    [...built.contents, ANCHOR, NEXT].map(async ({ digest }) => {
      const found = await read(digest);
      return found === undefined ? [] : [[digest, found.stored] as const];
    }),
  );
  return {
    manifests: Object.fromEntries(manifests.flat()),
    tags: Object.fromEntries(tags),
  };
}
