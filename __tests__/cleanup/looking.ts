/** A registry with one repository, `team/app`, and what a survey of it needs. */
import type { Inventory } from '../../src/cleanup/inventory.js';
import type { Policy } from '../../src/cleanup/plan.js';
import { surveyRepository, type Survey } from '../../src/cleanup/survey.js';
import type { SweepOptions } from '../../src/cleanup/sweep.js';
import type { Credentials } from '../../src/http/credentials.js';
import type { Digest } from '../../src/oci/digest.js';
import type { Content } from '../registries/build.js';
import type { MemoryRegistryOptions } from '../registries/memory/options.js';
import { repositoryOf, type RepositoryState } from '../registries/memory/state.js';
import { seed } from '../registries/push.js';
import { startClient, type Client } from '../registry/client.js';
import { policy } from './inventories.js';

export const APP = 'team/app';

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
  readonly earlier: Inventory;
  readonly reader: Client['reader'];
  readonly writer: Client['writer'];
}

export async function startScene(
  memory?: MemoryRegistryOptions,
  credentials?: Credentials,
): Promise<Scene> {
  const client = await startClient(memory, credentials);
  const progress = { expected: 0, finished: 0 };
  const options = (more: Partial<Looking> = {}): SweepOptions => ({
    reader: more.reader ?? client.reader,
    writer: more.writer ?? client.writer,
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
      surveyRepository(more.repository ?? APP, digests(candidates), options(more), more.earlier),
  };
}

export function digests(contents: readonly Content[]): Digest[] {
  return contents.map(({ digest }) => digest);
}
