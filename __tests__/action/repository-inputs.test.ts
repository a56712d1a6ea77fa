import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import {
  foldNames,
  readDigests,
  readProtected,
  readRepositories,
} from '../../src/action/repository-inputs.js';
import { PROTECT } from '../../src/plan/protection.js';
import { OF_GITHUB, OTHER } from '../support/builders/families.js';
import { noteMistakes } from '../support/builders/mistakes.js';
import { startRunner, type Runner } from '../support/scenes/runner.js';

let runner: Runner;
beforeEach(() => {
  runner = startRunner();
});
afterEach(() => {
  runner.restore();
});

const OWN = { GITHUB_REPOSITORY: 'Acme-Corp/Shop' };
const DIGEST = `sha256:${'a1'.repeat(32)}`;

function read(text: string, { family = OF_GITHUB, env = OWN, isNarrowing = false } = {}) {
  const { noted, mistake } = noteMistakes();
  const { selection, namespaces } = readRepositories(text, { family, env, isNarrowing }, mistake);
  return { names: selection.names, namespaces, selection, noted };
}
const nowhere: typeof OWN = { GITHUB_REPOSITORY: '' };

describe('repositories of GitHub', () => {
  it('may be written with capitals', () => {
    expect(read('Acme-Corp/Shop, acme-corp/shop\nAcme-Corp/Shop/API')).toMatchObject({
      names: ['acme-corp/shop', 'acme-corp/shop/api'],
      namespaces: ['acme-corp'],
      noted: [],
    });
    const { selection } = read('Acme-Corp/**\n!Acme-Corp/Old-*');
    expect(selection.includes('acme-corp/shop')).toBe(true);
    expect(selection.includes('acme-corp/old-shop')).toBe(false);
  });

  it.each(['', ' \n '])('are by default the one of the workflow: %j', (text) => {
    expect(read(text)).toMatchObject({
      names: ['acme-corp/shop'],
      namespaces: ['acme-corp'],
      noted: [],
    });
  });

  it('are all that a plan or a backup names, where there is one', () => {
    const { selection, names, namespaces, noted } = read('', { isNarrowing: true });
    expect(names).toBeUndefined();
    expect(selection.includes('other/app')).toBe(true);
    expect({ namespaces, noted }).toEqual({ namespaces: ['acme-corp'], noted: [] });
    expect(read('', { isNarrowing: true, env: nowhere }).noted).toEqual([]);
    expect(read('Other/App', { isNarrowing: true }).names).toEqual(['other/app']);
  });

  it.each([
    ['other/**', ['other']],
    ['other/app', ['other']],
    ['other/**, acme-corp/*', ['acme-corp', 'other']],
    ['**', ['acme-corp']],
    ['oth*/app', ['acme-corp']],
    ['!acme-corp/shop', ['acme-corp']],
  ])('belong to owners that can be listed: %s', (text, namespaces) => {
    expect(read(text)).toMatchObject({ namespaces, noted: [] });
  });

  const TAKES = 'names with their owner such as `owner/app`, or globs such as `owner/**`';
  const DEFAULT = 'the default comes from GITHUB_REPOSITORY, which';

  it.each(['', '**', '*/app', '!acme/shop'])(
    'have to be named outside of GitHub Actions: %j is one mistake',
    (got) => {
      const why = `${DEFAULT} isn't set`;
      const expected = [{ input: 'repositories', takes: TAKES, got, why }];
      expect(read(got, { env: nowhere }).noted).toEqual(expected);
      expect(read(got, { env: {} as typeof OWN }).noted).toEqual(expected);
    },
  );

  it('need nothing of GitHub Actions when they are named', () => {
    for (const text of ['acme/shop', 'acme/**', 'acme/shop, **']) {
      expect(read(text, { env: nowhere })).toMatchObject({ namespaces: ['acme'], noted: [] });
    }
  });

  it('have to be named where no image can have the name of the workflow’s own', () => {
    const env = { GITHUB_REPOSITORY: 'Acme/.github' };
    const why = `${DEFAULT} is "acme/.github", which no image can be called`;
    expect(read('', { env }).noted).toEqual([
      { input: 'repositories', takes: TAKES, got: '', why },
    ]);
    expect(read('**', { env })).toMatchObject({ namespaces: ['acme'], noted: [] });
  });

  it.each([
    ['shop', 'without its owner'],
    ['Shop', 'without its owner'],
    ['acme//shop', 'not a valid repository name'],
    ['acme/shop:v1', 'not a repository name or glob'],
    // The sign of the unit kelvin, whose small form is an ordinary k.
    ['\u212aernel/app', 'not a repository name or glob'],
  ])('are a mistake when they are wrong, and no other: %j', (text, why) => {
    for (const env of [OWN, nowhere]) {
      expect(read(text, { env }).noted).toEqual([
        expect.objectContaining({
          input: 'repositories',
          takes: expect.stringMatching(new RegExp(`; this one is ${why}$`)),
        }),
      ]);
    }
  });
});

describe('repositories of other registries', () => {
  it('are as they are written, and all by default', () => {
    const family = OTHER;
    expect(read('', { family })).toMatchObject({ names: undefined, namespaces: [], noted: [] });
    expect(read('', { family }).selection.includes('any/app')).toBe(true);
    expect(read('app', { family })).toMatchObject({ names: ['app'], namespaces: [], noted: [] });
    expect(read('team/app', { family }).namespaces).toEqual(['team']);
    expect(read('**', { family, env: nowhere }).noted).toEqual([]);
    expect(read('Team/App', { family }).noted).toHaveLength(1);
  });
});

describe('the case of names', () => {
  it('means nothing at GitHub, and something elsewhere', () => {
    expect(foldNames('Owner/App', OF_GITHUB)).toBe('owner/app');
    expect(foldNames('Owner/App', OTHER)).toBe('Owner/App');
    expect(foldNames('Owner/App', undefined)).toBe('Owner/App');
  });

  it('is folded in `protect`', () => {
    const { noted, mistake } = noteMistakes();
    const protect = `ghcr.io/Owner/App@${DIGEST}, Owner/Base-*\nGHCR.io/Owner/Other`;
    runner.inputs({ protect });
    expect(readProtected('ghcr.io', OF_GITHUB, mistake)).toEqual({
      digests: new Map(),
      pinned: new Map([['owner/app', new Set([DIGEST])]]),
      repositories: expect.arrayContaining(['owner/base-*', 'owner/other']),
    });
    expect(noted).toEqual([]);
    readProtected('ghcr.io', OTHER, mistake);
    expect(noted).not.toEqual([]);
  });

  it('leaves digests in `protect` as they are', () => {
    const { mistake } = noteMistakes();
    runner.inputs({ protect: DIGEST });
    expect(readProtected('ghcr.io', OF_GITHUB, mistake).digests).toEqual(
      new Map([[DIGEST, [PROTECT]]]),
    );
  });

  it('is folded in `digests`, in front of a digest alone', () => {
    const lines = [
      `ghcr.io/Owner/App@${DIGEST}`,
      `Owner/App:V1@${DIGEST}`,
      '# A Comment',
      '/Data/x',
    ];
    runner.inputs({ digests: lines.join('\n') });
    expect(readDigests(OF_GITHUB).split('\n')).toEqual([
      `ghcr.io/owner/app@${DIGEST}`,
      `owner/app:v1@${DIGEST}`,
      '# A Comment',
      '/Data/x',
    ]);
    expect(readDigests(OTHER).split('\n')).toEqual(lines);
  });
});
