import { describe, expect, it } from '@jest/globals';

import type { Digest } from '../../src/oci/digest.js';
import {
  PROTECT,
  protectionIn,
  readProtect,
  unmatched,
  withFiles,
  type Protection,
} from '../../src/plan/protection.js';
import { NO_PROTECTION } from '../support/builders/protections.js';

const HOST = 'registry.example.com';
const digest = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}` as Digest;
const sha512 = `sha512:${'ab'.repeat(64)}` as Digest;

/** What the text protects; a mistake in it fails the test. */
function reading(text: string, host = HOST): Protection {
  const { protection, mistakes } = readingWithMistakes(text, host);
  expect(mistakes).toEqual([]);
  return protection;
}

function readingWithMistakes(text: string, host = HOST) {
  const mistakes: string[] = [];
  const portless: string[] = [];
  const protection = readProtect(text, host, (entry, behindHost) => {
    mistakes.push(entry);
    portless.push(...(behindHost === undefined ? [] : [behindHost]));
  });
  return { protection, mistakes, portless };
}

const isKept = (protection: Protection, repository: string, which = digest(1)) =>
  protectionIn(repository, protection).of(which).length > 0;

describe('protected-stays: the input `protect`', () => {
  it.each(['', ' \n , \n', '# team/app', '\n# sha256:nothing, # more\n'])(
    'is empty as %j',
    (text) => {
      expect(reading(text)).toEqual(NO_PROTECTION);
    },
  );

  it('takes entries by line and by comma, in any mixture, and comments', () => {
    const text = `${digest(1)}, team/app@${digest(2)}\n  # not this\n team/**,\r\napp\n`;
    expect(reading(text)).toEqual({
      digests: new Map([[digest(1), [PROTECT]]]),
      pinned: new Map([['team/app', new Set([digest(2)])]]),
      repositories: ['team/**', 'app'],
    });
  });

  describe('a digest', () => {
    it.each([digest(1), sha512])('%s is kept in every repository', (which) => {
      const protection = reading(which);
      for (const repository of ['app', 'team/app']) {
        expect(protectionIn(repository, protection).of(which)).toEqual([PROTECT]);
        expect(protectionIn(repository, protection).of(digest(2))).toEqual([]);
      }
    });

    it('counts once where it stands twice', () => {
      const protection = reading(`${digest(1)}\napp@${digest(1)},${digest(1)}`);
      expect(protectionIn('app', protection).of(digest(1))).toEqual([PROTECT]);
    });
  });

  describe('repository@digest', () => {
    it.each([
      `team/app@${digest(1)}`,
      `team/app:v1@${digest(1)}`,
      `${HOST}/team/app@${digest(1)}`,
      `https://${HOST}/team/app:v1@${digest(1)}`,
      `Registry.Example.COM/team/app@${digest(1)}`,
    ])('%s is kept there, and nowhere else', (text) => {
      const protection = reading(text);
      expect(isKept(protection, 'team/app')).toBe(true);
      expect(isKept(protection, 'team/app', digest(2))).toBe(false);
      expect(isKept(protection, 'team')).toBe(false);
      expect(isKept(protection, 'team/app/x')).toBe(false);
    });

    it('may stand there several times for one repository', () => {
      const local = protectionIn('a', reading(`a@${digest(1)},a@${digest(2)},b@${digest(3)}`));
      expect(local.named()).toEqual(new Set([digest(1), digest(2)]));
      expect([1, 2, 3].map((n) => local.of(digest(n)).length)).toEqual([1, 1, 0]);
    });
  });

  describe('a name or glob of repositories', () => {
    it.each([
      ['team/app', ['team/app'], ['team/apps', 'team', 'a/team/app', 'team/app/x']],
      ['team/*', ['team/app', 'team/.x'], ['team', 'team/a/b', 'teams/app']],
      ['team/**', ['team/app', 'team/a/b', 'team/a/.b'], ['teams/app', 'a/team/app']],
      ['**', ['a', 'a/b/c'], []],
      ['*-prod', ['a-prod', 'b-prod'], ['a-prod-2', 'x/a-prod']],
      ['team/app?', ['team/app1'], ['team/app', 'team/app12']],
      ['team/[ab]*', ['team/a1', 'team/b'], ['team/c']],
      // Picomatch with its defaults would read these as other than names of repositories.
      ['team/a.c', ['team/a.c'], ['team/abc']],
    ])('covers repositories: %s', (glob, inside, outside) => {
      const protection = reading(glob);
      expect(inside.filter((name) => !isKept(protection, name))).toEqual([]);
      expect(outside.filter((name) => isKept(protection, name))).toEqual([]);
    });

    it('keeps every manifest, and is named as the reason', () => {
      const local = protectionIn('team/app', reading('team/*'));
      expect(local.of(digest(77))).toEqual([PROTECT]);
      // No digest has to be asked for: everything in that repository stays.
      expect(local.named().size).toBe(0);
    });

    it.each([
      [`${HOST}/team/**`, HOST],
      [`https://${HOST}/team/**`, HOST],
      ['Registry.Example.com/team/**', HOST],
      ['localhost:5000/team/**', 'localhost:5000'],
      ['http://localhost:5000/team/app', 'localhost:5000'],
    ])('may have the registry’s host in front: %s', (text, host) => {
      const protection = reading(text, host);
      expect(isKept(protection, 'team/app')).toBe(true);
      expect(isKept(protection, 'other/app')).toBe(false);
    });

    it('may begin like the host: a mirror has such names', () => {
      const protection = reading(`${HOST}/team/*`);
      expect(isKept(protection, `${HOST}/team/app`)).toBe(true);
      expect(isKept(reading(`${HOST}/team/*`, 'mirror.example.com'), 'team/app')).toBe(false);
    });
  });

  it.each([
    'sha256:short',
    `sha256:${'A'.repeat(64)}`,
    `sha384:${'a'.repeat(96)}`,
    `other.example.com/app@${digest(1)}`,
    `team/**@${digest(1)}`,
    `Team/App@${digest(1)}`,
    'team/app:v1',
    'team/app@v1',
    `@${digest(1)}`,
    '!team/app',
    '!**',
    `!${HOST}/team/app`,
    'Team/App',
    'team//app',
    '/team',
    'team/',
    `${HOST}/`,
    'other.example.com:5000/team/**',
    'two words',
    '{a,b',
    `${digest(1)} # why`,
  ])('names %j as a mistake, and reads the rest', (entry) => {
    const { protection, mistakes } = readingWithMistakes(`app\n${entry}\n${digest(1)}`);
    // A comma in an entry makes two of it.
    expect(mistakes[0]).toBe(entry.split(',')[0]);
    expect(isKept(protection, 'app')).toBe(true);
    expect(protection.digests.has(digest(1))).toBe(true);
  });
});

describe('protected-stays: the registry’s host without its port', () => {
  it.each([
    ['127.0.0.1/nest/**', '127.0.0.1:5917', 'nest/**'],
    ['http://127.0.0.1/nest/app', '127.0.0.1:5917', 'nest/app'],
    ['Registry.Example.com/app', 'registry.example.com:5000', 'app'],
    [`localhost/app:v1@${digest(1)}`, 'localhost:5000', `app:v1@${digest(1)}`],
    // No host for Docker, and so a repository of that name otherwise.
    [`registry/app@${digest(1)}`, 'registry:5000', `app@${digest(1)}`],
  ])('%s is a mistake on %s, and protects nothing', (entry, host, behind) => {
    const { protection, mistakes, portless } = readingWithMistakes(entry, host);
    expect([mistakes, portless]).toEqual([[entry], [behind]]);
    expect(protection).toEqual(NO_PROTECTION);
  });

  it.each([
    ['127.0.0.1/nest/**', '127.0.0.1'],
    ['127.0.0.1/nest/**', 'registry.example.com:5917'],
    ['127.0.0.10/nest', '127.0.0.1:5917'],
    ['docker.io/library/*', 'localhost:5000'],
    ['localhost', 'localhost:5000'],
    ['localhost:5000/localhost/app', 'localhost:5000'],
    [`localhost:5000/localhost/app@${digest(1)}`, 'localhost:5000'],
  ])('is not meant by %s on %s', (entry, host) => {
    expect(reading(entry, host)).not.toEqual(NO_PROTECTION);
  });

  it.each(['localhost/', '!localhost/app'])('%j is a mistake like any other', (entry) => {
    expect(readingWithMistakes(entry, 'localhost:5000')).toMatchObject({
      mistakes: [entry],
      portless: [],
    });
  });
});

describe('protected-stays: a pattern that matches no repository', () => {
  const all = ['team/app', 'team/web', 'docker.io/library/redis'];
  const missing = (text: string, host = HOST) => unmatched(reading(text, host), host, all);

  it.each<[string, string[]]>([
    ['', []],
    ['team/app, team/*, **, docker.io/**', []],
    ['team/ap', ['team/ap']],
    ['team/ap\nteam/web\nother/**', ['team/ap', 'other/**']],
    [`team/app@${digest(1)}, ${digest(2)}`, []],
    [`team/ap@${digest(1)}\nteam/ap@${digest(2)}\nteam/ap`, ['team/ap']],
  ])('is found: of %j it is %j', (text, names) => {
    expect(missing(text)).toEqual(names);
  });

  it('is reported once, without the host in front', () => {
    expect(missing(`${HOST}/team/*`)).toEqual([]);
    expect(missing(`${HOST}/team/ap, team/ap`)).toEqual(['team/ap']);
    // The host is part of the names of a mirror.
    expect(missing('docker.io/library/*', 'docker.io')).toEqual([]);
    expect(missing('library/*', 'docker.io')).toEqual(['library/*']);
  });
});

describe('protected-stays: digests in files', () => {
  const files = new Map([
    ['b.yaml', [digest(1), digest(2)]],
    ['a.yaml', [digest(2)]],
    ['empty.yaml', []],
  ]);

  it('are protected in every repository, by the paths in order', () => {
    const local = protectionIn('any/where', withFiles(NO_PROTECTION, files));
    expect(local.of(digest(1))).toEqual(['b.yaml']);
    expect(local.of(digest(2))).toEqual(['a.yaml', 'b.yaml']);
    expect(local.of(digest(3))).toEqual([]);
    expect(local.named()).toEqual(new Set([digest(1), digest(2)]));
  });

  it('come after the input', () => {
    for (const text of [digest(2), `app@${digest(2)}`, 'app', `app,${digest(2)}`]) {
      const local = protectionIn('app', withFiles(reading(text), files));
      expect(local.of(digest(2))).toEqual([PROTECT, 'a.yaml', 'b.yaml']);
    }
    const elsewhere = protectionIn('x', withFiles(reading(`app@${digest(2)}\napp`), files));
    expect(elsewhere.of(digest(2))).toEqual(['a.yaml', 'b.yaml']);
  });

  it('leave the protection that they are added to as it was', () => {
    const before = reading(digest(2));
    withFiles(before, files);
    expect(before).toEqual(reading(digest(2)));
    expect(NO_PROTECTION.digests.size).toBe(0);
  });

  it('are named together with those of the input', () => {
    const protection = withFiles(reading(`app@${digest(9)}, ${digest(1)}`), files);
    expect(protectionIn('app', protection).named()).toEqual(
      new Set([digest(1), digest(2), digest(9)]),
    );
    expect(protectionIn('x', protection).named()).toEqual(new Set([digest(1), digest(2)]));
  });
});

it('protected-stays: a protection of many digests is asked by many repositories in little time', () => {
  const many = Array.from({ length: 10_000 }, (_, n) => digest(n));
  const read: Digest[] = [];
  const digests = new Map(many.map((each) => [each, ['a.lock']]));
  const keys = digests.keys.bind(digests);
  digests.keys = () => {
    read.push(...many);
    return keys();
  };
  const protection: Protection = { ...reading('team/**'), digests };
  const kept = Array.from({ length: 1000 }, (_, n) => isKept(protection, `r${n}`, digest(n)));
  expect(kept.every(Boolean)).toBe(true);
  expect(read).toEqual([]);
  expect(protectionIn('r', protection).named().size).toBe(10_000);
});
