/** Who the run is to the registry and to the API of GitHub. Masks what is secret before anything else can print it. */
import * as core from '@actions/core';

import type { Credentials } from '../http/credentials.js';
import { readDockerCredentials } from '../http/docker-config.js';
import type { Family, GitHub } from '../registry/registry.js';
import type { Settings } from '../run/settings.js';
import { maskInLog } from './mask.js';
import type { Mistake } from './mistake.js';

/** Any name will do beside a token of GitHub. */
const NEUTRAL_NAME = 'github-actions';

/** How the tokens of jobs begin. */
const JOB_TOKEN = 'ghs_';

/** The registry that a token is for. */
interface TokenPlace {
  readonly registry: URL | undefined;
  /** absent: a mistake in the inputs hides it */
  readonly family: Family | undefined;
  readonly github: GitHub | undefined;
  readonly apiUrl?: URL;
}

/** Reads `username` and `password`. */
export function readLogin(mistake: Mistake): Settings['login'] {
  const username = core.getInput('username');
  const password = core.getInput('password');
  if (password !== '') {
    maskInLog(password);
  }
  const alone = 'neither of them works alone';
  if (username !== '' && password === '') {
    mistake('password', `the password or token that goes with \`username\`; ${alone}`, '');
  }
  if (password !== '' && username === '') {
    mistake('username', `the account that \`password\` belongs to; ${alone}`, '');
  }
  if (username.includes(':')) {
    // Not quoted: what stands after the colon is likely a password.
    mistake('username', 'a name without a colon (RFC 7617 gives it another meaning)');
  }
  return password === '' ? undefined : { username, password };
}

/**
 * Reads `github-token`.
 *
 * @returns `undefined` for every family but GitHub's own: the token goes to no other registry
 */
export function readGithubToken(
  { registry, family, github, apiUrl }: TokenPlace,
  mistake: Mistake,
): string | undefined {
  const token = core.getInput('github-token');
  if (token !== '') {
    maskInLog(token);
  }
  if (token === '' || family?.isOfGitHub !== true) {
    return undefined;
  }
  if (!/^[\x21-\x7e]+$/.test(token)) {
    // What can't stand in a header would be quoted by the error of whoever tries. Here it is not.
    return mistake('github-token', 'one token of GitHub, without spaces or line feeds within');
  }
  const api = apiUrl ?? (registry && family.api?.(registry, github));
  const isElsewhere =
    apiUrl === undefined && github !== undefined && api?.origin !== github.api.origin;
  if (isElsewhere && token.startsWith(JOB_TOKEN)) {
    const takes = `a personal access token for ${String(api?.host)}: the job's own token is one of ${github.server.host}`;
    return mistake('github-token', takes);
  }
  return token;
}

/**
 * The credentials for the registry: those of the inputs, else the Docker config, else the token of GitHub where the settings
 * have one.
 *
 * @param env where GITHUB_ACTOR and the Docker config are looked up
 * @throws CodedError naming the file or the helper that can't be used
 */
export async function credentialsOf(
  { registry, login, githubToken }: Pick<Settings, 'registry' | 'login' | 'githubToken'>,
  env: NodeJS.ProcessEnv,
): Promise<Credentials> {
  if (login !== undefined) {
    return { kind: 'basic', ...login };
  }
  const stored = await readDockerCredentials(registry, env);
  return stored.kind === 'none' && githubToken !== undefined
    ? { kind: 'basic', username: env['GITHUB_ACTOR'] || NEUTRAL_NAME, password: githubToken }
    : stored;
}
