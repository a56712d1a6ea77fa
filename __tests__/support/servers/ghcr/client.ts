/** Clients of the simulated GHCR for its own tests: GitHub's octokit, and fetch for the registry. */
import { getOctokit } from '@actions/github';

import { MANIFEST_ACCEPT } from '../../../../src/oci/media-types.js';
import type { Destination } from '../../clients/push.js';
import { basicHeader } from '../memory/auth.js';
import { stopAfterTest } from '../stop-after-test.js';
import { startGhcr, type Ghcr } from './ghcr.js';
import { JOB_TOKEN, PERSONAL_TOKEN, type Assumptions, type GhcrOptions } from './options.js';

export type Octokit = ReturnType<typeof getOctokit>;

type ListVersions = Octokit['rest']['packages']['getAllPackageVersionsForPackageOwnedByOrg'];
type ListedVersion = Awaited<ReturnType<ListVersions>>['data'][number];

/** The repository of these tests, and the package that it is. */
export const NAME = 'team/app';
export const PACKAGE = { package_type: 'container', package_name: 'app', org: 'team' } as const;

export interface Scene {
  readonly ghcr: Ghcr;
  readonly octokit: Octokit;
  /** moves the clock, in milliseconds */
  readonly wait: (time: number) => void;
}

/** A simulator whose clock stands at the beginning of 2026. */
export async function startScene(
  assume: Partial<Assumptions> = {},
  options: GhcrOptions = {},
): Promise<Scene> {
  let now = Date.parse('2026-01-01T00:00:00Z');
  const ghcr = stopAfterTest(await startGhcr({ now: () => now, ...options, assume }));
  return { ghcr, octokit: octokitOf(ghcr), wait: (time) => (now += time) };
}

/** The first page of a list of versions. */
export async function list(
  { octokit }: Scene,
  state: 'active' | 'deleted' = 'active',
): Promise<ListedVersion[]> {
  const get = octokit.rest.packages.getAllPackageVersionsForPackageOwnedByOrg;
  return (await get({ ...PACKAGE, state })).data;
}

export function idOf({ ghcr }: Scene, { digest }: { readonly digest: string }): number {
  return ghcr.versions(NAME).find((version) => version.digest === digest)?.id ?? 0;
}

/** How a delete failed, as `failureOf` has it. */
export function remove({ octokit }: Scene, package_version_id: number): Promise<unknown[]> {
  const { packages } = octokit.rest;
  return failureOf(packages.deletePackageVersionForOrg({ ...PACKAGE, package_version_id }));
}

export function octokitOf(ghcr: Ghcr, token = PERSONAL_TOKEN): Octokit {
  const silent = (): void => undefined;
  const log = { debug: silent, info: silent, warn: silent, error: silent };
  return getOctokit(token, { baseUrl: ghcr.api, log });
}

/** How a request of octokit's failed: its status and GitHub's message. */
export async function failureOf(request: Promise<unknown>): Promise<unknown[]> {
  try {
    await request;
    return [];
  } catch (error) {
    const { status, response } = error as {
      status: number;
      response?: { data?: { message?: string } };
    };
    return [status, response?.data?.message];
  }
}

/** The answer of the registry's token server. */
export function askForToken(ghcr: Ghcr, scope: string, authorization?: string): Promise<Response> {
  const url = `${ghcr.url}/token?service=ghcr.io&scope=${encodeURIComponent(scope)}`;
  return fetch(url, { headers: authorization === undefined ? {} : { authorization } });
}

/** A bearer of the registry, as the value of an Authorization header. */
export async function bearer(ghcr: Ghcr, scope: string, token = JOB_TOKEN): Promise<string> {
  const answer = await askForToken(ghcr, scope, basicHeader('anybody', token));
  const { token: value } = (await answer.json()) as { token: string };
  return `Bearer ${value}`;
}

/** For `push`, with the rights of this token. */
export function pusher(ghcr: Ghcr, token = JOB_TOKEN): Destination {
  return {
    url: ghcr.url,
    authorization: (scope) => bearer(ghcr, scope, token),
  };
}

/** GET of the registry, with a bearer for the repository. */
export async function read(
  ghcr: Ghcr,
  repository: string,
  path: string,
  headers: Readonly<Record<string, string>> = { accept: MANIFEST_ACCEPT },
  method = 'GET',
): Promise<Response> {
  const authorization = await bearer(ghcr, `repository:${repository}:pull`);
  return fetch(`${ghcr.url}/v2/${repository}/${path}`, {
    method,
    redirect: 'manual',
    headers: { authorization, ...headers },
  });
}

/** The first error of the registry's answer, with its status. */
export async function errorOf(answer: Response): Promise<unknown[]> {
  const { errors } = (await answer.json()) as { errors: { code: string; message: string }[] };
  return [answer.status, errors[0]?.code, errors[0]?.message];
}
