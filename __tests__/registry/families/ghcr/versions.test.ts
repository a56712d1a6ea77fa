/** The list of a package's versions, which comes in pages. */
import { describe, expect, it } from '@jest/globals';

import { image, type Content } from '../../../support/builders/build.js';
import { seed } from '../../../support/clients/push.js';
import {
  cleanScene,
  deletesAt,
  digestsOf,
  listsAt,
  openScene,
  REPOSITORY,
  standing,
  startScene,
} from '../../../support/scenes/ghcr.js';
import type { Ghcr } from '../../../support/servers/ghcr/ghcr.js';
import type { GhcrOptions } from '../../../support/servers/ghcr/options.js';

const many = Array.from({ length: 350 }, (_, n) => image(`many ${String(n)}`));
const late = Array.from({ length: 20 }, (_, n) => image(`late ${String(n)}`));
const tagged = image('tagged');

type Scene = Awaited<ReturnType<typeof startScene>>;

/** Four pages: the tagged one is the oldest. */
async function filled(options: GhcrOptions = {}, contents = many): Promise<Scene> {
  const ghcr = await startScene(options);
  [tagged, ...contents].forEach((content) => {
    seed(ghcr.state, REPOSITORY, content, ...(content === tagged ? ['v1'] : []));
  });
  return ghcr;
}

function remove({ state }: Ghcr, ...contents: readonly Content[]): void {
  contents.forEach(({ digest }) => state.repositories.get(REPOSITORY)?.manifests.delete(digest));
}

const list = async (ghcr: Scene) => openScene(ghcr).lister?.manifests(REPOSITORY);
const pages = (ghcr: Ghcr) =>
  listsAt(ghcr).map((url) => new URL(url, 'http://x').searchParams.get('page'));

describe('The pages of a list', () => {
  it('are read once, but for the first and the last one, which are read again', async () => {
    const ghcr = await filled();
    expect(new Set((await list(ghcr))?.keys())).toEqual(digestsOf(tagged, ...many));
    expect([...pages(ghcr)].sort()).toEqual(['1', '1', '2', '3', '4', '4']);
    expect(pages(ghcr).slice(0, 2)).toEqual(['1', '4']);
    expect(listsAt(ghcr)[0]).toContain('per_page=100');
  });

  it('are one page that is read twice where there are few versions', async () => {
    const ghcr = await filled({}, []);
    expect((await list(ghcr))?.get(tagged.digest)?.tags).toEqual(['v1']);
    expect(pages(ghcr)).toEqual(['1', '1']);
  });

  it('are asked for at the same time', async () => {
    const ghcr = await filled();
    let [under, most] = [0, 0];
    ghcr.apiIntercept(async ({ route }) => {
      if (route?.kind === 'versions') {
        under += 1;
        most = Math.max(most, under);
        await new Promise((resolve) => setTimeout(resolve, 20));
        under -= 1;
      }
      return undefined;
    });
    const { lister } = openScene(ghcr, { concurrency: 64 });
    expect((await lister?.manifests(REPOSITORY))?.size).toBe(351);
    expect(most).toBe(2);
  });

  it('are followed one by one where GitHub does not say which is the last', async () => {
    const ghcr = await filled();
    ghcr.apiIntercept(({ route }) =>
      route?.kind === 'versions'
        ? {
            kind: 'rewrite',
            rewrite: ({ headers, ...answer }) => ({
              ...answer,
              headers: {
                ...headers,
                Link: (headers['Link'] ?? '').replace(/, <[^>]*>; rel="last"/, ''),
              },
            }),
          }
        : undefined,
    );
    expect((await list(ghcr))?.size).toBe(351);
    // Nothing tells that no page has shifted but a second look at each.
    expect([...pages(ghcr)].sort()).toEqual(['1', '1', '2', '2', '3', '3', '4', '4']);
  });

  it.each([
    ["can't be read", '<https://api.github.com/x', 'paging-broken'],
    ['leads to another server', '<https://elsewhere.test/x?page=2>; rel="next"', 'paging-broken'],
    [
      'claims a million pages',
      '<?page=2>; rel="next", <?page=1000000>; rel="last"',
      "isn't in the form of the GitHub API",
    ],
  ])('are a gap where their Link header %s', async (_, link, words) => {
    const ghcr = await filled({}, many.slice(0, 150));
    ghcr.apiIntercept(({ route }) =>
      route?.kind === 'versions'
        ? {
            kind: 'rewrite',
            rewrite: (answer) => ({ ...answer, headers: { ...answer.headers, Link: link } }),
          }
        : undefined,
    );
    const before = standing(ghcr);
    const { green, complaints } = await cleanScene(ghcr);
    expect(green).toBe(false);
    expect(complaints.join('\n')).toContain(words);
    expect(standing(ghcr)).toEqual(before);
    expect(listsAt(ghcr)).toHaveLength(1);
  });
});

describe('A list that moves while it is read', () => {
  it.each<[string, number, (ghcr: Ghcr) => void]>([
    ['pushed', 1, ({ state }) => seed(state, REPOSITORY, late[0] ?? tagged)],
    ['pushed after the last page', 2, ({ state }) => seed(state, REPOSITORY, late[0] ?? tagged)],
    ['deleted on the first page', 2, (ghcr) => remove(ghcr, many[349] ?? tagged)],
    ['deleted on a page that was read already', 3, (ghcr) => remove(ghcr, many[200] ?? tagged)],
    ['deleted on the last page', 2, (ghcr) => remove(ghcr, many[0] ?? tagged)],
    ['tagged', 1, ({ state }) => seed(state, REPOSITORY, many[349] ?? tagged, 'v2')],
  ])('is read again where something is %s', async (_, page, change) => {
    for (const order of ['in order', 'backwards'] as const) {
      const ghcr = await filled();
      ghcr.onPage(({ n }) => {
        if (n === page) {
          change(ghcr);
        }
      });
      // Which of the pages in the middle is answered first.
      ghcr.apiIntercept(({ path }) =>
        new RegExp(`[?&]page=${order === 'in order' ? '3' : '2'}&`).test(`${path}&`)
          ? { kind: 'pass', delay: 30 }
          : undefined,
      );
      expect(new Set((await list(ghcr))?.keys())).toEqual(standing(ghcr));
    }
  });

  it('misses no row where one is deleted between two pages', async () => {
    for (const [n, before] of [2, 3, 4].entries()) {
      for (const victim of [10, 60, 140, 180, 220, 260, 320]) {
        const ghcr = await filled();
        ghcr.onPage(({ n: page }) => {
          if (page === before) {
            remove(ghcr, many[victim + n] ?? tagged);
          }
        });
        expect(new Set((await list(ghcr))?.keys())).toEqual(standing(ghcr));
      }
    }
  });

  it('is a gap after four readings, and nothing is deleted', async () => {
    const ghcr = await filled({}, many.slice(0, 150));
    const fresh = [...late];
    ghcr.onPage(({ page }) => {
      const next = page === 1 ? fresh.pop() : undefined;
      if (next !== undefined) {
        seed(ghcr.state, REPOSITORY, next);
      }
    });
    await expect(list(ghcr)).rejects.toMatchObject({
      kind: 'unexpected',
      message: expect.stringContaining('4 times in a row'),
    });
    const { green, complaints } = await cleanScene(ghcr);
    expect(green).toBe(false);
    expect(complaints.join('\n')).toMatch(/list of manifests couldn't be read: .*4 times in a row/);
    expect(deletesAt(ghcr)).toEqual([]);
    expect(ghcr.clock.slept).toEqual([1000, 5000, 25_000, 1000, 5000, 25_000]);
  });

  it('has not moved where only the order of tags differs', async () => {
    const ghcr = await startScene();
    seed(ghcr.state, REPOSITORY, tagged, 'b', 'a', 'c');
    let lists = 0;
    ghcr.apiIntercept(({ route }) => {
      lists += route?.kind === 'versions' ? 1 : 0;
      return lists % 2 === 0
        ? {
            kind: 'rewrite',
            rewrite: (answer) => ({
              ...answer,
              body: Buffer.from(answer.body.toString().replace('"b","a","c"', '"c","b","a"')),
            }),
          }
        : undefined;
    });
    expect((await list(ghcr))?.get(tagged.digest)?.tags).toEqual(['a', 'b', 'c']);
    expect(lists).toBe(2);
  });

  it('is read again where a row stands there twice', async () => {
    const ghcr = await filled({}, many.slice(0, 1));
    let lists = 0;
    ghcr.apiIntercept(({ route }) => {
      lists += route?.kind === 'versions' ? 1 : 0;
      return route?.kind === 'versions' && lists <= 2
        ? {
            kind: 'rewrite',
            rewrite: (answer) => {
              const rows = JSON.parse(answer.body.toString()) as unknown[];
              return { ...answer, body: Buffer.from(JSON.stringify([rows[0], ...rows])) };
            },
          }
        : undefined;
    });
    expect((await list(ghcr))?.size).toBe(2);
    expect(lists).toBe(4);
  });
});

describe('A row of a list', () => {
  const at = (text: string) => Date.parse(text);
  const [early, later] = ['2025-01-01T00:00:00Z', '2025-02-01T00:00:00Z'];

  it.each([
    ['its update', early, later],
    ['its creation', later, early],
  ])('counts as changed at the later time, be it that of %s', async (_, created, updated) => {
    const ghcr = await filled({}, []);
    ghcr.setTimes(REPOSITORY, tagged.digest, { created: at(created), updated: at(updated) });
    const listed = (await list(ghcr))?.get(tagged.digest);
    expect(listed).toMatchObject({ pushedAt: at(created), changedAt: at(later) });
  });

  it('has the id of the version as text', async () => {
    const ghcr = await filled({}, []);
    const id = String(ghcr.versions(REPOSITORY)[0]?.id);
    expect((await list(ghcr))?.get(tagged.digest)?.id).toBe(id);
  });

  it.each<[string, Record<string, unknown>]>([
    ['has no metadata', { metadata: undefined }],
    ['has no container in its metadata', { metadata: { package_type: 'npm' } }],
    ['has tags that are no list', { metadata: { container: { tags: 'v1' } } }],
    ['has a tag that none can be', { metadata: { container: { tags: ['a b'] } } }],
    ['has a tag that leaves its path', { metadata: { container: { tags: ['../v1'] } } }],
    ["has a name that isn't a digest", { name: '1.0.0' }],
    ['has a short digest', { name: 'sha256:abc' }],
    ['has the id 0', { id: 0 }],
    ['has a negative id', { id: -5 }],
    ['has a fraction as its id', { id: 1.5 }],
    ['has a text as its id', { id: '7' }],
    ['has no time of its creation', { created_at: undefined }],
    ['has a time in words', { updated_at: 'yesterday' }],
  ])('is a gap where it %s', async (_, change) => {
    const ghcr = await filled({ validates: false }, many.slice(0, 2));
    ghcr.apiIntercept(({ route }) =>
      route?.kind === 'versions'
        ? {
            kind: 'rewrite',
            rewrite: (answer) => {
              const rows = JSON.parse(answer.body.toString()) as object[];
              const [row, ...others] = rows;
              return {
                ...answer,
                body: Buffer.from(JSON.stringify([{ ...row, ...change }, ...others])),
              };
            },
          }
        : undefined,
    );
    await expect(list(ghcr)).rejects.toMatchObject({
      kind: 'unexpected',
      message: expect.stringContaining(`could not list the versions of ${REPOSITORY}`),
    });
    const { green } = await cleanScene(ghcr);
    expect(green).toBe(false);
    expect(deletesAt(ghcr)).toEqual([]);
  });
});
