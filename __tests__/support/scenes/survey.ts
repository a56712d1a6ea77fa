/** A registry with one repository, `team/app`, and what a survey of it needs. */
import type { Knowledge } from '../../../src/run/survey-options.js';
import type { Survey } from '../../../src/plan/survey.js';
import type { Past } from '../../../src/plan/past.js';
import type { Inventory } from '../../../src/plan/inventory.js';
import type { Policy } from '../../../src/plan/plan.js';
import { surveyRepository } from '../../../src/run/survey.js';
import type { SweepOptions } from '../../../src/run/sweep.js';
import type { Clock } from '../../../src/http/clock.js';
import type { Credentials } from '../../../src/http/credentials.js';
import type { Digest } from '../../../src/oci/digest.js';
import { fakeClock } from './fake-clock.js';
import { APP, type Content } from '../builders/build.js';
import type { MemoryRegistryOptions } from '../servers/memory/options.js';
import { repositoryOf, type RepositoryState } from '../servers/memory/state.js';
import { seed } from '../clients/push.js';
import { startClient, type Client } from '../clients/client.js';
import { DAY, NOW, parsed, policy } from '../builders/inventories.js';

export { APP };

export interface Scene extends Client {
  readonly app: RepositoryState;
  readonly progress: { expected: number; finished: number };
  readonly put: (content: Content, ...tags: readonly string[]) => void;
  readonly look: (candidates?: readonly Content[], more?: Partial<Looking>) => Promise<Survey>;
  readonly options: (more?: Partial<Looking>) => SweepOptions;
}

export interface Looking {
  readonly repository: string;
  readonly policy: Partial<Policy>;
  readonly concurrency: number;
  /** what the first look of the same run saw */
  readonly earlier: Inventory;
  /** what earlier runs saw */
  readonly known: Knowledge;
  readonly reader: Client['reader'];
  readonly deleter: Client['deleter'];
  readonly pusher: SweepOptions['pusher'];
  readonly isThere: Client['isThere'];
  readonly save: SweepOptions['save'];
  readonly verify: boolean;
  readonly clock: Clock;
  readonly stop: AbortSignal;
  readonly contain: SweepOptions['contain'];
  readonly lister: SweepOptions['lister'];
  readonly list: SweepOptions['list'];
  readonly budget: SweepOptions['budget'];
  readonly parking: SweepOptions['parking'];
}

export async function startScene(
  memory?: MemoryRegistryOptions,
  credentials?: Credentials,
): Promise<Scene> {
  const client = await startClient(memory, credentials);
  const progress = { expected: 0, finished: 0 };
  const options = (more: Partial<Looking> = {}): SweepOptions => ({
    reader: more.reader ?? client.reader,
    deleter: more.deleter ?? client.deleter,
    pusher: more.pusher ?? client.pusher,
    isThere: more.isThere ?? client.isThere,
    save: more.save ?? (async () => undefined),
    verify: more.verify ?? true,
    clock: more.clock ?? fakeClock({ auto: true }, NOW),
    stop: more.stop ?? new AbortController().signal,
    contain: more.contain ?? (async (_, work) => work),
    lister: more.lister,
    list: more.list,
    budget: more.budget,
    parking: more.parking,
    policy: policy(more.policy),
    concurrency: more.concurrency ?? 4,
    progress: {
      expect: (count) => {
        progress.expected += count;
      },
      done: () => {
        progress.finished += 1;
      },
    },
  });
  return {
    ...client,
    app: repositoryOf(client.registry.state, APP),
    progress,
    options,
    put: (content, ...tags) => {
      seed(client.registry.state, APP, content, ...tags);
    },
    look: (candidates = [], more = {}) =>
      surveyRepository(
        more.repository ?? APP,
        digests(candidates),
        options(more),
        more.earlier === undefined ? more.known : seenBefore(more.earlier),
      ),
  };
}

/** As the sweep tells its own look what the first one saw. */
function seenBefore(earlier: Inventory): Knowledge {
  const { manifests, past } = earlier;
  return { manifests, past, earlier };
}

/** What the ledger tells of these contents, and of all their children; seen in use a month ago unless told. */
export function remembered(contents: readonly Content[], more: Partial<Past> = {}): Knowledge {
  const all = new Map<Digest, Content>();
  const add = (content: Content): void => {
    all.set(content.digest, content);
    content.children.forEach(add);
  };
  contents.forEach(add);
  const past: Past = {
    firstSeen: NOW - 30 * DAY,
    everInUse: true,
    status: 'in-use',
    since: NOW - 30 * DAY,
    ...more,
  };
  return {
    manifests: new Map([...all].map(([digest, content]) => [digest, parsed(content)])),
    past: new Map([...all.keys()].map((digest) => [digest, past])),
  };
}

export function digests(contents: readonly Content[]): Digest[] {
  return contents.map(({ digest }) => digest);
}

/** What `verify` says of a child of this index that is gone. */
export function childGone({ digest }: Content, tag?: string): string {
  const name = tag === undefined ? '' : `, tag ${tag},`;
  return `the index ${digest}${name} has it as a child, and it is gone`;
}
