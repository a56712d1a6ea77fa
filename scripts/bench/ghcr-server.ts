/**
 * A process of its own with a simulated GHCR that holds the estate of the benchmark, so that neither its memory nor its
 * time is mistaken for the action's. The parent tells it over IPC what to do next, and gets a `Tally` each time.
 */
import {
  attestation,
  image,
  index,
  LINUX_AMD64,
  LINUX_ARM64,
  type Content,
} from '../../__tests__/support/builders/build.js';
import { seed } from '../../__tests__/support/clients/push.js';
import { startGhcr } from '../../__tests__/support/servers/ghcr/ghcr.js';

/** How many indexes of two platforms and two attestations each, which makes five versions. */
export interface Estate {
  readonly tagged: number;
  readonly orphans: number;
}

export const VERSIONS_OF_INDEX = 5;

/** Capitals, as owners have them. */
export const OWNER = 'Acme';
const PACKAGE = 'acme/app';

export type Order =
  | {
      readonly kind: 'start';
      readonly estate: Estate;
      /** requests of the REST API in an hour */
      readonly quota: number;
      /** milliseconds that each answer takes */
      readonly registryLatency: number;
      readonly restLatency: number;
    }
  /** all orphans are gone, as after a clean-up to its end */
  | { readonly kind: 'clean' }
  /** counts from nothing again */
  | { readonly kind: 'reset' }
  /** `minutes`: for how long the run was to delete */
  | { readonly kind: 'tally'; readonly minutes?: number };

/** What was asked since the last reset. */
export interface Tally {
  readonly registry: string;
  readonly api: string;
  /** versions of the package that are there */
  readonly versions: number;
  readonly restRequests: number;
  readonly registryRequests: number;
  /** GET of a manifest, in the package or the ledger */
  readonly manifestReads: number;
  /** answers that a limit was reached, the registry's or the REST API's */
  readonly refusals: number;
  /** of versions of the package, answered with 204 */
  readonly deletes: number;
  /** milliseconds since the first DELETE; absent before it */
  readonly deletingFor?: number;
  /** DELETEs a minute, in the minutes that were asked for, from the first of them on */
  readonly deletesAMinute?: number;
}

const MINUTE = 60_000;

if (process.send !== undefined) {
  let ghcr: Awaited<ReturnType<typeof startGhcr>> | undefined;
  let orphans: string[] = [];
  let deletes: number[] = [];

  const start = async (order: Order & { kind: 'start' }): Promise<void> => {
    const { estate, quota, registryLatency, restLatency } = order;
    ghcr = await startGhcr({
      accounts: [{ login: OWNER, type: 'Organization' }],
      registryLatency,
      restLatency,
      // The test suite holds both sides against GitHub's API description; here it would take the time of the answers.
      validates: false,
    });
    ghcr.apiIntercept(({ method, path }) => {
      if (isDelete(method, path)) {
        deletes.push(Date.now());
      }
      return undefined;
    });
    ghcr.quota.set({ limit: quota, remaining: quota });
    // An old image of each tag's is an orphan, and they were pushed in turns.
    const before = estate.orphans / estate.tagged;
    for (let n = 0; n < estate.tagged; n += 1) {
      const from = Math.round(n * before);
      for (let old = from; old < Math.round((n + 1) * before); old += 1) {
        orphans.push(...add(ghcr.state, `orphan ${String(old)}`));
      }
      add(ghcr.state, `current ${String(n)}`, `v${String(n)}`);
    }
  };

  const clean = (): void => {
    const repository = ghcr?.state.repositories.get(PACKAGE);
    orphans.forEach((digest) => repository?.manifests.delete(digest));
    orphans = [];
  };

  const reset = (): void => {
    deletes = [];
    ghcr?.requests.splice(0);
    ghcr?.apiRequests.splice(0);
  };

  const tally = (minutes?: number): Tally => {
    if (ghcr === undefined) {
      throw new Error('not started');
    }
    const { url, api, state, requests, apiRequests } = ghcr;
    const reads = requests.filter(
      ({ method, path }) => method === 'GET' && path.includes('/manifests/'),
    );
    const isRefusal = ({ status }: { status: number }): boolean => status === 403 || status === 429;
    const [first] = deletes;
    const since = first === undefined ? {} : { deletingFor: Date.now() - first };
    return {
      registry: url,
      api,
      versions: state.repositories.get(PACKAGE)?.manifests.size ?? 0,
      restRequests: apiRequests.length,
      registryRequests: requests.length,
      manifestReads: reads.length,
      refusals: [...apiRequests, ...requests].filter(isRefusal).length,
      deletes: apiRequests.filter(
        ({ method, url: path, status }) => isDelete(method, path) && status === 204,
      ).length,
      ...since,
      ...(minutes === undefined ? {} : { deletesAMinute: rateOf(deletes, minutes) }),
    };
  };

  process.on('message', (order: Order) => {
    void (async () => {
      if (order.kind === 'start') {
        await start(order);
      } else if (order.kind === 'clean') {
        clean();
      } else if (order.kind === 'reset') {
        reset();
      }
      process.send?.(tally(order.kind === 'tally' ? order.minutes : undefined));
    })();
  });
}

/** In the package: the ledger, too, deletes what it has replaced. */
function isDelete(method: string, path: string): boolean {
  return method === 'DELETE' && path.includes('/container/app/versions/');
}

/** @returns the digests */
function add(state: Parameters<typeof seed>[0], name: string, ...tags: string[]): string[] {
  const platforms = [LINUX_AMD64, LINUX_ARM64].map((platform) => image(name, { platform }));
  const attestations = platforms.map((platform) => attestation(name, platform));
  const all = index([...platforms, ...attestations]);
  seed(state, PACKAGE, withoutBlobs(all), ...tags);
  return [all, ...all.children].map(({ digest }) => digest);
}

/** No run reads them. */
function withoutBlobs(content: Content): Content {
  return { ...content, blobs: new Map(), children: content.children.map(withoutBlobs) };
}

/** @param times of the DELETEs, ascending */
function rateOf(times: readonly number[], minutes: number): number {
  const [first = 0] = times;
  return times.filter((time) => time < first + minutes * MINUTE).length / minutes;
}
