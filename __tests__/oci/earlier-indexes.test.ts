/** Which digests are guessed from a fallback index, and in which order. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { digestOf, type Digest } from '../../src/oci/digest.js';
import { guessEarlier, MOST_GUESSES } from '../../src/oci/earlier-indexes.js';
import { parseManifest, type IndexManifest } from '../../src/oci/manifest.js';
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.js';
import { runs } from '../support/builders/arbitraries.js';

interface Entry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

function entry(name: string, annotations?: Entry['annotations']): Entry {
  const described = { mediaType: OCI_MANIFEST, digest: digestOf(Buffer.from(name)), size: 1 };
  return annotations === undefined ? described : { ...described, annotations };
}

/** As Go writes JSON: it escapes what HTML would take for markup. */
function written(entries: readonly Entry[], indent?: string): string {
  const body = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries };
  const more = { annotations: { 'a "key" [': '}]"' } };
  return JSON.stringify({ ...body, ...more }, undefined, indent).replaceAll('<', '\\u003c');
}

function byDigest(a: Entry, b: Entry): number {
  return a.digest < b.digest ? -1 : 1;
}

/** The bytes after each push, the first one first. */
function history(entries: readonly Entry[], order: 'appended' | 'sorted', indent?: string) {
  return entries.map((_, at) => {
    const listed = entries.slice(0, at + 1);
    return written(order === 'sorted' ? listed.sort(byDigest) : listed, indent);
  });
}

function digestsOf(bodies: readonly string[]): Digest[] {
  return bodies.map((body) => digestOf(Buffer.from(body)));
}

/** All guesses in order, if the registry has these. */
function guessed(body: string, there: Iterable<Digest> = [], remembered: Iterable<Digest> = []) {
  const bytes = Buffer.from(body);
  const index = parseManifest(bytes, OCI_INDEX, digestOf(bytes)) as IndexManifest;
  const [isThere, isRemembered] = [new Set(there), new Set(remembered)];
  const guesses = guessEarlier(index, body, (digest) => isRemembered.has(digest));
  const all: Digest[] = [];
  for (let next = guesses.next(); next.done !== true;) {
    all.push(next.value);
    next = guesses.next(isThere.has(next.value));
  }
  return all;
}

/** Names whose digests are in this order, and whose are in the opposite one. */
const rising = ['one', 'two', 'three', 'four', 'five', 'six']
  .map((name) => entry(name))
  .sort(byDigest);
const falling = rising.toReversed();

const anyEntry = fc
  .record({
    name: fc.string(),
    annotations: fc.option(fc.dictionary(fc.string({ unit: 'binary' }), fc.string()), {
      nil: undefined,
    }),
  })
  .map(({ name, annotations }) => entry(name, annotations));
const anyEntries = (maxLength: number) =>
  fc.uniqueArray(anyEntry, { selector: ({ digest }) => digest, minLength: 1, maxLength });
const anyIndent = fc.constantFrom(undefined, '  ', '\t');

describe('the guesses of earlier indexes', () => {
  it('have every index that was the last one with an entry appended, for any entries', () => {
    fc.assert(
      fc.property(anyEntries(MOST_GUESSES), anyIndent, (entries, indent) => {
        const [last = '', ...earlier] = history(entries, 'appended', indent).reverse();
        const all = digestsOf(earlier);
        expect(guessed(last, all)).toEqual(expect.arrayContaining(all));
      }),
      runs(200),
    );
  });

  it('have every index of up to five entries of a client that sorts them', () => {
    fc.assert(
      fc.property(anyEntries(5), anyIndent, (entries, indent) => {
        const [last = '', ...earlier] = history(entries, 'sorted', indent).reverse();
        const all = digestsOf(earlier);
        expect(guessed(last, all)).toEqual(expect.arrayContaining(all));
      }),
      runs(200),
    );
  });

  it('are never more than the most, never twice the same, and never the index itself', () => {
    fc.assert(
      fc.property(anyEntries(40), fc.boolean(), fc.boolean(), (entries, isSorted, isThere) => {
        const [last = '', ...earlier] = history(
          entries,
          isSorted ? 'sorted' : 'appended',
        ).reverse();
        const all = guessed(last, isThere ? digestsOf(earlier) : []);
        expect(all.length).toBeLessThanOrEqual(MOST_GUESSES);
        expect(new Set([...all, ...digestsOf([last])]).size).toBe(all.length + 1);
      }),
      runs(100),
    );
  });

  it('are one for each earlier index, the latest first, where the entries are not sorted', () => {
    const [first, second, last = ''] = history(falling.slice(0, 3), 'appended');
    expect(guessed(last)).toEqual(digestsOf([second ?? '', first ?? '']));
  });

  it('try each entry of a sorted list, and go on from the index that is there', () => {
    const [a, b, c] = rising as [Entry, Entry, Entry];
    const lists = [[a, b], [a, c], [b, c], [c], [b]].map((each) => written(each));
    const [ab, ac, bc, onlyC, onlyB] = digestsOf(lists);
    const last = written(rising.slice(0, 3));
    expect(guessed(last, [bc, onlyC] as Digest[])).toEqual([ab, ac, bc, onlyB, onlyC]);
    // Where none of them is there, the list without its last entry is the likeliest.
    expect(guessed(last)).toEqual([ab, ac, bc, ...digestsOf([written([a]), written([b])])]);
  });

  it('end before an index that an earlier run saw', () => {
    const [first, second, third, last = ''] = history(falling.slice(0, 4), 'appended');
    const [one, two, three] = digestsOf([first ?? '', second ?? '', third ?? '']) as [
      Digest,
      Digest,
      Digest,
    ];
    expect(guessed(last, [], [one])).toEqual([three, two]);
    expect(guessed(last, [], [two])).toEqual([three]);
    expect(guessed(last, [], [three])).toEqual([]);
    // In a sorted list, any of the guesses may be the one that was seen.
    expect(
      guessed(written(rising.slice(0, 2)), [], digestsOf([written(rising.slice(1, 2))])),
    ).toEqual([]);
  });

  it('are none for an index with one entry or none', () => {
    expect(guessed(written([]))).toEqual([]);
    expect(guessed(written(rising.slice(0, 1)))).toEqual([]);
  });

  it('are none for a sorted list that is longer than the most', () => {
    const many = Array.from({ length: MOST_GUESSES + 1 }, (_, n) => entry(`entry ${n}`));
    expect(guessed(written(many.toSorted(byDigest)))).toEqual([]);
    expect(guessed(written(many))).toHaveLength(MOST_GUESSES);
  });

  it('are none where another spelling of the key hides the list', () => {
    const body = written(falling).replace('"manifests"', String.raw`"manifest\u0073"`);
    expect(guessed(body)).toEqual([]);
  });

  it('take no other list for that of the entries', () => {
    const other = { name: 'manifests', lists: { manifests: [{ a: 1 }, { b: 2 }] }, more: [{}, {}] };
    const body = (entries: readonly Entry[]) =>
      JSON.stringify({ ...other, schemaVersion: 2, manifests: entries, layersOf: [{}, {}] });
    const [a, b] = falling as [Entry, Entry];
    expect(guessed(body([a, b]))).toEqual(digestsOf([body([a])]));
  });

  it('are of the algorithm of the index', () => {
    const bytes = Buffer.from(written(falling.slice(0, 2)));
    const index = parseManifest(bytes, OCI_INDEX, digestOf(bytes, 'sha512')) as IndexManifest;
    const guess = guessEarlier(index, bytes.toString(), () => false).next();
    expect(guess.value).toBe(digestOf(Buffer.from(written(falling.slice(0, 1))), 'sha512'));
  });
});
