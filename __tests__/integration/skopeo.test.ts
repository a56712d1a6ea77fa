/**
 * An independent client: images go in with skopeo, and after the clean-up what was kept comes out with
 * skopeo. So the tests' own push code can't make a registry that only our reading understands. Login is
 * what skopeo and Docker leave in a Docker config.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, expect, it } from '@jest/globals';

import { runAction } from '../support/clients/run-action.js';
import { image, index, LINUX_ARM64, type Content } from '../support/builders/build.js';
import {
  onDisk,
  PASSWORD,
  startDockerRegistry,
  storageListing,
  USERNAME,
  type DockerRegistry,
} from '../support/servers/docker-registry.js';
import { describeWith } from '../support/servers/describe-with.js';
import { apart, byRepository, remembered } from '../support/clients/ledger.js';
import { findDockerRegistry, findSkopeo } from '../support/servers/programs.js';

const program = findDockerRegistry();
const skopeo = findSkopeo();

const amd = image('skopeo amd64');
const arm = image('skopeo arm64', { platform: LINUX_ARM64 });
const first = index([amd, arm]);
const next = image('skopeo amd64 next');
const second = index([next, arm]);
const single = image('skopeo single');

describeWith(
  'skopeo',
  skopeo === undefined ? undefined : program,
  'a run on images of skopeo',
  () => {
    const home = mkdtempSync(path.join(tmpdir(), 'skopeo-'));
    const authFile = path.join(home, '.docker', 'config.json');
    let registry: DockerRegistry;

    const run = (...options: string[]) =>
      execFileSync(skopeo ?? '', options, { encoding: 'utf8', stdio: 'pipe' });

    /** An OCI image layout (image-spec image-layout.md) that holds this content. */
    function layout(name: string, content: Content): string {
      const directory = path.join(home, name);
      const blobs = path.join(directory, 'blobs', 'sha256');
      mkdirSync(blobs, { recursive: true });
      const write = ({ digest, bytes, blobs: inner, children }: Content) => {
        for (const [key, blob] of [...inner, [digest, bytes] as const]) {
          writeFileSync(path.join(blobs, key.slice('sha256:'.length)), blob);
        }
        children.forEach(write);
      };
      write(content);
      writeFileSync(path.join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
      const descriptor = {
        ...content.descriptor,
        annotations: { 'org.opencontainers.image.ref.name': 'it' },
      };
      writeFileSync(
        path.join(directory, 'index.json'),
        JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }),
      );
      return `oci:${directory}:it`;
    }

    function copyIn(name: string, content: Content, ...tags: string[]): void {
      for (const tag of tags) {
        const to = `docker://${registry.host}/team/app:${tag}`;
        const options = ['--dest-tls-verify=false', '--authfile', authFile];
        run('copy', '--all', '--preserve-digests', ...options, layout(name, content), to);
      }
    }

    beforeAll(async () => {
      if (program !== undefined) {
        registry = await startDockerRegistry(program, { auth: 'htpasswd' });
        mkdirSync(path.dirname(authFile));
        const auth = Buffer.from(`${USERNAME}:${PASSWORD}`).toString('base64');
        writeFileSync(authFile, JSON.stringify({ auths: { [registry.host]: { auth } } }));
      }
    });

    afterAll(async () => {
      await registry.stop();
      rmSync(home, { recursive: true, force: true });
    });

    it('loses the orphans only', async () => {
      copyIn('first', first, 'latest');
      copyIn('second', second, 'latest', 'v2');
      copyIn('single', single, 'single');
      const name = ({ digest }: Content) => `team/app@${digest}`;
      expect(onDisk(registry.directory)).toEqual(
        new Set([amd, arm, first, next, second, single].map(name)),
      );

      const listing = path.join(home, 'listing.txt');
      writeFileSync(listing, storageListing(registry.directory).join('\n'));
      const cleaned = await runAction(
        { 'registry-url': registry.url, 'digests-file': listing },
        { env: { DOCKER_CONFIG: path.dirname(authFile) } },
      );
      expect(cleaned.log).not.toContain('::error');
      expect(cleaned.exitCode).toBe(0);
      const left = new Set([arm, next, second, single].map(name));
      const { users, ledger } = apart(onDisk(registry.directory));
      expect(users).toEqual(left);
      expect(ledger.size).toBe(1);
      expect(await remembered(registry)).toEqual(byRepository(left));

      for (const tag of ['latest', 'v2', 'single']) {
        const from = `docker://${registry.host}/team/app:${tag}`;
        const options = ['--src-tls-verify=false', '--authfile', authFile];
        run('copy', '--all', ...options, from, `dir:${path.join(home, `out-${tag}`)}`);
      }
    });
  },
);
