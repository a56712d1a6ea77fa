/**
 * Asks a Docker credential helper, a program `docker-credential-<name>` on the PATH that takes a server on
 * its input and answers in JSON. It is run without a shell, and nothing that it prints gets into a message.
 * It ends together with the programs that it started, and neither its time nor its output is unlimited.
 */
import { spawn, type ChildProcess } from 'node:child_process';

import * as v from 'valibot';

import { inForm, tryJson } from '../oci/json.js';
import type { Credentials } from './credentials.js';
import { codeOf } from '../text/error.js';

/** A name that can't be a path or an option. */
const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** The words that the helper protocol fixes for "there is nothing", printed with a failing exit code. */
const NOT_FOUND = /^credentials not found/i;

/** This user name says that the secret is an identity token (Docker's helper protocol). */
const TOKEN_USER = '<token>';

const TIMEOUT = 30_000;

/** Milliseconds: what it printed before it ended is in the pipe, and is read in no time. */
const GRACE = 500;

/** Tokens are some kilobytes. */
const MAX_BYTES = 1024 * 1024;

const Answer = v.object({ Username: v.string(), Secret: v.string() });

/**
 * @param name what credsStore or credHelpers says
 * @param server the host, or Docker Hub's key
 * @param env of the helper, which is found on its PATH
 * @param timeout milliseconds
 * @returns undefined when the helper has nothing for that server
 * @throws Error saying which helper failed and how
 */
export async function askHelper(
  name: string,
  server: string,
  env: NodeJS.ProcessEnv,
  timeout = TIMEOUT,
): Promise<Credentials | undefined> {
  if (!HELPER_NAME.test(name)) {
    throw new Error('its name may hold letters, digits, dots, dashes and underscores only');
  }
  const program = `docker-credential-${name}`;
  const { code, output } = await run(program, server, env, timeout);
  if (code !== 0) {
    if (NOT_FOUND.test(output.trim())) {
      return undefined;
    }
    const how = code === null ? 'killed' : `exit code ${String(code)}`;
    throw new Error(`${program} get failed (${how})`);
  }
  const answer = inForm(Answer, tryJson(output));
  if (answer === undefined) {
    throw new Error(`${program} get did not answer with Username and Secret`);
  }
  const { Username: username, Secret: secret } = answer;
  if (secret === '') {
    return undefined;
  }
  return username === TOKEN_USER
    ? { kind: 'identity-token', token: secret }
    : { kind: 'basic', username, password: secret };
}

async function run(program: string, input: string, env: NodeJS.ProcessEnv, timeout: number) {
  const child = spawn(program, ['get'], {
    env,
    shell: false,
    stdio: ['pipe', 'pipe', 'ignore'],
    // In a process group of its own, so that all that it starts can be ended with it.
    detached: hasGroups,
  });
  const timers: NodeJS.Timeout[] = [];
  try {
    return await new Promise<{ code: number | null; output: string }>((resolve, reject) => {
      const pieces: Buffer[] = [];
      let size = 0;
      const done = (code: number | null) => {
        resolve({ code, output: Buffer.concat(pieces).toString('utf8') });
      };
      const fail = (why: string) => {
        reject(new Error(`${program} ${why}`));
      };
      child.once('error', (error) => {
        const code = codeOf(error);
        fail(code === 'ENOENT' ? 'is not on the PATH' : `can't be run (${code})`);
      });
      child.stdout.on('data', (piece: Buffer) => {
        size += piece.length;
        pieces.push(piece);
        if (size > MAX_BYTES) {
          fail('printed more than 1 MiB');
        }
      });
      child.once('close', done);
      // A program that it left behind may hold the pipe open, and then it never closes.
      child.once('exit', (code) => timers.push(setTimeout(done, GRACE, code)));
      const late = `gave no answer for ${String(timeout / 1000)} seconds`;
      timers.push(setTimeout(fail, timeout, late));
      // A helper that ends without reading its input breaks the pipe: its exit code says more.
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
    });
  } finally {
    timers.forEach(clearTimeout);
    endAll(child);
    // Not held by a program that got away from the group.
    child.stdin.destroy();
    child.stdout.destroy();
  }
}

const hasGroups = process.platform !== 'win32';

/** The helper, if it still runs, and what it started. */
function endAll(child: ChildProcess): void {
  try {
    if (child.pid !== undefined && hasGroups) {
      process.kill(-child.pid, 'SIGKILL');
    } else {
      child.kill('SIGKILL');
    }
  } catch {
    // As a rule there is nobody left.
  }
}
