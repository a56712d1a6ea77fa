/** A registry with a ledger in it, several runs that use it, and what lies there in the end. */
import { artifactOf, parseEntryTag } from '../../../src/memory/ledger/artifact.js';
import {
  decodeEntry,
  encodeEntry,
  type DecodedEntry,
  type Entry,
} from '../../../src/memory/ledger/entry.js';
import { openLedger, type Ledger } from '../../../src/memory/ledger/ledger.js';
import type { Observation } from '../../../src/memory/observation.js';
import { LedgerStore, type StoreTools } from '../../../src/memory/ledger/store.js';
import { openRegistry } from '../../../src/registry/families/families.js';
import { join } from '../../../src/memory/ledger/record.js';
import type { LedgerNews, Recollection } from '../../../src/memory/memory.js';
import type { Digest } from '../../../src/oci/digest.js';
import type { Credentials } from '../../../src/http/credentials.js';
import type { Send } from '../../../src/http/message.js';
import { parsed } from '../builders/inventories.js';
import { APP } from './survey.js';
import type { Content } from '../builders/build.js';
import type { MemoryRegistryOptions } from '../servers/memory/options.js';
import type { Interceptor } from '../servers/memory/script.js';
import {
  linkBlob,
  parseBody,
  referencesOf,
  repositoryOf,
  setTag,
  type RepositoryState,
} from '../servers/memory/state.js';
import { STAND_ALONE, startClient, type Client } from '../clients/client.js';
import { LEDGER } from '../clients/ledger.js';
import { THEN } from '../builders/records.js';

export { LEDGER };

/** A second repository. */
export const WEB = 'team/web';
/** When a later run begins. */
export const LATER = THEN + 60_000;

/** The news of a run over a ledger that exists, in which nothing happened. */
export const QUIET: LedgerNews = {
  repository: LEDGER,
  existed: true,
  isReadable: true,
  written: 0,
  remembered: 0,
  warnings: [],
  failures: [],
};

export interface Scene extends Client {
  /** where the ledger lies */
  readonly home: RepositoryState;
  /** @param send through which it speaks, where that is not the client's own */
  readonly tools: (send?: Send) => StoreTools;
  readonly store: () => Promise<LedgerStore>;
  /** a run begins */
  readonly open: (now?: number, send?: Send) => Promise<Ledger>;
  /** Puts an entry there, past HTTP. @returns its tag */
  readonly put: (entry: Partial<Entry>) => Promise<string>;
  /** Takes away what an entry's tag points at, and its blob: as registries do that free what is deleted. */
  readonly drop: (tag: string) => void;
  /** what lies there of a repository, read past HTTP, sorted by sequence */
  readonly entries: (repository?: string) => Promise<DecodedEntry[]>;
}

export async function startScene(
  memory?: MemoryRegistryOptions,
  credentials?: Credentials,
): Promise<Scene> {
  const client = await startClient(memory, credentials);
  const { state } = client.registry;
  const home = repositoryOf(state, LEDGER);
  const tools = (send: Send = client.send): StoreTools => ({
    registry: openRegistry(
      { registry: client.base, registryType: 'auto' },
      { ...STAND_ALONE, send },
    ),
    ledger: LEDGER,
  });
  return {
    ...client,
    home,
    tools,
    async store() {
      const store = new LedgerStore(tools());
      await store.open();
      return store;
    },
    open: (now = THEN, send) => openLedger({ ...tools(send), now }),
    async put({ repository = APP, sequence = 1, records = new Map() }) {
      const blob = await encodeEntry({ repository, sequence, records });
      const { tag, digest, mediaType, bytes } = artifactOf(repository, blob);
      linkBlob(state, LEDGER, parseEntryTag(tag)?.blob ?? '', blob);
      home.manifests.set(digest, { mediaType, bytes });
      setTag(home, tag, digest);
      return tag;
    },
    drop(tag) {
      home.manifests.delete(home.tags.get(tag) ?? '');
      home.tags.delete(tag);
      free(home);
    },
    async entries(repository = APP) {
      const found: DecodedEntry[] = [];
      for (const [tag, digest] of home.tags) {
        const { bytes } = home.manifests.get(digest) ?? {};
        const [layer] = bytes === undefined ? [] : (parseBody(bytes).layers ?? []);
        const blob = state.blobs.get(layer?.digest ?? '');
        if (blob !== undefined && tag === artifactOf(repository, blob).tag) {
          found.push(await decodeEntry(blob, repository));
        }
      }
      return found.sort((a, b) => a.sequence - b.sequence);
    },
  };
}

/** Unlinks the blobs that no manifest names. */
function free(repository: RepositoryState): void {
  const named = new Set(
    [...repository.manifests.values()].flatMap(({ bytes, mediaType }) =>
      referencesOf(parseBody(bytes), mediaType).map(({ digest }) => digest),
    ),
  );
  [...repository.blobs]
    .filter((blob) => !named.has(blob))
    .forEach((blob) => repository.blobs.delete(blob));
}

/** The script of a registry that frees the blobs of a manifest as soon as it is deleted. */
export function freeing({ home }: Scene, then: Interceptor = () => undefined): Interceptor {
  return async (request) => {
    const action = await then(request);
    return action === undefined && request.method === 'DELETE'
      ? {
          kind: 'pass',
          after: () => {
            free(home);
          },
        }
      : action;
  };
}

/** The script that does something once, before the first request whose `METHOD path` matches is carried out. */
export function before(pattern: RegExp, work: () => void | Promise<void>): Interceptor {
  let isDone = false;
  return async ({ method, path }) => {
    if (!isDone && pattern.test(`${method} ${path}`)) {
      isDone = true;
      await work();
    }
    return undefined;
  };
}

export interface Seen {
  readonly inUse?: readonly Content[];
  readonly unused?: readonly Content[];
  readonly leaving?: readonly Content[];
  readonly absent?: readonly Content[];
  /** of those that stand, what was not fetched, because the ledger knows it */
  readonly known?: readonly Content[];
  readonly isComplete?: boolean;
}

/** What a look might have seen. */
export function observation(seen: Seen): Observation {
  const { inUse = [], unused = [], leaving = [], absent = [], known = [] } = seen;
  const standing = [...inUse, ...unused, ...leaving];
  const fetched = standing.filter((content) => !known.includes(content));
  const all = (contents: readonly Content[]) => new Set(contents.map(({ digest }) => digest));
  return {
    standing: new Map(standing.map((content) => [content.digest, parsed(content)])),
    bodies: new Map(fetched.map(({ digest, bytes }) => [digest, bytes.toString('utf8')])),
    inUse: all(inUse),
    leaving: all(leaving),
    absent: all(absent),
    wanted: new Set(),
    tags: new Map(),
    isComplete: seen.isComplete ?? true,
  };
}

/** What the ledger knows of a repository. @throws Error when it can't be read */
export async function recall(ledger: Ledger, repository = APP): Promise<Recollection> {
  const memory = await ledger.recall(repository);
  if (memory === undefined) {
    throw new Error(`nothing was recalled: ${ledger.news().failures.join()}`);
  }
  return memory;
}

/** A run that begins, and has recalled the memory of the repository `team/app`. */
export async function begin(
  scene: Scene,
  now?: number,
): Promise<{ ledger: Ledger; memory: Recollection }> {
  const ledger = await scene.open(now);
  return { ledger, memory: await recall(ledger) };
}

/** A whole run of which nothing is deleted. */
export async function run(
  scene: Scene,
  seen: Parameters<typeof observation>[0],
  { repository = APP, now = THEN } = {},
): Promise<{ isSettled: boolean; news: LedgerNews }> {
  const ledger = await scene.open(now);
  const settled = await ledger.saw(await recall(ledger, repository), observation(seen));
  return { isSettled: settled !== undefined, news: ledger.news() };
}

/** All that the entries there know, together. */
export async function known(scene: Scene, repository = APP): Promise<Map<Digest, unknown>> {
  return join((await scene.entries(repository)).map(({ records }) => records));
}
