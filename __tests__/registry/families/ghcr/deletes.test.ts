/** Deletes of versions by their id: what is sent, in which order, and what GitHub refuses for good. */
import { describe, expect, it } from '@jest/globals';

import { parametersOf, routeOf } from '../../../../src/registry/families/ghcr/deletes.js';
import {
  attestation,
  cosign,
  digestTag,
  image,
  index,
  referrer,
  type Content,
} from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import {
  cleanScene,
  deletesAt,
  digestsOf,
  idOf,
  openScene,
  REPOSITORY,
  standing,
  startScene,
  warningsOf,
} from '../../../support/scenes/ghcr.js';
import { deletesAnswer500 } from '../../../support/servers/ghcr/faults.js';
import type { GhcrOptions } from '../../../support/servers/ghcr/options.js';

const kept = image('kept');
const orphans = Array.from({ length: 8 }, (_, n) => image(`orphan ${String(n)}`));

async function filled(options: GhcrOptions = {}, ...more: readonly Content[]) {
  const ghcr = await startScene(options);
  seed(ghcr.state, REPOSITORY, kept, 'v1');
  [...orphans, ...more].forEach((orphan) => seed(ghcr.state, REPOSITORY, orphan));
  return ghcr;
}

type Scene = Awaited<ReturnType<typeof filled>>;

/** The digests in the order of their DELETEs. */
function deletedIn(ghcr: Scene): string[] {
  const digests = new Map(ghcr.versions(REPOSITORY).map(({ id, digest }) => [String(id), digest]));
  return deletesAt(ghcr).map((url) => digests.get(url.split('/').at(-1) ?? '') ?? url);
}

describe('The route of a version', () => {
  const found = { prefix: '/orgs/{owner}', owner: 'acme', name: 'app', settings: '' } as const;

  it.each([
    '',
    '0',
    '-1',
    '1.5',
    '1e3',
    '01',
    ' 7',
    '7 ',
    '7/..',
    '..',
    '%2e',
    '7?x',
    'NaN',
    '9'.repeat(17),
  ])('is none for the id "%s"', async (id) => {
    for (const method of ['GET', 'DELETE', 'POST'] as const) {
      expect(() => routeOf(method, found, id)).toThrow('nothing was sent');
    }
    const ghcr = await filled();
    await expect(openScene(ghcr).restorer?.restore(REPOSITORY, id)).rejects.toThrow(
      'nothing was sent',
    );
    expect(ghcr.apiRequests.filter(({ method }) => method !== 'GET')).toEqual([]);
  });

  it('is none for a package without a name', () => {
    expect(() => parametersOf({ ...found, name: '' })).toThrow('the name of a package');
  });

  it('ends with the id', () => {
    expect(routeOf('DELETE', found, '42')).toBe(
      'DELETE /orgs/{owner}/packages/container/{name}/versions/42',
    );
  });
});

describe('A delete', () => {
  it('sends nothing for a manifest that the list lacks', async () => {
    const ghcr = await filled();
    const { deleter } = openScene(ghcr);
    expect(await deleter.deleteManifest(REPOSITORY, image('never').digest)).toBe('gone');
    expect(deletesAt(ghcr)).toEqual([]);
  });

  it.each([
    ['acme', '`owner/name`'],
    ['acme/', 'nothing was sent'],
    ['/app', 'nothing was sent'],
    ['', 'nothing was sent'],
  ])('sends nothing for the repository "%s"', async (name, said) => {
    const ghcr = await filled();
    const { deleter, lister } = openScene(ghcr);
    await expect(deleter.deleteManifest(name, kept.digest)).rejects.toThrow(said);
    await expect(lister?.manifests(name)).rejects.toThrow(said);
    expect(ghcr.apiRequests).toEqual([]);
  });

  it('takes the tags of its version along', async () => {
    const ghcr = await filled();
    const [subject] = orphans;
    const signature = cosign('sig', subject ?? kept);
    const tag = digestTag(subject?.digest ?? kept.digest, 'sig');
    seed(ghcr.state, REPOSITORY, signature, tag);
    const { complaints } = await cleanScene(ghcr);
    expect(complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(digestsOf(kept));
    expect([...(ghcr.state.repositories.get(REPOSITORY)?.tags.keys() ?? [])]).toEqual(['v1']);
  });

  it('of an index comes before those of its parts, and that of a subject before its referrers', async () => {
    const [amd, arm] = [image('amd'), image('arm')];
    const nested = index([amd, attestation('statement', amd)]);
    const outer = index([nested, arm]);
    const sbom = referrer('sbom', outer);
    const ghcr = await filled({}, outer);
    seed(ghcr.state, REPOSITORY, sbom);
    const { complaints } = await cleanScene(ghcr, { danglingReferrers: 'delete', concurrency: 8 });
    expect(complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(digestsOf(kept));
    const order = deletedIn(ghcr);
    const isBefore = (first: Content, second: Content) =>
      order.indexOf(first.digest) < order.indexOf(second.digest);
    expect(order).toHaveLength(14);
    expect(isBefore(outer, nested)).toBe(true);
    expect(isBefore(outer, arm)).toBe(true);
    expect(isBefore(nested, amd)).toBe(true);
    expect(isBefore(outer, sbom)).toBe(true);
  });

  it('that is answered with 500 and took effect is a success', async () => {
    for (const concurrency of [1, 8]) {
      const ghcr = await filled();
      ghcr.apiIntercept(deletesAnswer500);
      const { complaints } = await cleanScene(ghcr, { concurrency });
      expect(complaints).toEqual([]);
      expect(standing(ghcr)).toEqual(digestsOf(kept));
    }
  });

  it('that is answered with 500 and took effect is one where GitHub still shows the version', async () => {
    const ghcr = await filled({ versionLags: { deletes: { ms: 20_000 } } });
    ghcr.apiIntercept(deletesAnswer500);
    const { complaints } = await cleanScene(ghcr);
    expect(complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(digestsOf(kept));
  });

  it('that is always answered with 500 fails, and the others go on', async () => {
    const ghcr = await filled();
    const broken = idOf(ghcr, orphans[0] ?? kept);
    ghcr.apiIntercept(({ route, path }) =>
      route?.kind === 'delete' && path.endsWith(broken)
        ? { kind: 'answer', status: 500 }
        : undefined,
    );
    const { complaints } = await cleanScene(ghcr);
    expect(complaints).toEqual([expect.stringContaining('GitHub answered 500')]);
    expect(complaints[0]).toContain('https://www.githubstatus.com');
    expect(standing(ghcr)).toEqual(digestsOf(kept, orphans[0] ?? kept));
  });
});

describe('Two undeletable versions among many orphans', () => {
  const [one, two, three] = [image('one'), image('two'), image('three')];
  const popular = index([one, two]);
  const single = image('single');

  async function scene(options: GhcrOptions = {}) {
    const ghcr = await filled({ visibility: () => 'public', ...options }, popular, single, three);
    ghcr.setDownloads(REPOSITORY, popular.digest, 5001);
    ghcr.setDownloads(REPOSITORY, single.digest, 70_000);
    return ghcr;
  }

  it('are two warnings of a green run, and all others are deleted', async () => {
    for (const concurrency of [1, 8]) {
      const ghcr = await scene();
      const ran = await cleanScene(ghcr, { concurrency });
      expect(ran.complaints).toEqual([]);
      // The parts of an index that stays are kept with it.
      expect(standing(ghcr)).toEqual(digestsOf(kept, popular, one, two, single));
      const warnings = warningsOf(ran);
      expect(warnings).toHaveLength(2);
      for (const { digest } of [popular, single]) {
        expect(warnings).toContainEqual(
          expect.stringMatching(
            new RegExp(
              `^acme/app@${digest} can't be deleted: GitHub refuses to .*Make the package private first.*/settings \\[undeletable\\]$`,
            ),
          ),
        );
      }
    }
  });

  it('stay that in a second run, which is green as well', async () => {
    const ghcr = await scene();
    await cleanScene(ghcr);
    const ran = await cleanScene(ghcr);
    expect(ran.complaints).toEqual([]);
    expect(warningsOf(ran)).toHaveLength(2);
    expect(standing(ghcr)).toEqual(digestsOf(kept, popular, one, two, single));
  });

  it('can be deleted once the package is private', async () => {
    const ghcr = await scene({ visibility: () => 'private' });
    expect((await cleanScene(ghcr)).complaints).toEqual([]);
    expect(standing(ghcr)).toEqual(digestsOf(kept));
  });

  it('are none of the reasons to give up an orphan that GitHub refuses in other words', async () => {
    const ghcr = await filled();
    const refused = idOf(ghcr, orphans[0] ?? kept);
    ghcr.apiIntercept(({ route, path }) =>
      route?.kind === 'delete' && path.endsWith(refused)
        ? {
            kind: 'answer',
            status: 400,
            headers: { 'Content-Type': 'application/json' },
            body: '{"message":"No way."}',
          }
        : undefined,
    );
    const { green, complaints } = await cleanScene(ghcr);
    expect(green).toBe(false);
    expect(complaints).toEqual([expect.stringContaining('GitHub answered 400 (No way.)')]);
  });
});

describe('The last tagged version of a package', () => {
  it('is a warning where it is an orphan by its digest tag', async () => {
    const ghcr = await startScene();
    const signature = cosign('sig', image('gone'));
    seed(ghcr.state, REPOSITORY, signature, digestTag(image('gone').digest, 'sig'));
    seed(ghcr.state, REPOSITORY, orphans[0] ?? kept);
    const { deleter } = openScene(ghcr);
    await expect(deleter.deleteManifest(REPOSITORY, signature.digest)).rejects.toMatchObject({
      kind: 'undeletable',
      message: expect.stringMatching(
        /Tag another version, or delete the package in its settings: \S+\/settings/,
      ),
    });
  });
});
