import { describe, expect, it } from '@jest/globals';

import { algorithmOf, digestOf, digestsIn, isDigest, parseDigest } from '../../src/oci/digest.js';

const HEX = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const EMPTY = `sha256:${HEX}`;

describe('isDigest', () => {
  it.each([
    ['sha256', EMPTY, true],
    ['sha512', `sha512:${'0'.repeat(128)}`, true],
    ['upper case', EMPTY.toUpperCase(), false],
    ['upper-case hex', `sha256:${HEX.toUpperCase()}`, false],
    ['too short', EMPTY.slice(0, -1), false],
    ['too long', `${EMPTY}0`, false],
    ['sha512 of sha256 length', `sha512:${HEX}`, false],
    ['an algorithm that can not be computed here', `blake3:${HEX}`, false],
    ['a trailing line feed', `${EMPTY}\n`, false],
    ['something before it', `a@${EMPTY}`, false],
    ['nothing', '', false],
  ])('a text is a digest or not: %s', (_, text, expected) => {
    expect(isDigest(text)).toBe(expected);
  });
});

describe('parseDigest', () => {
  it('gives the digest back', () => {
    expect(parseDigest(EMPTY)).toBe(EMPTY);
  });
  it('throws on anything else', () => {
    expect(() => parseDigest('latest')).toThrow('not a sha256 or sha512 digest');
  });
});

describe('digestOf', () => {
  it('the algorithm is SHA-256 unless another is given', () => {
    expect(digestOf(Buffer.alloc(0))).toBe(EMPTY);
  });
  it('can be SHA-512', () => {
    const digest = digestOf(Buffer.from('abc'), 'sha512');
    expect(digest).toMatch(/^sha512:ddaf35a193617abacc417349ae204131/);
    expect(isDigest(digest)).toBe(true);
    expect(algorithmOf(digest)).toBe('sha512');
  });
  it('tells its algorithm', () => {
    expect(algorithmOf(digestOf(Buffer.alloc(0)))).toBe('sha256');
  });
});

describe('digestsIn', () => {
  const other = `sha512:${'ab'.repeat(64)}`;
  it.each([
    ['none', 'no digest here: sha256:1234', []],
    ['several, each once, in order', `${other} x ${EMPTY}, ${other}`, [other, EMPTY]],
    ['within other text', `"docker.io/a@${EMPTY}"`, [EMPTY]],
    ['hex that goes on is another thing', `${EMPTY}0`, []],
    ['text that goes on is not', `${EMPTY}.sig`, [EMPTY]],
  ])('a text has these digests: %s', (_, text, expected) => {
    expect(digestsIn(text)).toEqual(expected);
  });
});
