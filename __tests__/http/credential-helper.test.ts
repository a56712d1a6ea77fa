import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { askHelper } from '../../src/http/credential-helper.js';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'credential-helper-'));
});
afterEach(async () => rm(home, { recursive: true, force: true }));

/** Asks a real program on the PATH; what it starts can write its process id to the file `pid`. */
async function ask(script: string, timeout?: number): Promise<unknown> {
  const file = join(home, 'docker-credential-mine');
  await writeFile(file, `#!/bin/sh\nread -r server || true\ncd '${home}'\n${script}\n`);
  await chmod(file, 0o755);
  const env = { PATH: `${home}:${process.env['PATH'] ?? ''}` };
  return askHelper('mine', 'r.test', env, timeout);
}

const ANSWER = `echo '{"Username":"joe","Secret":"s3cret"}'`;
const JOE = { kind: 'basic', username: 'joe', password: 's3cret' };

/** A program that was killed may stay in the list of processes until its parent has looked. */
async function ended(): Promise<boolean> {
  const pid = (await readFile(join(home, 'pid'), 'utf8')).trim();
  for (let look = 0; look < 50; look += 1) {
    const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
    if (/\) [ZX]/.test(state)) {
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

describe('a helper that does not end', () => {
  it.each([
    ['itself', 'echo $$ > pid; sleep 100'],
    ['a child that holds the pipe open', 'sleep 100 & echo $! > pid; wait'],
    ['a grandchild', '(sh -c "echo \\$\\$ > pid; sleep 100; :"; :)'],
  ])('the run gives it up and ends it: %s', async (_name, script) => {
    await expect(ask(script, 300)).rejects.toThrow(
      'docker-credential-mine gave no answer for 0.3 seconds',
    );
    expect(await ended()).toBe(true);
  });

  it('the run does not wait when only its child holds the pipe open, and its answer counts', async () => {
    expect(await ask(`sleep 100 & echo $! > pid; ${ANSWER}`)).toEqual(JOE);
    expect(await ended()).toBe(true);
  });

  it('the run does not wait when the program that it started has left its group', async () => {
    const script = `setsid sh -c 'echo $$ > pid; sleep 100' & ${ANSWER}`;
    expect(await ask(script)).toEqual(JOE);
    process.kill(Number(await readFile(join(home, 'pid'), 'utf8')), 'SIGKILL');
  });
});

describe('the output of a helper', () => {
  it('the run reads a mebibyte of it, and then ends the helper', async () => {
    await expect(ask('echo $$ > pid; yes')).rejects.toThrow(
      'docker-credential-mine printed more than 1 MiB',
    );
    expect(await ended()).toBe(true);
  });

  it('may be large within that', async () => {
    const script = `printf '{"Username":"joe","Secret":"%s"}' "$(head -c 100000 /dev/zero | tr '\\0' x)"`;
    expect(await ask(script)).toEqual({ ...JOE, password: 'x'.repeat(100_000) });
  });
});
