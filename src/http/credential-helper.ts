/**
 * Asks a Docker credential helper, a program `docker-credential-<name>` on the PATH that takes a server on
 * its input and answers in JSON. It is run without a shell, and nothing that it prints gets into a message.
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

import * as v from 'valibot';

import type { Credentials } from './credentials.js';
import { codeOf } from './failure.js';

/** A name that can't be a path or an option. */
const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** The words that the helper protocol fixes for "there is nothing", printed with a failing exit code. */
const NOT_FOUND = /^credentials not found/i;

/** This user name says that the secret is an identity token (Docker's helper protocol). */
const TOKEN_USER = '<token>';

const TIMEOUT = 30_000;

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'is not on the PATH',
  ABORT_ERR: 'gave no answer for 30 seconds',
};

const Answer = v.object({ Username: v.string(), Secret: v.string() });

/**
 * @param name what credsStore or credHelpers says
 * @param server the host, or Docker Hub's key
 * @param env its PATH is where the helper is looked for; the helper runs with it
 * @returns undefined when the helper has nothing for that server
 * @throws Error saying which helper failed and how
 */
export async function askHelper(
  name: string,
  server: string,
  env: NodeJS.ProcessEnv,
): Promise<Credentials | undefined> {
  if (!HELPER_NAME.test(name)) {
    throw new Error('its name may hold letters, digits, dots, dashes and underscores only');
  }
  const program = `docker-credential-${name}`;
  const { code, output } = await run(program, server, env);
  if (code !== 0) {
    if (NOT_FOUND.test(output.trim())) {
      return undefined;
    }
    throw new Error(
      `${program} get failed (${code === null ? 'killed' : `exit code ${String(code)}`})`,
    );
  }
  const parsed = v.safeParse(Answer, parseJson(output), { abortEarly: true });
  if (!parsed.success) {
    throw new Error(`${program} get did not answer with Username and Secret`);
  }
  const { Username: username, Secret: secret } = parsed.output;
  if (secret === '') {
    return undefined;
  }
  return username === TOKEN_USER
    ? { kind: 'identity-token', token: secret }
    : { kind: 'basic', username, password: secret };
}

async function run(
  program: string,
  input: string,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(program, ['get'], {
    env,
    shell: false,
    stdio: ['pipe', 'pipe', 'ignore'],
    // Not `timeout`: its timer outlives a program that could not even be started.
    signal: AbortSignal.timeout(TIMEOUT),
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => {
      const code = codeOf(error);
      reject(new Error(`${program} ${WHY[code] ?? `can not be run (${code})`}`));
    });
    child.once('close', resolve);
  });
  // A helper that ends without reading its input breaks the pipe: its exit code says more.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [code, output] = await Promise.all([ended, text(child.stdout)]);
  return { code, output };
}

function parseJson(output: string): unknown {
  try {
    return JSON.parse(output);
  } catch {
    return undefined;
  }
}
