/**
 * A package on the simulated GHCR, cleaned by the bundled action. Every kept tag is pulled entirely, and each deleted
 * manifest has to go before what it holds.
 */
import type { Content } from '../builders/build.js';
import { pullWhole } from '../clients/pull.js';
import { seed } from '../clients/push.js';
import { runAction, type ActionRun } from '../clients/run-action.js';
import type { ApiInterceptor } from '../servers/ghcr/api-server.js';
import { pusher } from '../servers/ghcr/client.js';
import { startGhcr, type Ghcr } from '../servers/ghcr/ghcr.js';
import { JOB_TOKEN, type GhcrOptions } from '../servers/ghcr/options.js';
import { parseBody } from '../servers/memory/state.js';
import { stopAfterTest } from '../servers/stop-after-test.js';

export const PACKAGE = 'acme/app';

export interface GhcrPackage {
  readonly ghcr: Ghcr;
  /** As others do it: a push without HTTP. */
  readonly put: (content: Content, ...tags: readonly string[]) => void;
  /** The action, without a grace period and without a brake. */
  readonly clean: (inputs?: Readonly<Record<string, string>>) => Promise<ActionRun>;
  /** the digests that are there */
  readonly left: () => Set<string>;
  /** What of these (tags or digests) can't be pulled entirely. */
  readonly broken: (...references: readonly string[]) => Promise<string[]>;
  /** Replaces the script of the REST API. */
  readonly apiIntercept: (interceptor: ApiInterceptor) => void;
  /** deletes that came while something that is there still held what they delete */
  readonly early: readonly string[];
  /** DELETE requests so far, refused ones too */
  readonly deletes: () => number;
}

export async function startPackage(options: GhcrOptions = {}): Promise<GhcrPackage> {
  const ghcr = stopAfterTest(await startGhcr(options));
  const early: string[] = [];
  let script: ApiInterceptor = () => undefined;
  const manifests = () =>
    ghcr.state.repositories.get(PACKAGE)?.manifests ?? new Map<string, never>();

  ghcr.apiIntercept((request) => {
    const { route } = request;
    if (route?.kind === 'delete') {
      const id = Number(route.parameters['package_version_id']);
      const digest = ghcr.versions(PACKAGE).find((version) => version.id === id)?.digest;
      const holders = [...manifests()].filter(([, { bytes }]) =>
        (parseBody(bytes).manifests ?? []).some((child) => child.digest === digest),
      );
      early.push(...holders.map(([holder]) => `${String(digest)} before ${holder}`));
    }
    return script(request);
  });

  return {
    ghcr,
    put: (content, ...tags) => {
      seed(ghcr.state, PACKAGE, content, ...tags);
    },
    clean: (inputs = {}) =>
      runAction(
        {
          'registry-url': ghcr.url,
          'registry-type': 'ghcr',
          'api-url': ghcr.api,
          'github-token': JOB_TOKEN,
          repositories: PACKAGE,
          'grace-period': '0',
          'max-deletes': '100%',
          ...inputs,
        },
        { env: { GITHUB_ACTOR: 'octocat' } },
      ),
    left: () => new Set(manifests().keys()),
    broken: async (...references) => {
      const wrongs = references.map((each) => pullWhole(pusher(ghcr), PACKAGE, each));
      return (await Promise.all(wrongs)).flat();
    },
    apiIntercept: (interceptor) => {
      script = interceptor;
    },
    early,
    deletes: () => ghcr.apiRequests.filter(({ method }) => method === 'DELETE').length,
  };
}
