/**
 * One image on a real Gitea, behind a relay of its own, into which one state after the other is put: what was pushed,
 * and the blobs that wait beside it. A state that it had before is put back in the database. One of another image is
 * pushed, and for that this one has to be empty. Several images can be used at the same time.
 */
import { createHash } from 'node:crypto';

import { isIndexType } from '../../../src/oci/media-types.js';
import type { Gitea, ImageContents } from '../servers/gitea.js';
import {
  emptyState,
  linkBlob,
  loadState,
  repositoryOf,
  setTag,
  type RegistryState,
} from '../servers/memory/state.js';
import { startRelay } from '../servers/relay.js';
import { pushBlob, putManifest, send, type Exchange } from '../clients/push.js';
import type { KillServer } from './kills.js';

/** Under this name the image stands in each state: the name on the server is its own. */
export const IMAGE = 'image';

export interface ImageSnapshot {
  readonly contents: ImageContents;
  /** the same with all bytes, as a client gets them */
  readonly state: RegistryState;
}

export interface GiteaImage extends KillServer<ImageSnapshot> {
  /** `bot/name`, on the server itself */
  readonly repository: string;
  stop(): Promise<void>;
}

export async function startGiteaImage(gitea: Gitea, name: string): Promise<GiteaImage> {
  const repository = `bot/${name}`;
  const relay = await startRelay({ url: gitea.url });
  const { username, token } = gitea.bot;
  const state = emptyState();
  /** by the key of contents that the image had before: puts them back */
  const earlier = new Map<string, () => Promise<void>>();

  /** @returns what the image has now */
  const remembered = async (): Promise<ImageContents> => {
    const contents = await gitea.contents(repository);
    const key = keyOf(contents);
    if (!earlier.has(key)) {
      earlier.set(key, await gitea.remember(repository));
    }
    return contents;
  };

  const snapshot = async (): Promise<ImageSnapshot> => {
    const contents = await remembered();
    const found = await download(gitea, repository, contents);
    loadState(state, found);
    return { contents, state: found };
  };

  return {
    repository,
    inputs: { 'registry-url': relay.url, username, password: token, repositories: repository },
    state,
    snapshot,
    async load({ contents, state: stored }) {
      const key = keyOf(contents);
      if (keyOf(await gitea.contents(repository)) === key) {
        return;
      }
      const putBack = earlier.get(key);
      if (putBack !== undefined) {
        await putBack();
      } else {
        await upload(gitea, repository, contents, stored);
      }
      // What is tried there says nothing about another state.
      if (keyOf(await remembered()) !== key) {
        throw new Error(`${repository} does not have what was put into it`);
      }
    },
    intercept: (interceptor) => {
      relay.intercept(({ method, path }) => interceptor?.(method, path));
    },
    settle: async () => {
      // It takes its requests in order: what a process sent before its end comes before this one.
      await fetch(`${relay.url}/v2/`);
      await relay.settle();
    },
    stop: () => relay.stop(),
  };
}

/** The same for the same contents. */
function keyOf({ versions, blobs, waiting }: ImageContents): string {
  return JSON.stringify(
    [[...versions].map(String), [...blobs], [...waiting]].map((each) => each.sort()),
  );
}

/** @throws Error when the server gives anything else for a name than its own database says */
async function download(
  gitea: Gitea,
  repository: string,
  { versions, blobs }: ImageContents,
): Promise<RegistryState> {
  const get = async (path: string, digest: string): Promise<Exchange> => {
    const scope = `repository:${repository}:pull`;
    const answer = await send(gitea, { method: 'GET', path: `/v2/${repository}/${path}`, scope });
    const hash = `sha256:${createHash('sha256').update(answer.body).digest('hex')}`;
    if (answer.status !== 200 || hash !== digest) {
      throw new Error(`${path} of ${repository}: ${String(answer.status)}, ${hash}`);
    }
    return answer;
  };
  const [manifests, layers] = await Promise.all([
    Promise.all(
      [...versions].map(async ([version, digest]) => {
        const { headers, body } = await get(`manifests/${version}`, digest);
        return { version, digest, mediaType: headers['content-type'] ?? '', bytes: body };
      }),
    ),
    Promise.all(
      [...blobs].map(async (digest) => ({ digest, ...(await get(`blobs/${digest}`, digest)) })),
    ),
  ]);
  const state = emptyState();
  const target = repositoryOf(state, IMAGE);
  for (const { version, digest, mediaType, bytes } of manifests) {
    target.manifests.set(digest, { mediaType, bytes });
    if (version !== digest) {
      setTag(target, version, digest);
    }
  }
  layers.forEach(({ digest, body }) => {
    linkBlob(state, IMAGE, digest, body);
  });
  return state;
}

async function upload(
  gitea: Gitea,
  repository: string,
  { versions, blobs, waiting }: ImageContents,
  state: RegistryState,
): Promise<void> {
  const { manifests } = repositoryOf(state, IMAGE);
  const put = (digests: ReadonlySet<string>) =>
    Promise.all(
      [...digests].map((digest) =>
        pushBlob(gitea, repository, digest, state.blobs.get(digest) ?? Buffer.alloc(0)),
      ),
    );
  await put(blobs);
  const pushes = [...versions].flatMap(([version, digest]) => {
    const manifest = manifests.get(digest);
    return manifest === undefined ? [] : [{ version, ...manifest }];
  });
  // Gitea takes an index after all that it lists.
  const isIndex = ({ mediaType }: { mediaType: string }) => Number(isIndexType(mediaType));
  for (const { version, ...manifest } of pushes.sort((a, b) => isIndex(a) - isIndex(b))) {
    await putManifest(gitea, repository, manifest, version);
  }
  // A push of a manifest uses up what waits for it.
  await put(waiting);
}
