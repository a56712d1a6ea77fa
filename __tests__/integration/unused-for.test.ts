/**
 * `unused-for` and `grace-period` on a tag that moved, as docs/how-it-decides.md says it: the bundled action on a real
 * registry, its clock set back by days. The registry's own directory is the judge.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, it, jest } from '@jest/globals';

import { APP, image, index } from '../support/builders/build.js';
import { clockBehind } from '../support/clients/clock.js';
import { clean, type ActionRun } from '../support/clients/run-action.js';
import { push } from '../support/clients/push.js';
import { describeWith } from '../support/servers/describe-with.js';
import { dockerRegistry, present } from '../support/servers/real-registries.js';
import { startDockerRegistry, type DockerRegistry } from '../support/servers/docker-registry.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';

jest.setTimeout(180_000);

const DAY = 86_400_000;
const DATE = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' });

/** Neither old nor young by the clock of any of these runs: built when it was pushed. */
const created = new Date(Date.now() - 30 * DAY).toISOString();
const before = index([image('before amd64', { created }), image('before arm64', { created })]);
const after = image('after', { created });

/** How many days ago the image was pushed, and a run first saw it. */
const PUSHED = 30;

async function started(): Promise<DockerRegistry> {
  return stopAfterTest(await startDockerRegistry(present(dockerRegistry)));
}

function look(
  registry: DockerRegistry,
  daysAgo: number,
  inputs: Readonly<Record<string, string>>,
): Promise<ActionRun> {
  return clean(registry, { repositories: APP, ...inputs }, { nodeArguments: clockBehind(daysAgo) });
}

function isThere(registry: DockerRegistry): boolean {
  return registry.manifests().has(`${APP}@${before.digest}`);
}

/** A run saw the tag on the image, and then a push moved it. */
async function moved(inputs: Readonly<Record<string, string>>): Promise<DockerRegistry> {
  const registry = await started();
  await push(registry, APP, before, 'latest', 'v1');
  expect((await look(registry, PUSHED, inputs)).exitCode).toBe(0);
  await push(registry, APP, after, 'latest', 'v1');
  return registry;
}

describeWith('docker-registry', dockerRegistry, 'a tag that moved', () => {
  // An empty input: the default of the bundle is what is tried.
  const defaults = { 'unused-for': '' };

  describe('evidence: the image that lost it', () => {
    it.each<[string, Readonly<Record<string, string>>, readonly number[], number]>([
      ['a day after the look that found it unused', defaults, [29], 28],
      ['a week after it, with `unused-for: 7d`', { 'unused-for': '7d' }, [29, 28, 23], 22],
      ['at once, with `unused-for: 0`', { 'unused-for': '0' }, [], 29],
      [
        'at once, with `unused-for: 0` and `grace-period: 30d`',
        { 'unused-for': '0', 'grace-period': '30d' },
        [],
        29,
      ],
      [
        'a day after it, with `grace-period: 30d`',
        { ...defaults, 'grace-period': '30d' },
        [29],
        28,
      ],
      ['a day after a pause of weeks', defaults, [9], 8],
    ])('goes %s', async (_, inputs, kept, last) => {
      const registry = await moved(inputs);
      for (const daysAgo of kept) {
        const run = await look(registry, daysAgo, inputs);
        expect(run).toMatchObject({ exitCode: 0, outputs: { 'orphans-found': '0' } });
        expect(isThere(registry)).toBe(true);
      }
      const run = await look(registry, last, inputs);
      expect(run).toMatchObject({ exitCode: 0, outputs: { 'deleted-count': '3' } });
      expect(isThere(registry)).toBe(false);
      expect(registry.manifests().has(`${APP}@${after.digest}`)).toBe(true);
      const until = DATE.format(Date.now() - (kept[0] ?? last) * DAY);
      expect(run.log).toContain(`was \`latest\`, \`v1\` until ${until}`);
    });

    it('waits no time while only dry-runs look', async () => {
      const registry = await moved(defaults);
      for (const daysAgo of [29, 20]) {
        const run = await look(registry, daysAgo, { ...defaults, 'dry-run': 'true' });
        expect(run.outputs['orphans-found']).toBe('0');
      }
      expect((await look(registry, 19, defaults)).outputs['orphans-found']).toBe('0');
      expect(isThere(registry)).toBe(true);
      expect((await look(registry, 18, defaults)).outputs['deleted-count']).toBe('3');
    });

    it('is said to be kept by `unused-for`, with its last tags', async () => {
      const registry = await moved(defaults);
      const { summary } = await look(registry, 29, defaults);
      const until = DATE.format(Date.now() - 29 * DAY);
      expect(summary).toContain('in use until less than 1 day ago (`unused-for`)');
      expect(summary).toContain(`was \`latest\`, \`v1\` until ${until}`);
    });

    it('counts from the look that found it unused again, if its tag came back meanwhile', async () => {
      const registry = await moved(defaults);
      await look(registry, 29, defaults);
      await push(registry, APP, before, 'v1');
      await look(registry, 28, defaults);
      await push(registry, APP, after, 'v1');
      await look(registry, 27, defaults);
      expect(isThere(registry)).toBe(true);
      expect((await look(registry, 26, defaults)).outputs['deleted-count']).toBe('3');
    });
  });

  it('brakes-hold: a repository without tags is refused though `unused-for` keeps all of it', async () => {
    const registry = await started();
    await push(registry, APP, before, 'latest');
    await look(registry, PUSHED, defaults);
    const tags = `docker/registry/v2/repositories/${APP}/_manifests/tags`;
    rmSync(path.join(registry.directory, tags, 'latest'), { recursive: true });
    for (const daysAgo of [29, 20]) {
      const run = await look(registry, daysAgo, defaults);
      expect(run.exitCode).toBe(1);
      expect(run.log).toContain('both with `unused-for: 0`');
      expect(isThere(registry)).toBe(true);
    }
  });
});
