import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import type { Descriptor, Manifest } from '../../src/oci/manifest.js';
import { contentBytes, freedBytes } from '../../src/report/bytes.js';
import type { RepositoryRun, Run } from '../../src/run/run.js';
import {
  blob,
  byDigest,
  d,
  dry,
  image,
  index,
  inventory,
  kept,
  moved,
  NOW,
  orphan,
  outcome,
  plan,
  run,
  unswept,
} from '../support/builders/examples.js';

type End = 'deleted' | 'gone' | 'failed' | 'skipped' | 'kept after recheck' | 'restored' | 'kept';

/** A repository in which each of these manifests met this end. */
function repository(
  name: string,
  ends: readonly (readonly [Manifest, End])[],
  gaps: RepositoryRun['inventory']['gaps'] = [],
): RepositoryRun {
  const of = (end: End) => ends.filter(([, other]) => other === end).map(([{ digest }]) => digest);
  return {
    inventory: inventory(name, {
      manifests: byDigest(...ends.map(([manifest]) => manifest)),
      gaps,
    }),
    plan: plan(name, {
      keep: of('kept').map((digest) => ({ digest, reason: { kind: 'tagged', tags: ['v1'] } })),
      orphans: ends
        .filter(([, end]) => end !== 'kept')
        .map(([{ digest }]) => ({ digest, reason: { kind: 'unreachable' }, after: [] })),
    }),
    ...outcome({
      deleted: of('deleted'),
      gone: of('gone'),
      failed: of('failed').map((digest) => ({ digest, why: 'refused' })),
      restored: of('restored'),
      skipped: of('skipped').map((digest) => ({ digest, why: 'not tried' })),
      kept: of('kept after recheck').map((digest) => ({
        digest,
        reason: { kind: 'tagged', tags: ['v1'] },
      })),
    }),
    warnings: [],
  };
}

const config = blob('shared config', 7);
const small = (name: string, layers: readonly Descriptor[]) =>
  image(name, layers, { size: 1, config });

describe('freedBytes', () => {
  it('counts the manifest and the blobs that nothing kept needs', () => {
    const old = image('old', [blob('base', 1_000), blob('old layer', 100)]);
    const now = image('now', [blob('base', 1_000)]);
    const freed = freedBytes(
      run([
        repository('a', [
          [old, 'deleted'],
          [now, 'kept'],
        ]),
      ]),
    );
    expect(freed.total).toBe(500 + 1_500 + 100);
    expect(freed.atMost).toBe(false);
  });

  it('counts what is shared by freed manifests once, for the first repository by name', () => {
    const freed = freedBytes(
      run([
        repository('b', [[small('two', [blob('x', 100)]), 'deleted']]),
        repository('a', [[small('one', [blob('x', 100)]), 'deleted']]),
      ]),
    );
    expect(freed.total).toBe(1 + 1 + 7 + 100);
    expect([...freed.byRepository]).toEqual([
      ['a', 1 + 7 + 100],
      ['b', 1],
    ]);
  });

  it.each(['kept', 'failed', 'skipped', 'kept after recheck', 'restored'] as const)(
    'does not count what a manifest of another repository needs that was %s',
    (end) => {
      const same = small('same', [blob('x', 100)]);
      const freed = freedBytes(
        run([repository('a', [[same, 'deleted']]), repository('b', [[same, end]])]),
      );
      expect(freed.total).toBe(0);
    },
  );

  it('takes a manifest that was gone already neither for freed nor for kept', () => {
    const freed = freedBytes(
      run([
        repository('a', [
          [small('one', [blob('x', 100)]), 'deleted'],
          [small('two', [blob('x', 100), blob('y', 10_000)]), 'gone'],
        ]),
      ]),
    );
    expect(freed.total).toBe(1 + 7 + 100);
  });

  it('counts no layer that is fetched from elsewhere, and the smaller of two claims', () => {
    const foreign = { ...blob('windows', 5_000), urls: ['https://mcr.example.com/base'] };
    const freed = freedBytes(
      run([
        repository('a', [
          [small('one', [foreign, blob('x', 300)]), 'deleted'],
          [small('two', [blob('x', 200), { ...blob('y', 50), urls: [] }]), 'deleted'],
        ]),
      ]),
    );
    expect(freed.total).toBe(1 + 1 + 7 + 200 + 50);
  });

  it('counts the layers that an old build cache lists in its index, but not its children', () => {
    const cache = index('cache', [], { size: 3, others: [blob('cached', 40)] });
    expect(freedBytes(run([repository('a', [[cache, 'deleted']])])).total).toBe(43);
  });

  it('leaves out what a kept manifest of an unknown type mentions', () => {
    const unknown: Manifest = {
      kind: 'unknown',
      digest: d('unknown'),
      mediaType: 'application/x-new',
      size: 10,
      mentions: [d('blob x')],
    };
    const freed = freedBytes(
      run([
        repository('a', [
          [small('one', [blob('x', 100)]), 'deleted'],
          [unknown, 'kept'],
        ]),
      ]),
    );
    expect(freed.total).toBe(1 + 7);
  });

  it('stops at the largest exact integer', () => {
    const huge = (name: string) => blob(name, Number.MAX_SAFE_INTEGER);
    const freed = freedBytes(
      run([
        repository('a', [[small('one', [huge('x'), huge('y')]), 'deleted']]),
        repository('b', [[small('two', [huge('z')]), 'deleted']]),
      ]),
    );
    expect(freed.total).toBe(Number.MAX_SAFE_INTEGER);
    expect(contentBytes(small('one', [huge('x'), huge('y')]))).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('counts in a dry-run what a real run would free', () => {
    const real = run([moved('team/api', 1_000, NOW)]);
    expect(freedBytes(dry(real))).toEqual(freedBytes(real));
  });

  it('counts nothing of a repository in which nothing is deleted, and what it needs stays', () => {
    const same = small('same', [blob('x', 100)]);
    const refused = unswept({
      ...repository('b', [[same, 'deleted']]),
      refusal: { kind: 'no-tags', remembered: 1 },
    });
    for (const dryRun of [true, false]) {
      const made = run([repository('a', [[same, 'deleted']]), refused], { dryRun });
      expect(freedBytes(made).total).toBe(0);
    }
  });

  it.each([
    ['a repository was left out', { everyRepositoryScanned: false }, []],
    ['something could not be read', {}, [{ what: 'tag v1', why: 'answered 500' }]],
  ] as const)('is "at most" when %s', (_, more: Partial<Run>, gaps) => {
    expect(freedBytes(run([repository('a', [], gaps)], more)).atMost).toBe(true);
  });

  it('agrees with a naive model', () => {
    const descriptor = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      size: fc.nat(1_000),
      foreign: fc.boolean(),
    });
    const manifest = fc.record({
      name: fc.nat(5).map((number) => `m${String(number)}`),
      layers: fc.array(descriptor, { maxLength: 4 }),
      end: fc.constantFrom<End>(
        'deleted',
        'gone',
        'failed',
        'skipped',
        'kept after recheck',
        'restored',
        'kept',
      ),
    });
    const repositories = fc.array(
      fc.uniqueArray(manifest, { selector: ({ name }) => name, maxLength: 5 }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(repositories, (lists) => {
        const made = lists.map((list) =>
          list.map(({ name, layers, end }) => {
            const descriptors = layers.map((layer) => ({
              ...blob(layer.name, layer.size),
              ...(layer.foreign ? { urls: ['https://x.example'] } : {}),
            }));
            return [small(name, descriptors), end] as const;
          }),
        );
        const real = run(made.map((ends, at) => repository(`r${String(at)}`, ends)));

        const claims = made.flat().flatMap(([{ digest, layers }, end]) => [
          { digest: digest, size: 1, end },
          { digest: config.digest, size: 7, end },
          ...layers.map((layer) => ({
            digest: layer.digest,
            size: 'urls' in layer ? 0 : layer.size,
            end,
          })),
        ]);
        const freed = claims.filter(({ end }) => end === 'deleted');
        const keeps = claims.filter(({ end }) => end !== 'deleted' && end !== 'gone');
        const unneeded = new Set(freed.map(({ digest }) => digest));
        keeps.forEach(({ digest }) => unneeded.delete(digest));
        const sum = [...unneeded].reduce(
          (all, digest) =>
            all +
            Math.min(
              ...freed.filter((claim) => claim.digest === digest).map((claim) => claim.size),
            ),
          0,
        );
        const { total, byRepository } = freedBytes(real);
        expect(total).toBe(sum);
        expect([...byRepository.values()].reduce((a, b) => a + b, 0)).toBe(sum);
      }),
    );
  });

  it('ignores an orphan whose manifest is not in the inventory', () => {
    const lost: RepositoryRun = {
      inventory: inventory('a'),
      plan: plan('a', { keep: [kept('x', { kind: 'gap' })], orphans: [orphan('y')] }),
      ...outcome({ deleted: [d('y')] }),
      warnings: [],
    };
    expect(freedBytes(run([lost])).total).toBe(0);
  });
});

describe('contentBytes', () => {
  it('counts each blob of the manifest once', () => {
    expect(contentBytes(small('one', [blob('x', 100), blob('x', 100), blob('y', 10)]))).toBe(118);
  });
});
