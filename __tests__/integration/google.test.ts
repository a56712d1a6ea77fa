/**
 * The estate in Google Artifact Registry, simulated: the bundled action finds every orphan in one run, without a
 * ledger and without any input that names one.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { estate, going, seedEstate, staying, type Estate } from '../support/builders/estate.js';
import { runAction } from '../support/clients/run-action.js';
import { startGoogleRegistry, type GoogleRegistry } from '../support/servers/google/registry.js';

const TOKEN = 'ya29.access-token-of-a-service-account';
const HOUR = 60 * 60 * 1000;

/** Google's repositories are named `project/repository/image`. */
function inProject({ pushes, expectations }: Estate): Estate {
  const inside = <T extends { readonly repository: string }>(each: T): T => ({
    ...each,
    repository: `project/${each.repository}`,
  });
  return { pushes: pushes.map(inside), expectations: expectations.map(inside) };
}

describe('an estate in Google Artifact Registry', () => {
  const now = Date.now();
  const everything = inProject(estate(now));
  const home = mkdtempSync(path.join(tmpdir(), 'google-'));
  let registry: GoogleRegistry;

  beforeAll(async () => {
    registry = await startGoogleRegistry({ auth: { accessToken: TOKEN } });
    seedEstate(registry.state, everything);
    for (const { repository, digest, why } of everything.expectations) {
      if (why === 'younger than the grace period') {
        registry.setUploadTime(repository, digest, now - HOUR);
      }
    }
    // As docker/login-action leaves it, with the token that google-github-actions/auth made.
    const auth = Buffer.from(`oauth2accesstoken:${TOKEN}`).toString('base64');
    const config = { auths: { [registry.host]: { auth } } };
    writeFileSync(path.join(home, 'config.json'), JSON.stringify(config));
  });

  afterAll(async () => {
    await registry.stop();
    rmSync(home, { recursive: true, force: true });
  });

  const clean = (inputs: Record<string, string> = {}) =>
    runAction(
      { 'registry-url': registry.url, 'registry-type': 'google', ...inputs },
      { env: { DOCKER_CONFIG: home } },
    );

  // The tests of this block follow each other as the runs of a workflow do.
  it('loses nothing in a dry-run, which finds every orphan', async () => {
    const run = await clean({ 'dry-run': 'true' });
    expect(run.exitCode).toBe(0);
    expect(run.outputs).toMatchObject({ 'orphans-found': String(going(everything).size) });
    expect(registry.manifests()).toEqual(new Set([...staying(everything), ...going(everything)]));
  });

  it('is left with exactly what must be left after one run, without a ledger', async () => {
    const run = await clean();
    expect(run.log).not.toContain('::error');
    expect(run.exitCode).toBe(0);
    expect(registry.manifests()).toEqual(staying(everything));
    expect(run.outputs).toMatchObject({ 'failed-count': '0' });
    expect(run.report).toMatchObject({ visibility: { untaggedListing: 'complete' } });
    expect(run.report).not.toHaveProperty('ledger');
    expect(run.summary).toContain('Google Artifact Registry lists every manifest');
    expect(run.log).not.toContain(TOKEN);
  });

  it('loses nothing in a second run', async () => {
    const run = await clean();
    expect(run.exitCode).toBe(0);
    expect(run.outputs).toMatchObject({ 'orphans-found': '0', 'deleted-count': '0' });
    expect(registry.manifests()).toEqual(staying(everything));
  });
});
