/** The bundled action as a process: inputs, exit code, outputs, and what the log may not hold. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, expect, it } from '@jest/globals';

import { NEWEST_PAGES } from '../../src/text/pages.js';
import { image } from '../support/builders/build.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { seed } from '../support/clients/push.js';
import { runAction } from '../support/clients/run-action.js';

const orphan = image('process 1');
const kept = image('process 2');

let registry: MemoryRegistry;

beforeEach(async () => {
  registry = await startMemoryRegistry();
  seed(registry.state, 'team/app', orphan, 'latest');
  seed(registry.state, 'team/app', kept, 'latest');
});

afterEach(() => registry.stop());

it('a run names every mistake in the inputs in one error and sends no request', async () => {
  const run = await runAction({
    'registry-url': registry.url,
    'dry-run': 'yes',
    'grace-period': '24',
    concurrency: '0',
    'dangling-referrers': 'maybe',
    'ledger-repository': 'Ledger',
    repositories: 'Team/App',
    'digests-file': '/does/not/exist',
    'ca-file': '/does/not/exist.pem',
    username: 'somebody',
  });
  expect(run.exitCode).toBe(1);
  const errors = run.log.split('\n').filter((line) => line.startsWith('::error::'));
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatch(/^::error::9 mistakes in the inputs, and nothing was done:%0A- /);
  for (const name of [
    'dry-run is "yes"',
    'grace-period is "24"',
    'concurrency is "0"',
    'dangling-referrers is "maybe"',
    'ledger-repository is "Ledger"',
    'repositories is "Team/App"',
    'digests-file is "/does/not/exist"',
    'ca-file is "/does/not/exist.pem"',
    'password is empty',
  ]) {
    expect(errors[0]).toContain(name);
  }
  expect(registry.requests).toEqual([]);
});

it('a run names the mistakes in the files of several inputs in one error and sends no request', async () => {
  const run = await runAction({
    'registry-url': registry.url,
    'protect-files': 'gone/*.yaml',
    'apply-plan': path.resolve('package.json'),
  });
  expect(run.exitCode).toBe(1);
  const errors = run.log.split('\n').filter((line) => line.startsWith('::error::'));
  expect(errors).toEqual([
    expect.stringMatching(
      /^::error::protect-files: "gone\/\*\.yaml" matches no file .*%0Aapply-plan: the file isn't a plan of this action\. /,
    ),
  ]);
  expect(registry.requests).toEqual([]);
});

it('a run tells the registry and the report its version, which is that of package.json', async () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const agents: (string | undefined)[] = [];
  registry.intercept(({ headers }) => {
    agents.push(headers['user-agent']);
    return undefined;
  });
  const run = await runAction({ 'registry-url': registry.url, 'dry-run': 'true' });
  expect(run.report).toMatchObject({ version });
  expect(new Set(agents)).toEqual(new Set([`registry-manifest-cleanup/${version}`]));
});

it('a run exits 1 when the process ends before it has settled', async () => {
  // A request whose answer never comes and that keeps nothing alive: the event loop runs dry.
  const silence = `
    import http from 'node:http';
    import { syncBuiltinESMExports } from 'node:module';
    import { EventEmitter } from 'node:events';
    const { setTimeout: wait } = globalThis;
    globalThis.setTimeout = (...call) => wait(...call).unref();
    http.request = () => Object.assign(new EventEmitter(), { setTimeout() {}, end() {}, write() {} });
    syncBuiltinESMExports();`;
  const run = await runAction(
    { 'registry-url': registry.url },
    { nodeArguments: ['--import', `data:text/javascript,${encodeURIComponent(silence)}`] },
  );
  expect(registry.requests).toEqual([]);
  expect(run.exitCode).toBe(1);
});

it('a run works without GITHUB_STEP_SUMMARY and GITHUB_OUTPUT', async () => {
  const run = await runAction(
    { 'registry-url': registry.url, digests: `team/app@${orphan.digest}` },
    { env: { GITHUB_STEP_SUMMARY: '', GITHUB_OUTPUT: '' } },
  );
  expect(run.exitCode).toBe(0);
  expect(run.summary).toBe('');
  expect(registry.state.repositories.get('team/app')?.manifests.has(orphan.digest)).toBe(false);
});

it('a run shows each request when debugging, and none otherwise', async () => {
  const quiet = await runAction({ 'registry-url': registry.url });
  expect(quiet.log).not.toContain('::debug::');
  const loud = await runAction({ 'registry-url': registry.url }, { env: { RUNNER_DEBUG: '1' } });
  expect(loud.log).toMatch(
    /^::debug::GET http:\/\/127.*\/v2\/team\/app\/tags\/list → 200 in \d+ ms/m,
  );
});

it('a run says that it saw no orphans because it could see nothing', async () => {
  const run = await runAction({ 'registry-url': registry.url });
  expect(run.exitCode).toBe(0);
  expect(run.outputs).toMatchObject({ 'orphans-found': '0', 'kept-count': '1' });
  expect(run.summary).toContain('This does not mean that there are none');
  expect(run.log).toContain('lists untagged manifests');
});

it.each([
  ['warnings in a dry-run', 'true', 'warning', 0, 'What would hold a real run back'],
  ['errors in a real run', 'false', 'error', 1, 'Problems'],
] as const)(
  'a run annotates with ten %s, and points to the rest',
  async (_what, dryRun, kind, code, section) => {
    const repositories = Array.from({ length: 12 }, (_, n) => `team/app-${n}`);
    for (const repository of repositories) {
      seed(registry.state, repository, orphan, 'latest');
      seed(registry.state, repository, kept, 'latest');
    }
    const run = await runAction({
      'registry-url': registry.url,
      digests: repositories.map((repository) => `${repository}@${orphan.digest}`).join('\n'),
      'max-deletes': '1%',
      'dry-run': dryRun,
    });
    expect(run.exitCode).toBe(code);
    expect(run.log.match(new RegExp(`^::${kind}::`, 'gm'))).toHaveLength(10);
    expect(run.log).toContain(`2 more in the job summary, under "${section}"`);
    expect(run.summary).toContain(`### ${section}`);
    for (const repository of repositories) {
      expect(run.summary).toContain(repository);
    }
  },
);

it('no-leak: a run keeps secrets that a registry sends back out of log, summary and report', async () => {
  const password = 'c0rrect-horse&battery+staple';
  const basic = Buffer.from(`somebody:${password}`).toString('base64');
  registry.intercept(({ path }) => {
    const echo = `you sent ${password} as ${basic}`;
    return path.includes('/manifests/')
      ? {
          kind: 'answer',
          status: 400,
          body: JSON.stringify({ errors: [{ code: 'UNKNOWN', message: echo }] }),
        }
      : undefined;
  });
  const run = await runAction({ 'registry-url': registry.url, username: 'somebody', password });
  expect(run.exitCode).toBe(1);
  for (const text of [run.log, run.summary, JSON.stringify(run.report)]) {
    expect(text).toContain('you sent');
    expect(text).not.toContain(password);
    expect(text).not.toContain(basic);
  }
});

it('a run warns of digests in `protect` that the registry does not have, where it read all of it', async () => {
  const protect = `team/ap\n**/app\n${registry.host}/nest/**\nnest/app@${orphan.digest}`;
  const inputs = { 'registry-url': registry.url, protect };
  const whole = await runAction(inputs);
  expect(whole.exitCode).toBe(0);
  const warnings = ['team/ap', 'nest/**', 'nest/app'].map(
    (name) =>
      `\`protect\` names \`${name}\`, which matches no repository of this registry, and so protects nothing. Check it for a typo, or remove it`,
  );
  const help = `${NEWEST_PAGES}/docs/troubleshooting.md#protection-unmatched`;
  expect([...whole.log.matchAll(/^::warning::(.*)$/gm)].map(([, said]) => said)).toEqual(
    warnings.map((warning) => `${warning} [protection-unmatched] ${help}`),
  );
  const listed = warnings.map((warning) => `- ${warning} [\`protection-unmatched\`](${help})\n`);
  expect(whole.summary).toContain(`### Warnings (3)\n\n${listed.join('')}`);
  expect(whole.report).toMatchObject({
    warnings: warnings.map((warning) => `${warning} [protection-unmatched]`),
  });
  // What an entry means may be in what was left out.
  const some = await runAction({ ...inputs, repositories: 'team/*' });
  expect(some.log).not.toContain('matches no repository');
});

it('a run refuses a host without its port in `protect`, and sends no request', async () => {
  const run = await runAction({ 'registry-url': registry.url, protect: '127.0.0.1/team/**' });
  expect(run.exitCode).toBe(1);
  expect(run.log).toContain(`\`${registry.host}/team/**\` or \`team/**\``);
  expect(registry.requests).toEqual([]);
});

it('no-leak: a run writes no plan in which a name would be masked, and says what to do', async () => {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'masked-plan-')), 'plan.json');
  const run = async (password: string) => {
    const login = { username: 'somebody', password };
    const inputs = { 'registry-url': registry.url, digests: `team/app@${orphan.digest}`, ...login };
    return runAction({ ...inputs, 'dry-run': 'true', 'plan-file': file });
  };
  const masked = await run('app');
  expect(masked.exitCode).toBe(1);
  expect(masked.log).toMatch(/^::error::plan-file: no plan was written\. .*, team\/\*\*\*, has/m);
  expect(masked.summary).toContain('no plan was written');
  expect(masked.outputs['plan-file']).toBeUndefined();
  expect(existsSync(file)).toBe(false);
  const whole = await run('c0rrect-horse-battery');
  expect(whole.exitCode).toBe(0);
  expect(readFileSync(file, 'utf8')).toContain('"team/app"');
  rmSync(path.dirname(file), { recursive: true });
});

it('no-leak: a run keeps a password that comes back as a tag out of log, summary and report', async () => {
  const password = 'c0rrect-horse-battery';
  registry.state.repositories.get('team/app')?.tags.set(password, `sha256:${'0'.repeat(64)}`);
  const run = await runAction({ 'registry-url': registry.url, username: 'somebody', password });
  expect(run.exitCode).toBe(0);
  for (const text of [run.log, run.summary, JSON.stringify(run.report)]) {
    expect(text).toContain('***');
    expect(text).not.toContain(password);
  }
});
