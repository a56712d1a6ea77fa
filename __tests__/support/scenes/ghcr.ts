/** A simulated GHCR with one clock for its servers and its clients, and runs against it. */
import type { Clock } from '../../../src/http/clock.js';
import type { Digest } from '../../../src/oci/digest.js';
import { openRegistry } from '../../../src/registry/families/families.js';
import type { Registry } from '../../../src/registry/registry.js';
import { repositoryWarnings, quotaWarnings } from '../../../src/report/warnings.js';
import { NOW } from '../builders/inventories.js';
import { startGhcr, type Ghcr } from '../servers/ghcr/ghcr.js';
import { JOB_TOKEN, type GhcrOptions } from '../servers/ghcr/options.js';
import { stopAfterTest } from '../servers/stop-after-test.js';
import { fakeClock, type FakeClock } from './fake-clock.js';
import { connect, run, type Ran, type RunOptions } from './run.js';

export const REPOSITORY = 'acme/app';

interface Scene extends Ghcr {
  /** of the servers, and of runs unless they bring their own */
  readonly clock: FakeClock;
}

/** Where a DELETE may go. Without the id it would be the route of a whole package. */
const OF_VERSION = /\/packages\/container\/[^/?]+\/versions\/[1-9]\d*$/;

/** A server that ends with the test, which fails where a DELETE was sent to anything but a version. */
export async function startScene(options: GhcrOptions = {}): Promise<Scene> {
  const clock = fakeClock({ auto: true }, NOW);
  const ghcr = await startGhcr({ now: () => clock.now(), ...options });
  const stop = async (): Promise<void> => {
    await ghcr.stop();
    const wrong = deletesAt(ghcr).filter((url) => !OF_VERSION.test(url));
    if (wrong.length > 0) {
      throw new Error(`a DELETE was sent to ${wrong.join(', ')}`);
    }
  };
  return stopAfterTest({ ...ghcr, clock, stop });
}

/** A clock that jumps only when what was sent had time to arrive, as it has where time is real. */
export function unhurried({ clock }: Pick<Scene, 'clock'>): Clock {
  return {
    now: () => clock.now(),
    sleep: async (milliseconds, stop) => {
      await new Promise((resolve) => setTimeout(resolve, 3));
      await clock.sleep(milliseconds, stop);
    },
  };
}

/** One run, as a job has it: the token is that of the login as well. */
export function cleanScene(
  { url, api, clock }: Scene,
  { githubToken = JOB_TOKEN, ...more }: Partial<RunOptions> = {},
): Promise<Ran> {
  return run({
    url,
    registryType: 'ghcr',
    apiUrl: new URL(api),
    githubToken,
    credentials: { kind: 'basic', username: 'actor', password: githubToken },
    repositories: [REPOSITORY],
    candidates: new Map(),
    clock,
    ...more,
  });
}

interface SceneSettings {
  readonly token?: string;
  readonly namespaces?: readonly string[];
  readonly concurrency?: number;
}

/** The family as a run opens it. */
export function openScene(
  { url, api, clock }: Scene,
  { token = JOB_TOKEN, concurrency = 1, ...more }: SceneSettings = {},
): Registry {
  const credentials = { kind: 'basic', username: 'actor', password: token } as const;
  const { transport, quote } = connect({ url, credentials, clock, concurrency });
  stopAfterTest({
    stop: async () => {
      transport.close();
    },
  });
  const place = { registry: new URL(url), registryType: 'ghcr', apiUrl: new URL(api) };
  return openRegistry({ ...place, githubToken: token, ...more }, { ...transport, quote });
}

/** The digests that are in a repository. */
export function standing(
  { state }: Pick<Ghcr, 'state'>,
  repository = REPOSITORY,
): ReadonlySet<string> {
  return new Set(state.repositories.get(repository)?.manifests.keys());
}

export function digestsOf(...contents: readonly { readonly digest: Digest }[]): Set<Digest> {
  return new Set(contents.map(({ digest }) => digest));
}

/** The newest id of this digest. */
export function idOf(
  ghcr: Pick<Ghcr, 'versions'>,
  { digest }: { readonly digest: string },
  repository = REPOSITORY,
): string {
  const version = ghcr.versions(repository).findLast((each) => each.digest === digest);
  return String(version?.id);
}

/** Where DELETEs were sent, in the order of their answers. */
export function deletesAt({ apiRequests }: Pick<Ghcr, 'apiRequests'>): string[] {
  return apiRequests.filter(({ method }) => method === 'DELETE').map(({ url }) => url);
}

/** Requests for pages of the list of versions. */
export function listsAt({ apiRequests }: Pick<Ghcr, 'apiRequests'>): string[] {
  return apiRequests.map(({ url }) => url).filter((url) => url.includes('/versions?'));
}

/** How many GETs of manifests the registry answered, each reference by itself. */
export function manifestReads({ requests }: Pick<Ghcr, 'requests'>): Map<string, number> {
  const reads = new Map<string, number>();
  for (const { method, path } of requests) {
    const reference = /\/manifests\/([^/?]+)$/.exec(path)?.[1];
    if (method === 'GET' && reference !== undefined) {
      reads.set(reference, (reads.get(reference) ?? 0) + 1);
    }
  }
  return reads;
}

/** The warnings of a run, which don't make it red. */
export function warningsOf({ run: done }: Ran): string[] {
  return done === undefined
    ? []
    : [...quotaWarnings(done), ...done.repositories.flatMap(repositoryWarnings)];
}
