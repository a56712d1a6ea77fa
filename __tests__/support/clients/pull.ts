/** Pulls by skopeo, a client that is not ours, and by one of the tests' own that needs no program. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { digestOf } from '../../../src/oci/digest.js';
import { MANIFEST_ACCEPT } from '../../../src/oci/media-types.js';
import { parseBody } from '../servers/memory/state.js';
import { findSkopeo } from '../servers/programs.js';
import { present } from '../servers/real-registries.js';
import type { RealRegistry } from '../servers/real-registry.js';
import { APP } from '../builders/build.js';
import { send, type Destination } from './push.js';

export const skopeo = findSkopeo();

/** @returns the digest of what came */
export function pull({ host }: RealRegistry, tag: string): string {
  const to = mkdtempSync(path.join(tmpdir(), 'pulled-'));
  try {
    const from = `docker://${host}/${APP}:${tag}`;
    const options = ['--all', '--preserve-digests', '--src-tls-verify=false'];
    execFileSync(present(skopeo), ['copy', ...options, from, `dir:${to}`], { stdio: 'pipe' });
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
  const isRight = (body: Buffer, name: string) => !name.includes(':') || digestOf(body) === name;
  const blob = async ({ digest = '' }): Promise<string[]> => {
    const { status, body } = await get('blobs', digest);
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
