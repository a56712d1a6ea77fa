import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { Credentials } from '../../src/http/credentials.js';
import { readDockerCredentials } from '../../src/http/docker-config.js';

const NONE: Credentials = { kind: 'none' };
const JOE: Credentials = { kind: 'basic', username: 'joe', password: 's3cret' };
const JOES = { auth: Buffer.from('joe:s3cret').toString('base64') };

let home: string;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'docker-config-'));
  env = {
    HOME: join(home, 'nowhere'),
    DOCKER_CONFIG: home,
    PATH: `${home}:${process.env['PATH'] ?? ''}`,
  };
});
afterEach(async () => rm(home, { recursive: true, force: true }));

async function read(registry: string, config?: unknown): Promise<Credentials> {
  const found = await readWithReason(registry, config);
  return found.kind === 'none' ? NONE : found;
}

async function readWithReason(registry: string, config?: unknown): Promise<Credentials> {
  if (config !== undefined) {
    const text = typeof config === 'string' ? config : JSON.stringify(config);
    await writeFile(join(home, 'config.json'), text);
  }
  return readDockerCredentials(new URL(registry), env);
}

async function errorOf(answer: Promise<unknown>): Promise<Error> {
  const error: unknown = await answer.then(
    () => 'it was answered',
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  return error as Error;
}

/** A real program on the PATH. `$1` is what it was called with, `$server` what it got on its input. */
async function helper(name: string, script: string): Promise<void> {
  const file = join(home, `docker-credential-${name}`);
  await writeFile(file, `#!/bin/sh\nread -r server || true\n${script}\n`);
  await chmod(file, 0o755);
}

describe('where the config is', () => {
  it('nowhere: no credentials', async () => {
    expect(await read('https://r.test')).toEqual(NONE);
  });

  it.each([undefined, ''])(
    'with DOCKER_CONFIG %j, in .docker of the home directory',
    async (value) => {
      env = { ...env, HOME: home, DOCKER_CONFIG: value };
      await mkdir(join(home, '.docker'));
      await writeFile(
        join(home, '.docker', 'config.json'),
        JSON.stringify({ auths: { 'r.test': JOES } }),
      );
      expect(await read('https://r.test')).toEqual(JOE);
    },
  );
});

describe('which entry is the registry’s', () => {
  it.each([
    ['https://r.test', 'r.test'],
    ['https://r.test', 'R.Test'],
    ['https://r.test', 'https://r.test'],
    ['https://r.test', 'http://r.test/v1/'],
    ['https://r.test', 'r.test/some/path'],
    ['https://r.test', 'r.test:443'],
    ['https://r.test:443', 'r.test'],
    ['http://r.test', 'r.test:80'],
    ['https://r.test:5000', 'r.test:5000'],
    ['https://r.test:5000', 'https://r.test:5000/v2/'],
    ['http://localhost:5000', 'localhost:5000'],
    ['http://[::1]:5000', '[::1]:5000'],
    ['https://docker.io', 'https://index.docker.io/v1/'],
    ['https://index.docker.io', 'https://index.docker.io/v1/'],
    ['https://registry-1.docker.io', 'https://index.docker.io/v1/'],
    ['https://registry-1.docker.io', 'docker.io'],
  ])('for %s: %s', async (registry, key) => {
    expect(await read(registry, { auths: { 'other.test': {}, [key]: JOES } })).toEqual(JOE);
  });

  it.each([
    ['https://r.test', 'r.test.evil'],
    ['https://r.test', 'evil-r.test'],
    ['https://r.test', 'sub.r.test'],
    ['https://r.test', 'r.test@evil'],
    ['https://r.test', 'evil/r.test'],
    ['https://r.test', 'https://evil/https://r.test'],
    ['https://r.test', 'r.test:5000'],
    ['https://r.test', 'r.test:80'],
    ['https://r.test:5000', 'r.test'],
    ['https://r.test:5000', 'r.test:50000'],
    ['https://r.test.evil', 'r.test'],
    ['https://evil-docker.io', 'https://index.docker.io/v1/'],
    ['https://docker.io.evil', 'https://index.docker.io/v1/'],
    ['https://hub.docker.io', 'https://index.docker.io/v1/'],
    ['https://docker.io:5000', 'docker.io'],
  ])('for %s: not %s', async (registry, key) => {
    const config = { auths: { [key]: JOES }, credHelpers: { [key]: 'must-not-run' } };
    expect(await read(registry, config)).toEqual(NONE);
  });
});

describe('which of several entries counts', () => {
  const other = (name: string) => ({ auth: btoa(`${name}:other`) });
  const permutations = <T>(all: readonly T[]): T[][] =>
    all.length < 2
      ? [[...all]]
      : all.flatMap((one) =>
          permutations(all.filter((each) => each !== one)).map((rest) => [one, ...rest]),
        );

  it.each([
    ['https://r.test', 'r.test', ['r.test/team-b', 'https://r.test/v1/', 'R.TEST']],
    ['https://r.test', 'r.test', ['r.test:443', 'http://r.test', 'https://r.test/v2/']],
    ['https://r.test:5000', 'r.test:5000', ['r.test', 'r.test:5000/a', 'https://r.test:5000']],
    ['http://localhost', 'localhost:80', ['http://localhost/', 'localhost/a']],
    ['https://r.test', 'R.Test', ['https://r.test', 'r.test/team-b']],
    ['https://r.test', 'https://r.test/v1/', ['r.test/b', 'r.test/a', 'other.test']],
    ['https://r.test', 'r.test/a', ['r.test/b', 'r.test/a/b']],
    ['https://docker.io', 'https://index.docker.io/v1/', ['docker.io', 'registry-1.docker.io']],
    ['https://index.docker.io', 'https://index.docker.io/v1/', ['index.docker.io', 'docker.io/x']],
    ['https://registry-1.docker.io', 'registry-1.docker.io', ['https://index.docker.io/v1/']],
    [
      'https://registry-1.docker.io',
      'https://index.docker.io/v1/',
      ['docker.io', 'https://registry-1.docker.io/x'],
    ],
  ])('for %s: %s, wherever it stands', async (registry, key, others) => {
    for (const keys of permutations([key, ...others])) {
      const auths = Object.fromEntries(
        keys.map((each) => [each, each === key ? JOES : other(each)]),
      );
      expect(await read(registry, { auths })).toEqual(JOE);
    }
  });

  it('the exact key of credHelpers', async () => {
    await helper('mine', `echo '{"Username":"joe","Secret":"s3cret"}'`);
    for (const keys of permutations(['r.test', 'r.test/team-b', 'https://r.test/v1/'])) {
      const credHelpers = Object.fromEntries(
        keys.map((key) => [key, key === 'r.test' ? 'mine' : 'must-not-run']),
      );
      expect(await read('https://r.test', { credHelpers })).toEqual(JOE);
    }
  });

  it('an exact key without a helper means the file, and an exact empty entry nothing', async () => {
    const config = { credsStore: 'must-not-run', credHelpers: { 'r.test': '' } };
    expect(await read('https://r.test', { ...config, auths: { 'r.test': JOES } })).toEqual(JOE);
    expect(
      await read('https://r.test', { auths: { 'r.test': {}, 'https://r.test': JOES } }),
    ).toEqual(NONE);
  });

  it('none that only looks like a property', async () => {
    expect(await read('https://constructor', { auths: {} })).toEqual(NONE);
  });
});

describe('why there are none', () => {
  const why = async (config?: unknown) => {
    const found = await readWithReason('https://r.test:5000', config);
    return found.kind === 'none' ? found.why : 'there are some';
  };
  const hosts = (...names: readonly string[]) => ({
    auths: Object.fromEntries(names.map((name) => [name, JOES])),
  });

  it.each<[string, unknown, string]>([
    [
      'others',
      hosts('https://b.test/v1/', 'a.test/team', 'a.test'),
      'has none for r.test:5000; it has a.test, b.test',
    ],
    ['its other port', hosts('r.test'), 'has none for r.test:5000; it has r.test'],
    [
      'many',
      hosts('g.test', 'b.test', 'c.test', 'd.test', 'e.test', 'f.test', 'a.test'),
      'it has a.test, b.test, c.test, d.test, e.test and 2 more',
    ],
    ['helpers', { credHelpers: { 'a.test': 'x' } }, 'none for r.test:5000; it has a.test'],
    ['no key that is a host', hosts('czNjcmV0', 'joe:s3cret@a.test'), 'it has none at all'],
    ['nothing', {}, 'the Docker config has none for r.test:5000; it has none at all'],
    [
      'an empty entry',
      { auths: { 'r.test:5000': {}, 'a.test': JOES } },
      'the entry of the Docker config for r.test:5000 is empty; it has a.test',
    ],
  ])('%s', async (_name, config, expected) => {
    expect(await why(config)).toContain(expected);
  });

  it('no config, and which file that would be', async () => {
    expect(await why()).toBe(`there is no Docker config (${join(home, 'config.json')})`);
  });

  it.each([
    ['credsStore', { credsStore: 'mine', auths: { 'r.test:5000': {} } }],
    ['credHelpers', { credHelpers: { 'r.test:5000': 'mine' } }],
  ])('a helper of %s that has none', async (setting, config) => {
    await helper('mine', 'echo "credentials not found"; exit 1');
    expect(await why(config)).toBe(
      `docker-credential-mine, which ${setting} of the Docker config names, has none for r.test:5000`,
    );
  });
});

describe('what an entry holds', () => {
  it.each<[string, unknown, Credentials]>([
    ['auth', JOES, JOE],
    [
      'a colon in the password',
      { auth: btoa('joe:a:b') },
      { kind: 'basic', username: 'joe', password: 'a:b' },
    ],
    ['an empty password', { auth: btoa('joe:') }, { kind: 'basic', username: 'joe', password: '' }],
    ['NULs behind the password', { auth: btoa('joe:s3cret\0\0') }, JOE],
    ['NULs before the password', { auth: btoa('joe:\0s3cret') }, JOE],
    [
      'base64 wrapped by line feeds',
      { auth: `${JOES.auth.slice(0, 6)}\n${JOES.auth.slice(6)}\n` },
      JOE,
    ],
    [
      'base64 wrapped by CRLF',
      { auth: `${JOES.auth.slice(0, 4)}\r\n${JOES.auth.slice(4)}\r\n` },
      JOE,
    ],
    ['base64 between spaces', { auth: `  ${JOES.auth} \n` }, JOE],
    ['username and password', { username: 'joe', password: 's3cret' }, JOE],
    [
      'an identity token',
      { ...JOES, identitytoken: 'id' },
      { kind: 'identity-token', token: 'id' },
    ],
    [
      'a registry token',
      { ...JOES, registrytoken: 'reg' },
      { kind: 'registry-token', token: 'reg' },
    ],
    ['nothing', {}, NONE],
    ['nulls', { auth: null, identitytoken: null }, NONE],
    ['an e-mail address', { ...JOES, email: 'joe@example.test' }, JOE],
  ])('%s', async (_name, entry, expected) => {
    expect(await read('https://r.test', { auths: { 'r.test': entry } })).toEqual(expected);
  });
});

describe('a config with nothing in it', () => {
  it.each([
    ['no byte', ''],
    ['blanks and line feeds', ' \r\n\t\n'],
    ['a byte order mark', '\ufeff'],
    ['null', 'null'],
    ['an object', '{}'],
  ])('%s: no credentials', async (_name, text) => {
    expect(await read('https://r.test', text)).toEqual(NONE);
  });

  it('a byte order mark is no part of the text', async () => {
    const text = `\ufeff${JSON.stringify({ auths: { 'r.test': JOES } })}`;
    expect(await read('https://r.test', text)).toEqual(JOE);
  });

  it('a pipe that nobody writes to is not waited for', async () => {
    execFileSync('mkfifo', [join(home, 'config.json')]);
    expect(await read('https://r.test')).toEqual(NONE);
  });
});

describe('a broken config', () => {
  it('without an end is read to 8 MiB', async () => {
    await symlink('/dev/zero', join(home, 'config.json'));
    expect((await errorOf(read('https://r.test'))).message).toContain('is larger than 8 MiB');
  });

  it.each<[string, unknown, RegExp]>([
    ['no JSON', '{"auths": {"r.test": {"auth": "s3cret"', /config\.json isn't valid JSON/],
    ['no object', '["s3cret"]', /isn't in the form of a Docker config/],
    ['auths of another form', { auths: 's3cret' }, /isn't in the form of a Docker config/],
    ['an entry of another form', { auths: { 'r.test': 's3cret' } }, /the entry under `auths`/],
    [
      'auth that is not base64',
      { auths: { 'r.test': { auth: 's3cret!' } } },
      /isn't the base64 form/,
    ],
    [
      'auth without a colon',
      { auths: { 'r.test': { auth: btoa('s3cret') } } },
      /isn't the base64 form/,
    ],
  ])('%s: an error that names the file and shows nothing of it', async (_name, config, message) => {
    const error = await errorOf(read('https://r.test', config));
    expect(error.message).toMatch(message);
    expect(error.message).toContain(join(home, 'config.json'));
    expect(`${error.message} ${String(error.cause)}`).not.toMatch(/s3cret|czNjcmV0/);
  });

  it('is no matter in another registry’s entry', async () => {
    const auths = { 'other.test': { auth: '!' }, 'r.test': JOES };
    expect(await read('https://r.test', { auths })).toEqual(JOE);
  });

  it('names the file that can not be read', async () => {
    await mkdir(join(home, 'config.json'));
    expect((await errorOf(read('https://r.test'))).message).toContain("can't be read (EISDIR)");
  });
});

describe('credential helpers', () => {
  const ANSWER = `printf '{"ServerURL":"%s","Username":"joe","Secret":"s3cret"}' "$server"`;

  it.each<[string, object]>([
    ['credHelpers', { credHelpers: { 'r.test': 'mine' } }],
    ['credsStore', { credsStore: 'mine', auths: { 'r.test': {} } }],
    ['credHelpers before credsStore', { credHelpers: { 'r.test': 'mine' }, credsStore: 'other' }],
    [
      'credHelpers before auths',
      { credHelpers: { 'r.test': 'mine' }, auths: { 'r.test': { auth: '!' } } },
    ],
  ])('%s', async (_name, config) => {
    await helper('mine', ANSWER);
    expect(await read('https://r.test', config)).toEqual(JOE);
  });

  it.each([
    ['https://r.test:5000', 'r.test:5000'],
    ['https://registry-1.docker.io', 'https://index.docker.io/v1/'],
  ])('are asked with "get", and for %s on their input', async (registry, server) => {
    const log = join(home, 'log');
    await helper('mine', `echo "$@ $server" > '${log}'\n${ANSWER}`);
    await read(registry, { credsStore: 'mine' });
    expect(await readFile(log, 'utf8')).toBe(`get ${server}\n`);
  });

  it('give an identity token under the user name <token>', async () => {
    await helper('mine', `echo '{"Username":"<token>","Secret":"id"}'`);
    expect(await read('https://r.test', { credsStore: 'mine' })).toEqual({
      kind: 'identity-token',
      token: 'id',
    });
  });

  it('may have nothing: then the file counts, or nobody', async () => {
    await helper('mine', 'echo "credentials not found in native keychain"; exit 1');
    expect(await read('https://r.test', { credsStore: 'mine' })).toEqual(NONE);
    expect(await read('https://r.test', { credsStore: 'mine', auths: { 'r.test': JOES } })).toEqual(
      JOE,
    );
  });

  it.each<[string, string, RegExp]>([
    ['fails', 'echo "s3cret: locked"; exit 3', /docker-credential-mine get failed \(exit code 3\)/],
    ['answers with no JSON', 'echo s3cret', /did not answer with Username and Secret/],
    [
      'answers with other JSON',
      `echo '{"Secret":"s3cret"}'`,
      /did not answer with Username and Secret/,
    ],
    ['ends without reading', 'exec 0<&-; echo s3cret >&2; exit 1', /exit code 1/],
  ])('one that %s is an error that names it and shows nothing', async (_name, script, message) => {
    await helper('mine', script);
    const error = await errorOf(read('https://r.test', { credsStore: 'mine' }));
    expect(error.message).toMatch(message);
    expect(error.message).toContain(`named by credsStore in ${join(home, 'config.json')}`);
    expect(`${error.message} ${String(error.cause)}`).not.toContain('s3cret');
  });

  it('one that is not there is an error that says what to do', async () => {
    const error = await errorOf(read('https://r.test', { credHelpers: { 'r.test': 'absent' } }));
    expect(error.message).toMatch(
      /docker-credential-absent is not on the PATH.*`username` and `password`/,
    );
  });

  it.each(['../mine', 'a/b', '-x', 'a b', 'a;touch x', '$(touch x)', '..'])(
    'the name %j is not run',
    async (name) => {
      const error = await errorOf(read('https://r.test', { credsStore: name }));
      expect(error.message).toContain('its name may hold letters');
    },
  );

  it('no helper of another registry is run', async () => {
    await helper('mine', `touch '${join(home, 'ran')}'; ${ANSWER}`);
    expect(await read('https://r.test', { credHelpers: { 'r.test.evil': 'mine' } })).toEqual(NONE);
    await expect(readFile(join(home, 'ran'))).rejects.toThrow(/ENOENT/);
  });
});
