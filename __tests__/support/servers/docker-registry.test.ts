/** Each mode of the real registry starts, does what its name says, and leaves nothing behind. */
import { execFile } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { afterEach, expect, it, jest } from '@jest/globals';

import { MANIFEST_ACCEPT } from '../../../src/oci/media-types.js';
import { image, index } from '../builders/build.js';
import {
  onDisk,
  PASSWORD,
  startDockerRegistry,
  USERNAME,
  type DockerRegistry,
  type DockerRegistryOptions,
} from './docker-registry.js';
import { describeWith } from './describe-with.js';
import { findDockerRegistry, findSkopeo } from './programs.js';
import { push, putManifest, send, type Exchange } from '../clients/push.js';

// Starting and filling a real registry has no time of its own on a busy machine.
jest.setTimeout(60_000);

const program = findDockerRegistry();
const skopeo = findSkopeo();
const app = image('app');

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) {
    await cleanup();
  }
});

async function start(options: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  if (program === undefined) {
    throw new Error('docker-registry is missing');
  }
  const registry = await startDockerRegistry(program, options);
  cleanups.push(() => registry.stop());
  return registry;
}

function deletion(registry: DockerRegistry): Promise<Exchange> {
  return send(registry, {
    method: 'DELETE',
    path: `/v2/team/app/manifests/${app.digest}`,
    scope: 'repository:team/app:delete',
  });
}

describeWith('docker-registry', program, 'docker-registry', () => {
  it.each<[string, DockerRegistryOptions, number]>([
    ['by default', {}, 202],
    ['with the descriptor cache', { descriptorCache: true }, 202],
    ['with deletes off', { deletes: false }, 405],
    ['behind htpasswd', { auth: 'htpasswd' }, 202],
    ['behind a token server', { auth: 'token' }, 202],
    ['with TLS', { tls: true }, 202],
    ['with TLS and tokens', { tls: true, auth: 'token' }, 202],
  ])('%s takes a push and answers a delete', async (_mode, options, status) => {
    const registry = await start(options);
    await push(registry, 'team/app', app, 'v1');
    expect(onDisk(registry.directory)).toEqual(new Set([`team/app@${app.digest}`]));
    expect((await deletion(registry)).status).toBe(status);
    expect(onDisk(registry.directory).size).toBe(status === 202 ? 0 : 1);
  });

  it('is read-only over the directory of another', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'shared-storage-'));
    cleanups.push(() => {
      rmSync(directory, { recursive: true });
    });
    await push(await start({ directory }), 'team/app', app, 'v1');
    const answer = await deletion(await start({ directory, readOnly: true }));
    expect(answer.status).toBe(405);
    expect(answer.body.toString('utf8')).toBe('Method not allowed\n');
  });

  it('refuses clients without a password, and clients that do not know its CA', async () => {
    const guarded = await start({ auth: 'htpasswd' });
    expect((await send({ url: guarded.url }, { method: 'GET', path: '/v2/' })).status).toBe(401);
    const secure = await start({ tls: true });
    await expect(send({ url: secure.url }, { method: 'GET', path: '/v2/' })).rejects.toThrow(
      /certificate/,
    );
    expect(readFileSync(secure.caFile ?? '', 'utf8')).toBe(secure.ca);
  });

  it('is a pull-through cache of another', async () => {
    const origin = await start();
    await push(origin, 'team/app', app, 'v1');
    const cache = await start({ proxyOf: origin.url });
    const headers = { accept: MANIFEST_ACCEPT };
    const answer = await send(cache, { method: 'GET', path: '/v2/team/app/manifests/v1', headers });
    expect(answer.body).toEqual(app.bytes);
    expect((await deletion(cache)).status).toBe(405);
  });

  it('sends notifications', async () => {
    const events = new EventEmitter();
    const listener = createServer((request, response) => {
      request.on('data', (chunk: Buffer) => events.emit('body', chunk.toString('utf8')));
      request.on('end', () => response.end());
    });
    cleanups.push(() => {
      listener.closeAllConnections();
      listener.close();
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    const registry = await start({ notify: `http://127.0.0.1:${String(port)}/` });
    const delivered = once(events, 'body');
    await putManifest(registry, 'team/app', index([]), 'v1');
    const body = String(await delivered);
    expect(body).toContain('"repository": "team/app"');
    expect(body).toContain(index([]).digest);
  });

  it('ends its process and removes its directory', async () => {
    const registry = await start();
    await push(registry, 'team/app', app);
    await registry.stop();
    expect(existsSync(registry.directory)).toBe(false);
    await expect(send(registry, { method: 'GET', path: '/v2/' })).rejects.toThrow(
      /ECONNREFUSED|hang up/,
    );
  });
});

describeWith('skopeo', program === undefined ? undefined : skopeo, 'an independent client', () => {
  it.each<[string, DockerRegistryOptions]>([
    ['htpasswd', { auth: 'htpasswd' }],
    ['a token server', { auth: 'token' }],
  ])('logs in behind %s', async (_mode, options) => {
    const registry = await start(options);
    await push(registry, 'team/app', app, 'v1');
    const { stdout } = await promisify(execFile)(skopeo ?? '', [
      'inspect',
      '--raw',
      '--tls-verify=false',
      `--creds=${USERNAME}:${PASSWORD}`,
      `docker://${registry.host}/team/app:v1`,
    ]);
    expect(stdout).toBe(app.bytes.toString('utf8'));
  });
});
