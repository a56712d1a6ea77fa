import { describe, expect, it } from '@jest/globals';

import { isRepository, isTag, parseDigestTag } from '../../src/oci/reference.js';

const HEX = '0123456789abcdef'.repeat(4);

describe('isRepository', () => {
  it.each([
    ['app', true],
    ['team/app', true],
    ['a/b/c/d/e/f', true],
    ['a.b_c__d-e---f/0', true],
    ['a'.repeat(255), true],
    ['a'.repeat(256), false],
    ['', false],
    ['Team/app', false],
    ['a//b', false],
    ['/a', false],
    ['a/', false],
    ['a..b', false],
    ['a___b', false],
    ['-a', false],
    ['a-', false],
    ['../a', false],
    ['a/../b', false],
    ['a/b?n=1', false],
    ['a b', false],
    ['a\nb', false],
    ['a\n', false],
    ['ä', false],
    ['%2e%2e', false],
    ['::set-output', false],
  ])('the name %j is valid or not: %s', (name, expected) => {
    expect(isRepository(name)).toBe(expected);
  });

  it('the check is quick to refuse a name made to be slow', () => {
    // Backtracking over this would take longer than the sun has left.
    expect(isRepository(`${'a-'.repeat(120)}!`)).toBe(false);
  });
});

describe('isTag', () => {
  it.each([
    ['latest', true],
    ['_x', true],
    ['V1.2-rc_3', true],
    ['a'.repeat(128), true],
    ['a'.repeat(129), false],
    ['', false],
    ['.hidden', false],
    ['-x', false],
    ['a:b', false],
    ['a/b', false],
    ['a b', false],
    ['a\n', false],
    ['..', false],
    ['<b>', false],
  ])('the tag %j is valid or not: %s', (tag, expected) => {
    expect(isTag(tag)).toBe(expected);
  });
});

describe('parseDigestTag', () => {
  it.each([
    [`sha256-${HEX}`, 'fallback'],
    [`sha256-${HEX}.sig`, 'sig'],
    [`sha256-${HEX}.att`, 'att'],
    [`sha256-${HEX}.sbom`, 'sbom'],
  ])('the tag %s names a manifest', (tag, role) => {
    expect(parseDigestTag(tag)).toEqual({ tag, names: `sha256:${HEX}`, role });
  });

  it.each([
    'latest',
    `sha256-${HEX}.txt`,
    `sha256-${HEX}.sig.sig`,
    `sha256-${HEX}0`,
    `sha256-${HEX.slice(1)}`,
    `sha256-${HEX.toUpperCase()}`,
    `v1-sha256-${HEX}`,
    `sha512-${HEX}`,
    `sha512-${HEX}${HEX}`,
    `sha256:${HEX}`,
    `sha256-${HEX}\n`,
  ])('the tag %j is an ordinary one', (tag) => {
    expect(parseDigestTag(tag)).toBeUndefined();
  });
});
