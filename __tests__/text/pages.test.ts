import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from '@jest/globals';

import { anchorsOf } from '../../scripts/links.js';
import { CODES } from '../../src/text/code.js';
import { helpLink, NEWEST_PAGES, pagesOf } from '../../src/text/pages.js';

describe('the pages', () => {
  const action = { GITHUB_ACTION_REPOSITORY: 'acme/cleanup', GITHUB_ACTION_REF: 'v1.2.3' };

  it.each([
    ['a tag', action, 'https://github.com/acme/cleanup/blob/v1.2.3'],
    [
      'a commit on another server',
      { ...action, GITHUB_SERVER_URL: 'https://git.example.com:8443', GITHUB_ACTION_REF: 'ab12' },
      'https://git.example.com:8443/acme/cleanup/blob/ab12',
    ],
    [
      'a branch with a slash',
      { ...action, GITHUB_ACTION_REF: 'feature/x' },
      'https://github.com/acme/cleanup/blob/feature/x',
    ],
  ])('are those of %s that the runner names', (_, env, pages) => {
    expect(pagesOf(env)).toBe(pages);
  });

  it.each([
    ['nothing', {}],
    ['a local action', { GITHUB_ACTION_REPOSITORY: '', GITHUB_ACTION_REF: '' }],
    ['no ref', { GITHUB_ACTION_REPOSITORY: 'acme/cleanup' }],
    ["a server that isn't an address", { ...action, GITHUB_SERVER_URL: 'javascript:alert(1)' }],
    ['a repository with markup', { ...action, GITHUB_ACTION_REPOSITORY: 'acme/x)[y](z' }],
    ['a ref with a space', { ...action, GITHUB_ACTION_REF: 'v1 ::error::x' }],
    ['a ref that climbs', { ...action, GITHUB_ACTION_REF: 'v1/../../x' }],
    ['a repository that climbs', { ...action, GITHUB_ACTION_REPOSITORY: 'acme/..' }],
  ])('are those of the newest version, if the environment has %s', (_, env) => {
    expect(pagesOf(env)).toBe(NEWEST_PAGES);
  });
});

describe('the link of a message', () => {
  const page = 'docs/troubleshooting.md';
  const anchors = anchorsOf(
    readFileSync(fileURLToPath(new URL(`../../${page}`, import.meta.url)), 'utf8'),
  );

  it.each(CODES)('leads to an entry of the docs for %s', (code) => {
    const link = new URL(helpLink(`something happened [${code}]`, NEWEST_PAGES) ?? '');
    expect(link.href).toMatch(`${NEWEST_PAGES}/${page}#`);
    expect(anchors).toContain(link.hash.slice(1));
  });

  it('is missing where the message has no code', () => {
    expect(helpLink('something happened', NEWEST_PAGES)).toBeUndefined();
  });
});
