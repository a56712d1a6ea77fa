/** The bundle on Node 24, which is what the runner starts it with (`runs.using: node24`). */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { describeWith } from '../support/servers/describe-with.js';
import { estate, going, seedEstate, staying } from '../support/builders/estate.js';
import { apart, byRepository, remembered } from '../support/clients/ledger.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { runAction } from '../support/clients/run-action.js';

/** Pinned: the package carries the binary itself, so no install script has to run. */
const VERSION = '24.21.0';

/** @throws Error with CI=true when there is none */
function findNode24(): string | undefined {
  if (process.versions.node.startsWith('24.')) {
    return process.execPath;
  }
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const home = path.join(process.cwd(), 'node_modules', '.cache', `node-${VERSION}`);
  const binary = path.join(home, 'node_modules', name, 'bin', 'node');
  if (!existsSync(binary)) {
    mkdirSync(home, { recursive: true });
    const install = ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', home];
    try {
      execFileSync('npm', [...install, `${name}@${VERSION}`], { stdio: 'pipe' });
    } catch (error) {
      if (process.env['CI'] === 'true') {
        throw error;
      }
    }
  }
  return existsSync(binary) ? binary : undefined;
}

const node = findNode24();
const everything = estate(Date.now());

describeWith('node24', node, 'the bundle on Node 24', () => {
  let registry: MemoryRegistry;

  beforeAll(async () => {
    registry = await startMemoryRegistry();
    seedEstate(registry.state, everything);
  });

  afterAll(() => registry.stop());

  it('is a Node 24', () => {
    expect(execFileSync(node ?? '', ['--version'], { encoding: 'utf8' })).toMatch(/^v24\./);
  });

  it('leaves exactly what must be left', async () => {
    const candidates = everything.expectations
      .map(({ repository, digest }) => `${repository}@${digest}`)
      .join('\n');
    const run = await runAction(
      { 'registry-url': registry.url, digests: candidates },
      { node: node ?? '' },
    );
    expect(run.log).not.toContain('::error');
    expect(run.exitCode).toBe(0);
    const left = [...registry.state.repositories].flatMap(([repository, { manifests }]) =>
      [...manifests.keys()].map((digest) => `${repository}@${digest}`),
    );
    expect(apart(left).users).toEqual(staying(everything));
    const known = await remembered(registry);
    expect(apart(left).ledger.size).toBe(known.size);
    for (const [repository, digests] of byRepository(staying(everything))) {
      expect(known.get(repository)).toEqual(digests);
    }
    expect(new Set(JSON.parse(run.outputs['deleted-digests'] ?? '') as string[])).toEqual(
      going(everything),
    );
  });
});
