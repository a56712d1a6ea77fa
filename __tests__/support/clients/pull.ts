/** Pulls by skopeo, a client that is not ours. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { digestOf } from '../../../src/oci/digest.js';
import { findSkopeo } from '../servers/programs.js';
import { present } from '../servers/real-registries.js';
import type { RealRegistry } from '../servers/real-registry.js';
import { APP } from '../builders/build.js';

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
