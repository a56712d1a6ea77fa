/** Pulls by skopeo, a client that is not ours, and by one of the tests' own that needs no program. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { digestOf } from '../../../src/oci/digest.js';
import { MANIFEST_ACCEPT } from '../../../src/oci/media-types.js';
import { parseBody } from '../servers/memory/state.js';
import { findSkopeo } from '../servers/programs.js';
import { present } from '../servers/real-registries.js';
import type { RealRegistry } from '../servers/real-registry.js';
import { APP } from '../builders/build.js';
import { send, type Destination, type Exchange } from './push.js';

export const skopeo = findSkopeo();

export interface PullOptions {
  /** default `APP` */
  readonly repository?: string;
  /** `username:password` */
  readonly login?: string;
}

/** @returns the digest of what came */
export async function pull(
  { host }: Pick<RealRegistry, 'host'>,
  tag: string,
  { repository = APP, login }: PullOptions = {},
): Promise<string> {
  const to = mkdtempSync(path.join(tmpdir(), 'pulled-'));
  try {
    const from = `docker://${host}/${repository}:${tag}`;
    const options = ['--all', '--preserve-digests', '--src-tls-verify=false'];
    options.push(login === undefined ? '--src-no-creds' : `--src-creds=${login}`);
    await promisify(execFile)(present(skopeo), ['copy', ...options, from, `dir:${to}`]);
    return digestOf(readFileSync(path.join(to, 'manifest.json')));
  } finally {
    rmSync(to, { recursive: true, force: true });
  }
}

/**
 * Pulls it with all its children, at any depth, and all blobs, as a client does that wants every platform.
 *
 * @param reference a tag or a digest
 * @returns what was missing, or came with other bytes
 */
export async function pullWhole(
  at: Destination,
  repository: string,
  reference: string,
): Promise<string[]> {
  const get = (kind: 'manifests' | 'blobs', name: string) =>
    send(at, {
      method: 'GET',
      path: `/v2/${repository}/${kind}/${name}`,
      headers: { accept: MANIFEST_ACCEPT },
      scope: `repository:${repository}:pull`,
    });
  // Where blobs are served from elsewhere, it is not told who asks.
  const follow = async (answer: Exchange): Promise<Exchange> => {
    const { location } = answer.headers;
    return answer.status < 300 || answer.status > 399 || location === undefined
      ? answer
      : send({ url: new URL(location, at.url).href }, { method: 'GET', path: location });
  };
  const isRight = (body: Buffer, name: string) => !name.includes(':') || digestOf(body) === name;
  const blob = async ({ digest = '' }): Promise<string[]> => {
    const { status, body } = await follow(await get('blobs', digest));
    return status === 200 && isRight(body, digest) ? [] : [`blob ${digest}`];
  };
  const manifest = async (name: string): Promise<string[]> => {
    const { status, body } = await get('manifests', name);
    if (status !== 200 || !isRight(body, name)) {
      return [`manifest ${name}`];
    }
    const { config, layers = [], manifests } = parseBody(body);
    const blobs = manifests === undefined && config !== undefined ? [config, ...layers] : [];
    const children = (manifests ?? []).map(({ digest = '' }) => manifest(digest));
    return (await Promise.all([...children, ...blobs.map(blob)])).flat();
  };
  return manifest(reference);
}
