/** The bundled action on registries that it doesn't serve: it says so before anything leaves the runner. */
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, expect, it } from '@jest/globals';

import { runAction } from '../support/clients/run-action.js';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'unserved-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** All that leaves goes through this proxy. @returns how many connections there were */
async function withProxy(use: (url: string) => Promise<void>): Promise<number> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    await use(`http://127.0.0.1:${String(port)}`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  return connections;
}

/** A run at this registry, with a credential helper for it that leaves a trace. */
async function runAt(host: string, inputs: Readonly<Record<string, string>>, proxy: string) {
  const trace = path.join(directory, 'helper-ran');
  const helper = path.join(directory, 'docker-credential-traced');
  writeFileSync(
    helper,
    `#!/bin/sh\ntouch '${trace}'\necho '{"Username":"me","Secret":"secret"}'\n`,
  );
  chmodSync(helper, 0o755);
  writeFileSync(
    path.join(directory, 'config.json'),
    JSON.stringify({ credHelpers: { [host]: 'traced' } }),
  );
  const run = await runAction(
    { 'registry-url': host, ...inputs },
    {
      env: {
        PATH: `${directory}:${process.env['PATH'] ?? ''}`,
        DOCKER_CONFIG: directory,
        HTTPS_PROXY: proxy,
        HTTP_PROXY: proxy,
      },
    },
  );
  return { run, helperRan: existsSync(trace) };
}

it.each([
  ['docker.io', {}, 'Docker Hub'],
  ['quay.io', { 'dry-run': 'true', repositories: 'team/app' }, 'Quay'],
  ['000000000000.dkr.ecr.nowhere-1.amazonaws.com', {}, 'Amazon ECR'],
  ['no-such-name-at-all.azurecr.io', { 'registry-type': 'distribution' }, 'Azure Container'],
])(
  'a run at %s with %j says that it is not served, and sends nothing',
  async (host, more, name) => {
    const sent = await withProxy(async (proxy) => {
      const { run, helperRan } = await runAt(host, more, proxy);
      expect(run.exitCode).toBe(1);
      const errors = run.log.split('\n').filter((line) => line.startsWith('::error::'));
      expect(errors).toHaveLength(1);
      expect(errors[0]).toContain(`registry-url is "${host}": this action doesn't serve ${name}`);
      expect(errors[0]).toMatch(/\[registry-not-served\] https:\S+#registry-not-served$/);
      expect(helperRan).toBe(false);
    });
    expect(sent).toBe(0);
  },
);

it('a run at a host that no table names asks the helper and the proxy', async () => {
  const sent = await withProxy(async (proxy) => {
    const { run, helperRan } = await runAt('registry.example.com', {}, proxy);
    expect(run.log).not.toContain('registry-not-served');
    expect(helperRan).toBe(true);
  });
  expect(sent).toBeGreaterThan(0);
});
