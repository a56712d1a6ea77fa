/**
 * A push that begins to use a manifest at the moment when it is deleted, on purpose: a gate in front of a real
 * registry holds the DELETE back until the push is complete. No look can see it; the proof afterwards can.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, describe, expect, it } from '@jest/globals';

import { runAction, type ActionRun } from '../support/clients/run-action.js';
import {
  cosign,
  digestTag,
  image,
  index,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { stopAfterTest } from '../support/servers/stop-after-test.js';
import { describeWith } from '../support/servers/describe-with.js';
import { startGate, type Fate } from '../support/servers/gate.js';
import { findSkopeo } from '../support/servers/programs.js';
import { push, putManifest, send } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';

const APP = 'team/app';
const skopeo = findSkopeo();
const home = mkdtempSync(path.join(tmpdir(), 'heal-'));
const current = image('heal current');
const old = image('heal old');
const arm = image('heal old arm');
const fresh = image('heal fresh');

afterAll(() => {
  rmSync(home, { recursive: true });
});

describe.each(realRegistries)('$name', ({ name, found, start, inputs }) => {
  /** Bytes and type of a manifest, asked of the registry itself. */
  async function read(registry: RealRegistry, reference: string, { mediaType }: Content) {
    const { status, body, headers } = await send(registry, {
      method: 'GET',
      path: `/v2/${APP}/manifests/${reference}`,
      headers: { accept: mediaType },
    });
    return { status, body, type: headers['content-type'] };
  }

  async function expectThere(registry: RealRegistry, ...contents: readonly Content[]) {
    for (const content of contents) {
      const { digest, mediaType, bytes } = content;
      const expected = { status: 200, body: bytes, type: mediaType };
      expect(await read(registry, digest, content)).toEqual(expected);
      expect(registry.manifests()).toContain(`${APP}@${digest}`);
    }
  }

  /** With an independent client, where there is one: manifests, configs and layers of everything behind it. */
  function expectPulls(registry: RealRegistry, reference: string): void {
    if (skopeo !== undefined) {
      const to = mkdtempSync(path.join(home, 'pulled-'));
      const from = `docker://${registry.host}/${APP}${reference}`;
      execFileSync(skopeo, ['copy', '--all', '--src-tls-verify=false', from, `dir:${to}`], {
        stdio: 'pipe',
      });
      expect(readdirSync(to)).toContain('manifest.json');
    }
  }

  interface Story {
    readonly condemned: readonly (readonly [Content, ...string[]])[];
    /** at whose DELETE the push comes in */
    readonly at: Content;
    readonly push: (registry: RealRegistry) => Promise<void>;
    readonly inputs?: Readonly<Record<string, string>>;
  }

  interface Told {
    readonly registry: RealRegistry;
    readonly run: ActionRun;
    /** of the run, `METHOD path`, from the DELETE on at which the push came in */
    readonly after: readonly string[];
    /** runs the action with its inputs, and these */
    readonly again: (inputs: Readonly<Record<string, string>>) => Promise<ActionRun>;
  }

  /** A run whose DELETE of one manifest waits at the gate until a push is complete. */
  async function tell({ condemned, at, push: comes, inputs: more = {} }: Story): Promise<Told> {
    const registry = stopAfterTest(await start());
    await push(registry, APP, current, 'v1');
    for (const [content, ...tags] of condemned) {
      await push(registry, APP, content, ...tags);
    }
    let since: number | undefined;
    const gate = await startGate(registry.url, {
      async decide({ method, path: where, n }): Promise<Fate> {
        if (method === 'DELETE' && where.endsWith(at.digest) && since === undefined) {
          since = n;
          await comes(registry);
        }
        return 'pass';
      },
    });
    stopAfterTest(gate);
    const again: Told['again'] = (these) =>
      runAction({
        'registry-url': gate.url,
        repositories: APP,
        'ledger-repository': 'off',
        'max-deletes': '100%',
        ...inputs,
        ...these,
      });
    const digests = condemned.map(([{ digest }]) => `${APP}@${digest}`).join('\n');
    const run = await again({ digests, ...more });
    const after = gate.requests
      .filter(({ n }) => n >= (since ?? Infinity))
      .map(({ method, path: where }) => `${method} ${where}`);
    return { registry, run, after, again };
  }

  function expectHealed({ run }: Told, deleted: number): void {
    expect(run.exitCode).toBe(1);
    expect(run.log).toMatch(
      new RegExp(`::error::${APP}: .*was deleted at the moment when a push began to use it`),
    );
    expect(run.summary).toContain('`concurrency:`');
    expect(run.outputs).toMatchObject({
      'deleted-count': String(deleted),
      'failed-count': '0',
    });
  }

  /** What the push brings: its children are there already. */
  const over =
    (...children: readonly Content[]) =>
    async (registry: RealRegistry) => {
      await push(registry, APP, fresh);
      await putManifest(registry, APP, index([...children, fresh]), 'late');
    };

  describeWith(name, found, 'a push that uses a manifest while that is deleted', () => {
    it('gets a child restored: its index pulls whole, and the job is red and says why', async () => {
      const told = await tell({ condemned: [[old], [arm]], at: old, push: over(old) });
      const { registry, run, after } = told;
      await expectThere(registry, old, fresh, index([old, fresh]), current);
      expect((await read(registry, arm.digest, arm)).status).toBe(404);
      expectPulls(registry, ':late');
      expect(after).toContain(`PUT /v2/${APP}/manifests/${old.digest}`);
      expectHealed(told, 1);
      expect(run.outputs['deleted-digests']).toBe(JSON.stringify([`${APP}@${arm.digest}`]));
    });

    it('gets an index restored with its children, its signature and its SBOM', async () => {
      const inner = index([old, arm]);
      const sig = cosign('sig', inner);
      const sbom = referrer('sbom', inner);
      const tag = digestTag(inner.digest, 'sig');
      const told = await tell({
        condemned: [[inner], [sig, tag], [sbom]],
        at: inner,
        push: (registry) => putManifest(registry, APP, index([inner]), 'late'),
      });
      const { registry } = told;
      await expectThere(registry, inner, old, arm, sig, sbom, index([inner]));
      expect(await read(registry, tag, sig)).toMatchObject({ body: sig.bytes });
      // skopeo takes no index within an index.
      expectPulls(registry, `@${inner.digest}`);
      expectHealed(told, 0);
    });

    it('gets a child restored, and not the index that held it before', async () => {
      const inner = index([old, arm]);
      const told = await tell({ condemned: [[inner]], at: inner, push: over(old) });
      const { registry } = told;
      await expectThere(registry, old, index([old, fresh]));
      for (const content of [inner, arm]) {
        expect((await read(registry, content.digest, content)).status).toBe(404);
      }
      expectPulls(registry, ':late');
      expectHealed(told, 2);
    });

    it('gets nothing checked with `verify: false` but the deleted manifests', async () => {
      const { registry, run, after } = await tell({
        condemned: [[old]],
        at: old,
        push: over(old),
        inputs: { verify: 'false' },
      });
      const path = `/v2/${APP}/manifests/${old.digest}`;
      expect(after.slice(0, 2)).toEqual([`DELETE ${path}`, `HEAD ${path}`]);
      // olareg answers HEAD with a 404 in plain text, and one GET tells what that means.
      expect(after.slice(2).filter((each) => each !== `GET ${path}`)).toEqual([]);
      expect((await read(registry, old.digest, old)).status).toBe(404);
      expect(run.exitCode).toBe(0);
    });

    // The one case that nothing can see: the registry deletes a manifest with all tags that it has by then. The
    // docs say so, and what closes it: the same `concurrency:` group.
    it('loses a tag that it set on the deleted manifest, whose bytes are in the backup', async () => {
      const directory = path.join(home, `backup-${name}`);
      const { registry, run, again } = await tell({
        condemned: [[old]],
        at: old,
        push: (registry) => putManifest(registry, APP, old, 'late'),
        inputs: { 'backup-dir': directory },
      });
      const tags = await send(registry, { method: 'GET', path: `/v2/${APP}/tags/list` });
      expect(JSON.parse(tags.body.toString())).toMatchObject({ tags: ['v1'] });
      expect((await read(registry, 'late', old)).status).toBe(404);
      expect(run.exitCode).toBe(0);
      const restored = await again({ 'restore-from': directory });
      expect(restored.exitCode).toBe(0);
      await expectThere(registry, old);
      expect((await read(registry, 'late', old)).status).toBe(404);
    });
  });
});
