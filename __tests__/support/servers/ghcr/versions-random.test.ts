/** The versions of the simulated GHCR after random pushes, deletes and restores, some of them behind its back. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { image, OLD } from '../../builders/build.js';
import { seed } from '../../clients/push.js';
import { emptyState, type RegistryState } from '../memory/state.js';
import { LIKELY } from './options.js';
import { Versions } from './versions.js';

const NAME = 'team/app';
const CONTENTS = ['a', 'b', 'c', 'd'].map((name) => image(name));

type Step =
  | { readonly kind: 'push' | 'drop' | 'delete' | 'restore'; readonly n: number }
  | { readonly kind: 'tag'; readonly n: number; readonly tag: string };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constantFrom<'push' | 'drop' | 'delete' | 'restore'>(
        'push',
        'drop',
        'delete',
        'restore',
      ),
      n: fc.nat(CONTENTS.length - 1),
    }),
    fc.record({
      kind: fc.constant('tag' as const),
      n: fc.nat(CONTENTS.length - 1),
      tag: fc.constantFrom('v1', 'v2'),
    }),
  ),
  { maxLength: 30 },
);

function take(state: RegistryState, versions: Versions, step: Step): void {
  const content = CONTENTS[step.n] ?? image('none');
  const { manifests, tags } = state.repositories.get(NAME) ?? {};
  const last = versions.all(NAME).findLast(({ digest }) => digest === content.digest);
  const isThere = manifests?.has(content.digest) === true;
  switch (step.kind) {
    case 'push':
      seed(state, NAME, content);
      break;
    case 'tag':
      seed(state, NAME, content, step.tag);
      break;
    case 'drop':
      manifests?.delete(content.digest);
      [...(tags ?? [])]
        .filter(([, digest]) => digest === content.digest)
        .forEach(([tag]) => tags?.delete(tag));
      break;
    case 'delete':
      expect(versions.delete(NAME, last?.id ?? 0)).toBe(isThere);
      break;
    case 'restore':
      versions.restore(NAME, last?.id ?? 0);
      break;
  }
}

describe('The versions', () => {
  it('agree with the registry after every change, and their ids stay', () => {
    fc.assert(
      fc.property(
        steps,
        fc.constantFrom<'new-id' | 'same-id'>('new-id', 'same-id'),
        (all, repush) => {
          const state = emptyState();
          let now = Date.parse(OLD);
          const versions = new Versions(state, {
            assume: { ...LIKELY, repush },
            now: () => now,
            seededAt: () => now,
            listLags: {},
            versionLags: {},
          });
          const digests = new Map<number, string>();
          for (const step of all) {
            now += 1000;
            versions.sync(NAME);
            take(state, versions, step);
            versions.sync(NAME);
            const { manifests, tags } = state.repositories.get(NAME) ?? {};
            const { versions: list, total } = versions.list(NAME, 0, Infinity);
            expect([...list].map(({ digest }) => digest).sort()).toEqual(
              [...(manifests?.keys() ?? [])].sort(),
            );
            expect(total).toBe(list.length);
            const tagged = list.flatMap(({ digest, tags }) => tags.map((tag) => [tag, digest]));
            expect(Object.fromEntries(tagged)).toEqual(Object.fromEntries(tags ?? []));
            expect(tagged).toHaveLength(tags?.size ?? 0);
            const times = list.map(({ createdAt }) => createdAt);
            expect(times).toEqual(times.toSorted((a, b) => b - a));
            for (const { id, digest } of versions.all(NAME)) {
              expect(digests.get(id) ?? digest).toBe(digest);
              digests.set(id, digest);
            }
            const gone = versions.deleted(NAME, 0, Infinity).versions;
            const shown = new Set(list.map(({ id }) => id));
            expect(gone.filter(({ id }) => shown.has(id))).toEqual([]);
          }
        },
      ),
    );
  });
});
