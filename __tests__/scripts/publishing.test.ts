import { readFileSync } from 'node:fs';

import { describe, expect, it } from '@jest/globals';

import { descriptionFault, lockFault, majorTag, withVersion } from '../../scripts/publishing.js';
import { VERSION } from '../../src/text/version.js';

const ACTION = 'registry-manifest-cleanup/registry-manifest-cleanup';

describe('the version', () => {
  it('is that of package.json in the source', () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(VERSION).toBe(version);
  });

  it('replaces the one of the source', () => {
    const text = "/** A comment. */\nexport const VERSION = '1.0.0';\n";
    expect(withVersion('src/text/version.ts', text, '12.3.4')).toBe(
      "/** A comment. */\nexport const VERSION = '12.3.4';\n",
    );
  });

  it('gives pages and workflows its major tag wherever they use the action, and changes nothing else', () => {
    const text = (tag: string) => `
      - uses: ${ACTION}@${tag}
      - uses: https://github.com/${ACTION}@${tag} # a comment
      - uses: actions/checkout@v1
      git clone --depth 1 --branch ${tag} https://github.com/${ACTION} cleanup
      git clone --branch v1 https://github.com/acme/other
      https://github.com/${ACTION}/blob/v1/README.md`;
    expect(withVersion('README.md', text('v1'), '2.0.0')).toBe(text('v2'));
    expect(withVersion('docs/x.md', text('v1.4.0'), '1.5.0')).toBe(text('v1'));
    expect(withVersion('examples/x.yml', text('main'), '1.5.0')).toBe(text('v1'));
    expect(withVersion('examples/x.yml', text('v1'), '1.5.0')).toBe(text('v1'));
  });

  it('has the major tag of its first number', () => {
    expect(['1.0.0', '10.2.3'].map(majorTag)).toEqual(['v1', 'v10']);
  });

  it.each([
    ['both places agree', '1.0.0', '1.0.0', undefined],
    ['the first differs', '0.9.0', '1.0.0', expect.stringContaining("isn't 1.0.0")],
    ['the second differs', '1.0.0', '0.9.0', expect.stringContaining("isn't 1.0.0")],
  ])('is looked up in the lock file: %s', (_, first, second, fault) => {
    const lock = JSON.stringify({ version: first, packages: { '': { version: second } } });
    expect(lockFault(lock, '1.0.0')).toEqual(fault);
  });
});

describe('the description', () => {
  it.each([
    [124, undefined],
    [125, expect.stringContaining('125 characters')],
  ])('may have %i characters, or says so', (length, fault) => {
    expect(descriptionFault(`description: ${'a'.repeat(length)}\n`)).toEqual(fault);
    expect(descriptionFault(`description: >-\n  ${'a'.repeat(length)}\n`)).toEqual(fault);
  });

  it('is short enough for the marketplace', () => {
    expect(descriptionFault(readFileSync('action.yml', 'utf8'))).toBeUndefined();
  });
});
