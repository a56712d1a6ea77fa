/**
 * Fallback tags under everything that clients do to them, with runs in between: referrers are added and removed, lists
 * are sorted or not, and some replaced lists have tags of their own.
 */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';

import {
  APP,
  digestTag,
  fallbackIndex,
  image,
  referrer,
  type Content,
} from '../support/builders/build.js';
import { runs } from '../support/builders/arbitraries.js';
import { seed } from '../support/clients/push.js';
import { silence } from '../support/scenes/captured-output.js';
import { run } from '../support/scenes/run.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { repositoryOf } from '../support/servers/memory/state.js';

jest.setTimeout(3_600_000);
silence();

type Deed =
  | { readonly kind: 'add' | 'pin'; readonly of: number }
  | { readonly kind: 'remove'; readonly of: number; readonly pick: number }
  | { readonly kind: 'run' };

/** The first sorts the entries. */
const APPS = [image('sorted'), image('appended')];
const of = fc.nat({ max: APPS.length - 1 });
const kind = <T extends Deed['kind']>(name: T) => fc.constant(name);
const deed = (removes: boolean): fc.Arbitrary<Deed> =>
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: kind('add'), of }) },
    { weight: 1, arbitrary: fc.record({ kind: kind('pin'), of }) },
    { weight: 2, arbitrary: fc.record({ kind: kind('run') }) },
    { weight: removes ? 3 : 0, arbitrary: fc.record({ kind: kind('remove'), of, pick: fc.nat() }) },
  );

/** What the clients know: the referrers of each image in the order of its list, and the tagged lists. */
class Clients {
  readonly #registry: MemoryRegistry;
  readonly #lists: Content[][] = APPS.map(() => []);
  readonly #pinned: Content[] = [];
  #added = 0;

  constructor(registry: MemoryRegistry) {
    this.#registry = registry;
    APPS.forEach((app, n) => seed(registry.state, APP, app, `v${n}`));
  }

  act(one: Exclude<Deed, { kind: 'run' }>): void {
    const app = APPS[one.of] ?? image('none');
    const before = this.#lists[one.of] ?? [];
    switch (one.kind) {
      case 'add':
        this.#added += 1;
        this.#write(one.of, app, [...before, referrer(`referrer ${this.#added}`, app)]);
        break;
      case 'remove':
        this.#write(one.of, app, before.toSpliced(one.pick % Math.max(before.length, 1), 1));
        break;
      case 'pin':
        this.#pinned.push(fallbackIndex(before));
        seed(this.#registry.state, APP, fallbackIndex(before), `pin${this.#pinned.length}`);
    }
  }

  #write(of: number, app: Content, list: readonly Content[]): void {
    const sorted = of === 0 ? list.toSorted((a, b) => (a.digest < b.digest ? -1 : 1)) : [...list];
    this.#lists[of] = sorted;
    seed(this.#registry.state, APP, fallbackIndex(sorted), digestTag(app.digest));
  }

  /** the most entries that a list has */
  get longest(): number {
    return Math.max(...this.#lists.map(({ length }) => length));
  }

  /** everything that is in use, by digest */
  inUse(): Set<string> {
    const lists = this.#lists.filter(({ length }) => length > 0);
    const indexes = [...lists.map(fallbackIndex), ...this.#pinned];
    const referrers = [...lists.flat(), ...indexes.flatMap(({ children }) => children)];
    return new Set([...APPS, ...indexes, ...referrers].map(({ digest }) => digest));
  }
}

describe('the list of referrers under a fallback tag', () => {
  let registry: MemoryRegistry;

  beforeAll(async () => {
    registry = await startMemoryRegistry();
  });

  afterAll(() => registry.stop());

  const there = () => new Set(repositoryOf(registry.state, APP).manifests.keys());

  async function clean(): Promise<void> {
    const { url } = registry;
    const options = { url, candidates: new Map(), repositories: [APP], ledgerRepository: 'auto' };
    expect((await run(options)).complaints).toEqual([]);
  }

  /** @returns what the clients know in the end */
  async function play(deeds: readonly Deed[], afterRun: (clients: Clients) => void): Promise<void> {
    registry.state.repositories.clear();
    const clients = new Clients(registry);
    for (const one of [...deeds, { kind: 'run' as const }]) {
      if (one.kind === 'run') {
        await clean();
        afterRun(clients);
      } else {
        clients.act(one);
      }
    }
  }

  it('in-use-stays: it stays with all that it lists, and so does a replaced list that has a tag', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(deed(true), { maxLength: 25 }), async (deeds) => {
        await play(deeds, (clients) => {
          expect([...there()]).toEqual(expect.arrayContaining([...clients.inUse()]));
        });
      }),
      runs(60),
    );
  });

  it('leaves nothing behind after a run, as long as referrers are only added', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(deed(false), { maxLength: 16 }), async (deeds) => {
        let isShort = true;
        await play(deeds, (clients) => {
          isShort &&= clients.longest <= 5;
          expect(isShort ? there() : clients.inUse()).toEqual(clients.inUse());
        });
      }),
      runs(60),
    );
  });
});
