/**
 * The traps into which other cleaners of GHCR fell, each of which cost somebody a live image, and their kin. The bundled
 * action cleans a package on a simulated GHCR, and every kept tag is pulled with all its platforms.
 */
import { describe, expect, it, jest } from '@jest/globals';

import { OCI_MANIFEST } from '../../src/oci/media-types.js';
import {
  attestation,
  cosign,
  digestTag,
  fallbackIndex,
  image,
  index,
  LINUX_ARM64,
  referrer,
  withChildren,
  type Content,
} from '../support/builders/build.js';
import { expectQuiet, warningsOf } from '../support/clients/outcome.js';
import { PACKAGE, startPackage, type GhcrPackage } from '../support/scenes/ghcr-package.js';
import { cleanScene } from '../support/scenes/ghcr.js';
import { fakeClock } from '../support/scenes/fake-clock.js';
import { wrongBody } from '../support/servers/ghcr/faults.js';
import { setTag } from '../support/servers/memory/state.js';

jest.setTimeout(60_000);

const platforms = (name: string) => [
  image(`${name} amd64`),
  image(`${name} arm64`, { platform: LINUX_ARM64 }),
];
const multi = (name: string) => index(platforms(name), { annotations: { name } });
const orphan = image('orphan');
const stable = image('stable');
const digests = (...contents: readonly Content[]) =>
  new Set(contents.flatMap(withChildren).map(({ digest }) => digest));

/** Cleans, and expects these and no others to be left, green and without a warning. */
async function expectLeft(
  { clean, left, broken, early, ghcr }: GhcrPackage,
  kept: readonly Content[],
  inputs: Readonly<Record<string, string>> = {},
): Promise<void> {
  expectQuiet(await clean(inputs));
  expect(left()).toEqual(digests(...kept));
  expect(early).toEqual([]);
  const tags = [...(ghcr.state.repositories.get(PACKAGE)?.tags.keys() ?? [])];
  expect(await broken(...tags, ...kept.map(({ digest }) => digest))).toEqual([]);
  expectQuiet(await clean(inputs), { 'orphans-found': '0' });
}

describe('in-use-stays: the traps of GHCR', () => {
  it('an index inside an index: a tag keeps the platforms two levels down', async () => {
    const top = index([multi('nested'), image('beside')]);
    const at = await startPackage();
    at.put(top, 'latest');
    at.put(index([multi('old nested'), image('old beside')]));
    await expectLeft(at, [top]);
  });

  it('an index with a subject: it stays with what it describes, and so do its platforms', async () => {
    const described = index(platforms('describing'), { subject: stable });
    const subject = multi('subject');
    const tagged = index(platforms('tagged'), { subject });
    const gone = index(platforms('of the orphan'), { subject: orphan });
    const at = await startPackage();
    at.put(stable, 'stable');
    at.put(described);
    at.put(subject);
    at.put(tagged, 'latest');
    at.put(orphan);
    at.put(gone);
    await expectLeft(at, [stable, described, subject, tagged]);
  });

  it('a platform with a tag of its own under an orphan index: it stays, and the index goes', async () => {
    const [amd64, arm64] = platforms('old') as [Content, Content];
    const at = await startPackage();
    at.put(stable, 'stable');
    at.put(index([amd64, arm64]));
    at.put(amd64, 'old-amd64');
    await expectLeft(at, [stable, amd64]);
  });

  it('signatures of platforms: keep-untagged counts them as nothing, and they go and stay with their platforms', async () => {
    const dated = (name: string, created: string) =>
      index([image(`${name} amd64`, { created }), image(`${name} arm64`, { created })]);
    const kept = dated('kept', '2024-01-01T00:00:00Z');
    const newest = dated('newest', '2023-01-01T00:00:00Z');
    const older = dated('older', '2022-01-01T00:00:00Z');
    const at = await startPackage();
    at.put(kept, 'latest');
    at.put(newest);
    at.put(older);
    const signatures = [kept, newest, older].map(({ children }) =>
      children.map((platform) => {
        const signature = cosign('sig', platform);
        at.put(signature, digestTag(platform.digest, 'sig'));
        return signature;
      }),
    ) as [Content[], Content[], Content[]];
    const left = [kept, newest, ...signatures[0], ...signatures[1]];
    expectQuiet(await at.clean({ 'keep-untagged': '1' }));
    expect(at.left()).toEqual(digests(...left));
    expect(await at.broken('latest', newest.digest)).toEqual([]);
    expectQuiet(await at.clean({ 'keep-untagged': '1' }), { 'deleted-count': '0' });
    expect(at.left()).toEqual(digests(...left));
  });

  describe('a page that shifts while it is read', () => {
    /** Newest first and four to a page: this index is at the beginning of the second page. */
    async function shifting() {
      const at = await startPackage({ largestPage: 4 });
      const described = index(platforms('describing'), { subject: stable });
      const others = ['a', 'b', 'c'].map((name) => image(name));
      at.put(stable, 'stable');
      at.put(orphan);
      at.put(described);
      others.forEach((other, n) => at.put(other, `v${String(n)}`));
      at.put(image('newest'), 'newest');
      return { at, described, others };
    }

    it('misses nothing: the list is read again', async () => {
      const { at, described, others } = await shifting();
      at.ghcr.onPage(({ n }) => {
        if (n === 1) {
          // What stood first on the second page stands on the first one from here on.
          at.ghcr.state.repositories.get(PACKAGE)?.manifests.delete(image('newest').digest);
          at.ghcr.state.repositories.get(PACKAGE)?.tags.delete('newest');
        }
      });
      await expectLeft(at, [stable, described, ...others]);
    });

    it('is a gap if that goes on, and nothing is deleted', async () => {
      const { at, described } = await shifting();
      let pushed = 0;
      at.ghcr.onPage(() => {
        pushed += 1;
        at.put(image(`pushed ${String(pushed)}`), 'moving');
      });
      // In this process, with a clock that does not wait: there are half a minute of pauses.
      const clock = fakeClock({ auto: true });
      const { green, complaints } = await cleanScene(
        { ...at.ghcr, clock },
        { repositories: [PACKAGE] },
      );
      expect(green).toBe(false);
      expect(complaints.join()).toContain('the list changed while it was read');
      expect(at.deletes()).toBe(0);
      expect(await at.broken(described.digest)).toEqual([]);
      at.ghcr.onPage();
    });
  });

  describe('a tag that is set during the run', () => {
    it('keeps its manifest if it came by the recheck', async () => {
      const found = multi('found again');
      const at = await startPackage();
      at.put(stable, 'stable');
      at.put(found);
      at.put(orphan);
      at.ghcr.onPage(({ n }) => {
        // The survey has read its list twice by then.
        if (n === 2) {
          at.put(found, 'again');
        }
      });
      await expectLeft(at, [stable, found]);
    });

    it('brings back the platforms that went before it came', async () => {
      const platform = image('platform');
      const late = index([platform]);
      const at = await startPackage();
      at.put(stable, 'stable');
      at.put(platform);
      at.put(orphan);
      at.apiIntercept(({ route }) => {
        if (route?.kind === 'delete' && !at.left().has(late.digest)) {
          // After the last look, and right before the delete is carried out.
          at.put(late, 'late');
        }
        return undefined;
      });
      const { exitCode, log } = await at.clean();
      expect(exitCode).toBe(1);
      expect(log).toContain('[restored-after-push]');
      expect(at.left()).toEqual(digests(stable, late));
      expect(await at.broken('late', 'stable')).toEqual([]);
    });
  });

  it('a wrong body for a digest: nothing is deleted until it comes with the right one', async () => {
    const described = index(platforms('describing'), { subject: stable });
    const at = await startPackage();
    at.put(stable, 'stable');
    at.put(described);
    at.put(orphan);
    at.ghcr.intercept(wrongBody(described.digest, index([], {}).bytes));
    const { exitCode, log } = await at.clean();
    expect(exitCode).toBe(1);
    expect(log).toContain(described.digest);
    expect(at.deletes()).toBe(0);
    at.ghcr.intercept();
    await expectLeft(at, [stable, described]);
  });

  describe('the first 400', () => {
    const refused = multi('refused');
    const others = ['one', 'two', 'three'].map((name) => image(`other ${name}`));

    async function start() {
      const at = await startPackage({ visibility: () => 'public' });
      at.put(stable, 'stable');
      at.put(refused);
      others.forEach((other) => at.put(other));
      return at;
    }

    it('ends no run: the others go, that version stays whole, and each run says so', async () => {
      const at = await start();
      at.ghcr.setDownloads(PACKAGE, refused.digest, 6000);
      const first = await at.clean();
      expect(first.exitCode).toBe(0);
      expect(at.left()).toEqual(digests(stable, refused));
      expect(await at.broken('stable', refused.digest)).toEqual([]);
      expect(warningsOf(first).join('\n')).toContain(refused.digest);
      const next = image('orphan of the next day');
      at.put(next);
      const second = await at.clean();
      expect(second.exitCode).toBe(0);
      expect(second.outputs).toMatchObject({ 'deleted-count': '1' });
      expect(at.left()).toEqual(digests(stable, refused));
    });

    it('ends no run either if nobody knows what it means, and that one is red', async () => {
      const at = await start();
      const id = at.ghcr.versions(PACKAGE).find(({ digest }) => digest === refused.digest)?.id;
      at.apiIntercept(({ route, path }) =>
        route?.kind === 'delete' && path.endsWith(`/${String(id)}`)
          ? {
              kind: 'answer',
              status: 400,
              headers: { 'Content-Type': 'application/json; charset=utf-8' },
              body: '{"message":"It is the wrong time of the year."}',
            }
          : undefined,
      );
      const { exitCode, log } = await at.clean();
      expect(exitCode).toBe(1);
      expect(log).toContain('It is the wrong time of the year.');
      expect(at.left()).toEqual(digests(stable, refused));
    });
  });
});

describe('in-use-stays: what names what on GHCR', () => {
  it('fallback tags: they and their entries stay and go with what they name', async () => {
    const [sbom, other] = [referrer('sbom', stable), referrer('sbom', orphan)];
    const [list, others] = [fallbackIndex([sbom]), fallbackIndex([other])];
    const at = await startPackage();
    at.put(stable, 'stable');
    at.put(list, digestTag(stable.digest));
    at.put(orphan);
    at.put(others, digestTag(orphan.digest));
    await expectLeft(at, [stable, list]);
  });

  it('tags of cosign: they stay and go with what they name, in one run', async () => {
    const at = await startPackage();
    at.put(stable, 'stable');
    at.put(orphan);
    const kept = (['sig', 'att', 'sbom'] as const).map((role) => {
      at.put(cosign(role, orphan), digestTag(orphan.digest, role));
      const content = cosign(role, stable);
      at.put(content, digestTag(stable.digest, role));
      return content;
    });
    await expectLeft(at, [stable, ...kept]);
  });

  it('bare referrers: they stay and go with their subject, at any depth', async () => {
    const sbom = referrer('sbom', stable);
    const signed = referrer('signature of the sbom', sbom);
    const at = await startPackage();
    at.put(stable, 'stable');
    at.put(sbom);
    at.put(signed);
    at.put(orphan);
    at.put(referrer('sbom', orphan));
    at.put(referrer('of the sbom', referrer('sbom', orphan)));
    await expectLeft(at, [stable, sbom, signed]);
  });

  it('what describes an image that an earlier run deleted goes in the next one, though the quota came between', async () => {
    const at = await startPackage();
    const old = ['a', 'b', 'c'].map((name) => image(`old ${name}`));
    at.put(stable, 'stable');
    for (const each of old) {
      at.put(each);
      at.put(referrer('sbom', each));
      at.put(cosign('sig', each), digestTag(each.digest, 'sig'));
    }
    // Of somebody else's image: nobody here has deleted that.
    const foreign = cosign('sig', orphan);
    at.put(foreign, digestTag(orphan.digest, 'sig'));
    const images = () => old.filter(({ digest }) => at.left().has(digest)).length;
    // Images go before what describes them, a few more of them with each quota.
    for (let remaining = 108; images() > 0; remaining += 2) {
      at.ghcr.quota.set({ remaining });
      expect((await at.clean()).exitCode).toBe(0);
    }
    expect(at.left().size).toBeGreaterThan(2);
    at.ghcr.quota.set({ remaining: 1000 });
    await expectLeft(at, [stable, foreign]);
  });

  it("BuildKit's attestations: they stay and go with their index", async () => {
    const built = (name: string) =>
      index(platforms(name).flatMap((each) => [each, attestation(name, each)]));
    const at = await startPackage();
    const [kept, old] = [built('kept'), built('old')];
    at.put(kept, 'latest');
    at.put(old);
    await expectLeft(at, [kept]);
  });

  it('shared platforms: they stay with the index that stays', async () => {
    const [shared, first, second] = [image('shared'), image('first'), image('second')];
    const kept = index([shared, second]);
    const at = await startPackage();
    at.put(index([shared, first]));
    at.put(kept, 'latest');
    await expectLeft(at, [kept]);
  });

  it('an unread platform: its subject stays', async () => {
    const subject = multi('subject of a platform');
    const kept = index([image('amd64', { subject }), image('arm64')]);
    const at = await startPackage();
    at.put(subject);
    at.put(kept, 'latest');
    at.put(orphan);
    await expectLeft(at, [kept, subject]);
  });

  it('a nested index that its parent calls an image: its platforms are no orphans', async () => {
    const nested = multi('in disguise');
    const disguised = { ...nested, descriptor: { ...nested.descriptor, mediaType: OCI_MANIFEST } };
    const kept = index([disguised, image('beside')]);
    const at = await startPackage();
    at.put(kept, 'latest');
    at.put(orphan);
    await expectLeft(at, [kept]);
  });

  it('a fallback index as the only orphan: it goes, although an index calls its entries images', async () => {
    const gone = image('never pushed');
    const entry = image('entry', { subject: gone });
    const kept = index([entry, image('beside')]);
    const at = await startPackage();
    at.put(kept, 'latest');
    at.put(fallbackIndex([entry]), digestTag(gone.digest));
    await expectLeft(at, [kept], { 'dangling-referrers': 'delete' });
  });

  it('a tag that only the list of tags shows keeps its manifest', async () => {
    const found = multi('tagged late');
    const at = await startPackage({ listLags: { tags: { lists: 1000 } } });
    at.put(stable, 'stable');
    at.put(found);
    at.put(orphan);
    // From here on the list of versions is late.
    at.ghcr.versions(PACKAGE);
    setTag(at.ghcr.state.repositories.get(PACKAGE) as never, 'late', found.digest);
    await expectLeft(at, [stable, found]);
  });

  it('a tag that only the list of versions shows keeps its manifest', async () => {
    const hidden = multi('hidden');
    const at = await startPackage();
    at.put(stable, 'stable');
    at.put(hidden, 'hidden');
    at.put(orphan);
    at.ghcr.intercept(({ route }) =>
      route.kind === 'tags'
        ? {
            kind: 'rewrite',
            rewrite: (own) => ({
              ...own,
              body: Buffer.from(JSON.stringify({ name: PACKAGE, tags: ['stable'] })),
            }),
          }
        : undefined,
    );
    await at.clean();
    expect(at.left()).toEqual(digests(stable, hidden));
    expect(await at.broken('stable', 'hidden')).toEqual([]);
  });
});
