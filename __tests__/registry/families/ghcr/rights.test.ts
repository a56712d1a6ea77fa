/** Missing rights: what GitHub answers then, and what a run says and does. */
import { describe, expect, it } from '@jest/globals';

import { openRegistry } from '../../../../src/registry/families/families.js';
import { image } from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import {
  cleanScene,
  deletesAt,
  digestsOf,
  openScene,
  REPOSITORY,
  standing,
  startScene,
} from '../../../support/scenes/ghcr.js';
import { connect } from '../../../support/scenes/run.js';
import {
  JOB_TOKEN,
  PERSONAL_TOKEN,
  type GhcrOptions,
  type Token,
} from '../../../support/servers/ghcr/options.js';

const kept = image('kept');
const orphans = Array.from({ length: 6 }, (_, n) => image(`orphan ${String(n)}`));
const JOB: Token = { kind: 'job', value: JOB_TOKEN };
const PERSONAL: Token = { kind: 'classic', value: PERSONAL_TOKEN, login: 'octocat' };

async function filled(options: GhcrOptions = {}) {
  const ghcr = await startScene(options);
  seed(ghcr.state, REPOSITORY, kept, 'v1');
  orphans.forEach((orphan) => seed(ghcr.state, REPOSITORY, orphan));
  return ghcr;
}

const everything = digestsOf(kept, ...orphans);

describe('A job that is not an admin of the package', () => {
  it('gets one message that says what it needs and where, and sends one DELETE', async () => {
    const ghcr = await filled({ tokens: [{ ...JOB, right: () => 'write' }] });
    const { complaints } = await cleanScene(ghcr);
    expect(complaints[0]).toMatch(
      /could not delete acme\/app@sha256:\w+: GitHub answered 403 \(Resource not accessible by integration\)/,
    );
    expect(complaints[0]).toContain('`permissions: packages: write`');
    expect(complaints[0]).toContain('role Admin on the package, under "Manage Actions access"');
    expect(complaints[0]).toMatch(
      /\/orgs\/acme\/packages\/container\/app\/settings .*\[right-missing\]$/,
    );
    expect(complaints.slice(1)).toEqual([
      expect.stringContaining(
        '5 orphans not deleted (not tried: the registry refused another delete',
      ),
    ]);
    expect(deletesAt(ghcr)).toHaveLength(1);
    expect(standing(ghcr)).toEqual(everything);
  });

  it('still cleans its other packages', async () => {
    const right = (name: string) => (name === REPOSITORY ? 'write' : 'admin');
    const ghcr = await filled({ tokens: [{ ...JOB, right }] });
    seed(ghcr.state, 'acme/web', kept, 'v1');
    orphans.forEach((orphan) => seed(ghcr.state, 'acme/web', orphan));
    const { green } = await cleanScene(ghcr, { repositories: [REPOSITORY, 'acme/web'] });
    expect(green).toBe(false);
    expect(standing(ghcr)).toEqual(everything);
    expect(standing(ghcr, 'acme/web')).toEqual(digestsOf(kept));
  });
});

describe('A personal access token of nobody who is an admin', () => {
  it('is told so after three DELETEs that are answered with 404', async () => {
    const ghcr = await filled({ tokens: [{ ...PERSONAL, right: () => 'write' }] });
    const { green, complaints } = await cleanScene(ghcr, { githubToken: PERSONAL_TOKEN });
    expect(green).toBe(false);
    expect(deletesAt(ghcr)).toHaveLength(3);
    expect(complaints.filter((each) => each.includes('answered 404'))).toHaveLength(3);
    expect(complaints.join('\n')).toMatch(/the version is still there\. A job needs .*\/settings /);
    expect(complaints.at(-1)).toContain('3 orphans not deleted');
    expect(standing(ghcr)).toEqual(everything);
  });
});

describe('A DELETE that is answered with 404', () => {
  it.each([1, 2, 6])(
    'means that the version is gone where others delete %d at the same time',
    async (count) => {
      const ghcr = await filled();
      const victims = orphans.slice(0, count);
      let isFirst = true;
      ghcr.apiIntercept(({ route }) => {
        if (route?.kind === 'delete' && isFirst) {
          isFirst = false;
          victims.forEach(({ digest }) =>
            ghcr.state.repositories.get(REPOSITORY)?.manifests.delete(digest),
          );
        }
        return undefined;
      });
      const { complaints, run: done } = await cleanScene(ghcr);
      expect(complaints).toEqual([]);
      expect(standing(ghcr)).toEqual(digestsOf(kept));
      const kinds = [...(done?.repositories[0]?.fates.values() ?? [])].map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === 'gone')).toHaveLength(count);
      expect(kinds.filter((kind) => kind === 'deleted')).toHaveLength(6 - count);
    },
  );

  it('is not believed among successes where the list still has the version', async () => {
    const ghcr = await filled();
    const [liar] = orphans.slice(-1);
    const id = ghcr.versions(REPOSITORY).find(({ digest }) => digest === liar?.digest)?.id;
    ghcr.apiIntercept(({ route, path }) =>
      route?.kind === 'delete' && path.endsWith(`/${String(id)}`)
        ? { kind: 'answer', status: 404, body: '{"message":"Package not found."}' }
        : undefined,
    );
    const { green, complaints } = await cleanScene(ghcr);
    expect(green).toBe(false);
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toContain('still there');
    expect(standing(ghcr)).toEqual(new Set([kept.digest, liar?.digest]));
  });
});

describe('A classic token without `delete:packages`', () => {
  const tokens = [{ ...PERSONAL, scopes: ['read:packages', 'write:packages'] }];

  it('is told in a dry-run', async () => {
    const ghcr = await filled({ tokens });
    const { run: done } = await cleanScene(ghcr, { githubToken: PERSONAL_TOKEN, dryRun: true });
    expect(done?.repositories[0]?.refusal).toEqual({
      kind: 'no-rights',
      why: expect.stringContaining('it lacks the scope `delete:packages`'),
    });
  });

  it('is told before the first DELETE, and none is sent', async () => {
    const ghcr = await filled({ tokens });
    const { green, complaints } = await cleanScene(ghcr, { githubToken: PERSONAL_TOKEN });
    expect(green).toBe(false);
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toContain('it lacks the scope `delete:packages`');
    expect(deletesAt(ghcr)).toEqual([]);
  });

  it('is not held against a token that has it, nor against one without scopes', async () => {
    for (const token of [PERSONAL, JOB]) {
      const ghcr = await filled({ tokens: [token] });
      const { complaints } = await cleanScene(ghcr, { githubToken: token.value });
      expect(complaints).toEqual([]);
      expect(standing(ghcr)).toEqual(digestsOf(kept));
    }
  });
});

describe('A token', () => {
  it('that GitHub refuses is a gap, and the message says that it may have expired', async () => {
    const ghcr = await filled({ visibility: () => 'public' });
    const token = 'ghs_neverIssuedByAnybody0000000000';
    const { lister } = openScene(ghcr, { token });
    await expect(lister?.manifests(REPOSITORY)).rejects.toMatchObject({
      kind: 'unauthorized',
      message: expect.stringMatching(
        /GitHub answered 401 \(Bad credentials\)\. Check `github-token`/,
      ),
    });
  });

  it('that may not read the package gets what it needs, with the settings of the package', async () => {
    const ghcr = await filled({ tokens: [{ ...JOB, right: () => 'none' }] });
    const { lister } = openScene(ghcr);
    await expect(lister?.manifests(REPOSITORY)).rejects.toMatchObject({
      kind: 'hidden',
      message: expect.stringMatching(
        /could not list the versions of acme\/app: GitHub answered 404 \(Package not found\.\)\. The name may be wrong.*\/orgs\/acme\/packages\/container\/app\/settings/,
      ),
    });
    const { green } = await cleanScene(ghcr);
    expect(green).toBe(false);
  });

  it('that is of use for no package that is not there makes the run red', async () => {
    const ghcr = await filled();
    const { green, complaints } = await cleanScene(ghcr, { repositories: ['acme/typo'] });
    expect(green).toBe(false);
    expect(complaints.join('\n')).toMatch(/acme\/typo: .*GitHub answered 404/);
  });

  it.each([undefined, ''])(
    'that is missing (%p) is named by its input, and nothing is sent',
    async (githubToken) => {
      const ghcr = await filled();
      const { transport, quote } = connect({ url: ghcr.url });
      const registry = openRegistry(
        {
          registry: new URL(ghcr.url),
          registryType: 'ghcr',
          apiUrl: new URL(ghcr.api),
          ...(githubToken === undefined ? {} : { githubToken }),
        },
        { ...transport, quote },
      );
      await expect(registry.lister?.manifests(REPOSITORY)).rejects.toMatchObject({
        kind: 'unauthorized',
        message: expect.stringContaining('the input `github-token` is empty'),
      });
      await expect(registry.deleter.deleteManifest(REPOSITORY, kept.digest)).rejects.toThrow(
        '`github-token`',
      );
      expect(ghcr.apiRequests).toEqual([]);
      transport.close();
    },
  );
});
