import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import {
  BackupError,
  fileOf,
  INDEX,
  openBackup,
  type SavedManifest,
} from '../../../src/run/backup/backup.js';
import { MOST_MANIFESTS, readBackup } from '../../../src/run/backup/read.js';
import { digestOf } from '../../../src/oci/digest.js';
import { image, type Content } from '../../support/builders/build.js';

const REGISTRY = 'https://registry.example:5000';
const NOW = Date.UTC(2026, 0, 1);
const [first, second] = [image('first'), image('second')];
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'backup-read-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function save({ digest, mediaType, bytes }: Content, more: Partial<SavedManifest> = {}) {
  const reason = { kind: 'unreachable' } as const;
  const where = { registry: REGISTRY, repository: 'team/app', tags: [], savedAt: NOW };
  return openBackup(directory).save([{ ...where, digest, mediaType, bytes, reason, ...more }]);
}

const read = () => readBackup(directory, REGISTRY);

it('a manifest that was saved twice has the id of its last line', async () => {
  await save(first, { id: '1' });
  await save(first, { id: '2' });
  await save(second);
  const { entries } = await read();
  expect(entries.map(({ digest, id }) => [digest, id])).toEqual([
    [first.digest, '2'],
    [second.digest, undefined],
  ]);
});

describe('a tag that several manifests had', () => {
  const [older, newer] = [first, second];
  const tagsOf = async () =>
    new Map(
      (await read()).entries.map(({ digest, tags, formerTags }) => [digest, [tags, formerTags]]),
    );

  it.each<[string, Partial<SavedManifest>, Partial<SavedManifest>]>([
    ['was in use last', { unusedSince: 1 }, { unusedSince: 2 }],
    ['was in use at all, as far as anybody knows', {}, { unusedSince: 2 }],
    ['was saved last', { unusedSince: 2 }, { savedAt: NOW + 1 }],
  ])('is a former tag of the one that %s', async (_, less, more) => {
    await save(newer, { formerTags: ['v1'], ...more });
    await save(older, { formerTags: ['v0', 'v1'], ...less });
    expect(await tagsOf()).toEqual(
      new Map([
        [older.digest, [[], ['v0']]],
        [newer.digest, [[], ['v1']]],
      ]),
    );
  });

  it('belongs to the one that had it when it was saved', async () => {
    await save(older, { tags: ['v1'] });
    await save(newer, { formerTags: ['v1'], savedAt: NOW + 1, unusedSince: NOW });
    expect(await tagsOf()).toEqual(
      new Map([
        [older.digest, [['v1'], undefined]],
        [newer.digest, [[], undefined]],
      ]),
    );
  });

  it('is one of a thousand that a line has at most', async () => {
    const formerTags = Array.from({ length: 1500 }, (_, n) => `v${String(n).padStart(4, '0')}`);
    await save(first, { formerTags });
    expect((await read()).entries[0]?.formerTags).toEqual(formerTags.slice(0, 1000));
  });
});

describe('a backup', () => {
  it('is read as it was saved', async () => {
    await save(first, { tags: ['v1'] });
    await save(second, { repository: 'team/other' });
    const backup = await read();
    const { mediaType } = first;
    const common = { registry: REGISTRY, mediaType, savedAt: NOW };
    expect(backup.entries).toEqual([
      { ...common, repository: 'team/app', digest: first.digest, tags: ['v1'] },
      { ...common, repository: 'team/other', digest: second.digest, tags: [] },
    ]);
    expect(backup).toMatchObject({ cutOffLines: 0, unknownLines: 0, elsewhere: 0 });
    expect(await backup.bytesOf(first.digest)).toEqual(first.bytes);
  });

  it('is read from a path that is not absolute', async () => {
    await save(first);
    const { entries } = await readBackup(path.relative(process.cwd(), directory), REGISTRY);
    expect(entries).toHaveLength(1);
  });

  it('names a manifest that was saved several times once, with all its tags', async () => {
    await save(first, { tags: ['b', 'a'] });
    await save(first, { tags: ['c', 'a'], savedAt: NOW + 1 });
    await save(first, { repository: 'team/other', tags: ['d'] });
    const { entries } = await read();
    expect(entries.map(({ repository, tags, savedAt }) => [repository, tags, savedAt])).toEqual([
      ['team/app', ['a', 'b', 'c'], NOW + 1],
      ['team/other', ['d'], NOW],
    ]);
  });

  it.each([
    ['was written last', NOW, NOW, second],
    ['was saved last', NOW + 1, NOW, first],
  ])('gives a tag that two had to the one that %s', async (_, one, two, owner) => {
    await save(first, { tags: ['moved', 'first'], savedAt: one });
    await save(second, { tags: ['moved', 'second'], savedAt: two });
    // Of another repository: a tag of its own.
    await save(second, { repository: 'team/other', tags: ['moved'], savedAt: NOW + 9 });
    const { entries } = await read();
    const tagsOf = ({ digest }: Content) =>
      entries.find((entry) => entry.digest === digest && entry.repository === 'team/app')?.tags;
    expect(tagsOf(first)).toEqual(owner === first ? ['first', 'moved'] : ['first']);
    expect(tagsOf(second)).toEqual(owner === second ? ['moved', 'second'] : ['second']);
    expect(entries.at(-1)?.tags).toEqual(['moved']);
  });

  it('leaves out what is of another registry, and counts it', async () => {
    await save(first);
    await save(second, { registry: 'https://other.example' });
    await save(second, { registry: 'http://registry.example:5000' });
    const { entries, ...counted } = await read();
    expect(entries.map(({ digest }) => digest)).toEqual([first.digest]);
    expect(counted).toMatchObject({ cutOffLines: 0, unknownLines: 0, elsewhere: 2 });
  });

  it('lacks only the line that was cut off when its run was killed', async () => {
    await save(first);
    await save(second);
    const index = path.join(directory, INDEX);
    truncateSync(index, readFileSync(index).length - 30);
    const { entries, ...counted } = await read();
    expect(entries.map(({ digest }) => digest)).toEqual([first.digest]);
    expect(counted).toMatchObject({ cutOffLines: 1, unknownLines: 0 });
  });

  it('tells lines that are whole and not understood from those that were cut off', async () => {
    await save(first);
    const index = path.join(directory, INDEX);
    const line = readFileSync(index, 'utf8').trimEnd();
    const later = JSON.stringify({ ...(JSON.parse(line) as object), version: 2 });
    appendFileSync(index, `${later}\n${line.slice(0, 40)}\n{}\n`);
    const { entries, ...counted } = await read();
    expect(entries.map(({ digest }) => digest)).toEqual([first.digest]);
    expect(counted).toMatchObject({ cutOffLines: 1, unknownLines: 2, elsewhere: 0 });
  });

  it('counts no empty line', async () => {
    await save(first);
    appendFileSync(path.join(directory, INDEX), '\n  \n\n');
    const counted = { cutOffLines: 0, unknownLines: 0 };
    expect(await read()).toMatchObject({ ...counted, entries: [expect.anything()] });
  });

  it.each(['sha256', 'sha512'] as const)('checks the bytes against their %s', async (algorithm) => {
    const digest = digestOf(first.bytes, algorithm);
    await save({ ...first, digest });
    const backup = await read();
    expect(await backup.bytesOf(digest)).toEqual(first.bytes);
    const file = fileOf(directory, digest);
    const damaged = readFileSync(file);
    damaged[3] = (damaged[3] ?? 0) ^ 1;
    writeFileSync(file, damaged);
    expect(await backup.bytesOf(digest)).toBeUndefined();
    truncateSync(file, 10);
    expect(await backup.bytesOf(digest)).toBeUndefined();
    rmSync(file);
    expect(await backup.bytesOf(digest)).toBeUndefined();
    mkdirSync(file);
    expect(await backup.bytesOf(digest)).toBeUndefined();
  });

  it('is missing: an error says what to give', async () => {
    for (const where of [directory, path.join(directory, 'missing')]) {
      const reading = readBackup(where, REGISTRY);
      await expect(reading).rejects.toBeInstanceOf(BackupError);
      await expect(reading).rejects.toThrow(
        /there is no backup.*ENOENT.*`restore-from`.*index\.jsonl/,
      );
    }
  });

  it('has nothing when its index is empty', async () => {
    writeFileSync(path.join(directory, INDEX), '');
    expect((await read()).entries).toEqual([]);
  });
});

describe('a backup that somebody else made', () => {
  const index = () => path.join(directory, INDEX);
  const elsewhere = () => path.join(directory, 'elsewhere');
  const refused = async () =>
    read().then(
      () => '',
      (error: unknown) => (error instanceof BackupError ? error.message : String(error)),
    );
  /** A line as it was saved, with something else in it. */
  const line = (more: object) => {
    const [first_ = ''] = readFileSync(index(), 'utf8').split('\n');
    return `${JSON.stringify({ ...(JSON.parse(first_) as object), ...more })}\n`;
  };

  beforeEach(() => save(first, { tags: ['v1'] }));

  it('is read through no link below it, though it may be one itself', async () => {
    const link = path.join(directory, 'link');
    symlinkSync(directory, link);
    expect((await readBackup(link, REGISTRY)).entries).toHaveLength(1);

    const file = fileOf(directory, first.digest);
    for (const inTheWay of [file, path.dirname(file), path.join(directory, 'manifests')]) {
      renameSync(inTheWay, elsewhere());
      symlinkSync(elsewhere(), inTheWay);
      const backup = await read();
      expect(await backup.bytesOf(first.digest)).toBeUndefined();
      expect([...backup.refused]).toEqual([
        [
          first.digest,
          expect.stringMatching(/it is a symbolic link, and links are not followed there$/),
        ],
      ]);
      rmSync(inTheWay);
      renameSync(elsewhere(), inTheWay);
    }
    const backup = await read();
    expect(await backup.bytesOf(first.digest)).toEqual(first.bytes);
    expect(backup.refused.size).toBe(0);

    renameSync(index(), elsewhere());
    symlinkSync(elsewhere(), index());
    expect(await refused()).toMatch(
      /no backup to restore from: index\.jsonl: it is a symbolic link/,
    );
  });

  it('waits for no pipe and reads no device and no directory', async () => {
    const file = fileOf(directory, first.digest);
    rmSync(file);
    execFileSync('mkfifo', [file]);
    const backup = await read();
    expect(await backup.bytesOf(first.digest)).toBeUndefined();
    expect(backup.refused.get(first.digest)).toBe('it is a named pipe, not a regular file');
    rmSync(path.dirname(file), { recursive: true });
    writeFileSync(path.dirname(file), '');
    expect(await backup.bytesOf(first.digest)).toBeUndefined();
    expect(backup.refused.get(first.digest)).toMatch(
      /sha256" in it can't be used: it is a file, not/,
    );
    rmSync(index());
    execFileSync('mkfifo', [index()]);
    expect(await refused()).toContain('it is a named pipe, not a regular file');
    rmSync(index());
    mkdirSync(index());
    expect(await refused()).toContain('it is a directory');
  });

  it('has manifests and an index of a size that they may have', async () => {
    const file = fileOf(directory, first.digest);
    truncateSync(file, 4 * 1024 * 1024 + 1);
    const backup = await read();
    expect(await backup.bytesOf(first.digest)).toBeUndefined();
    expect(backup.refused.get(first.digest)).toBe('it has more than 4 MiB');
    truncateSync(index(), 1024 ** 3 + 1);
    expect(await refused()).toContain('index.jsonl: it has more than 1 GiB');
  });

  it('keeps the other lines of one that is too long or not possible', async () => {
    const lines = [
      line({ tags: Array.from({ length: 200_000 }, (_, n) => `t${String(n)}`) }),
      line({ mediaType: `a/${'b'.repeat(300)}` }),
      line({ savedAt: '2026-02-31T99:00:00.000Z' }),
      line({ tags: [{}, {}] }),
      `{"__proto__":${line({}).trim()}}\n`,
      `${'['.repeat(100_000)}${']'.repeat(100_000)}\n`,
    ];
    appendFileSync(index(), lines.join(''));
    await save(second);
    const backup = await read();
    expect(backup.entries.map(({ digest, tags }) => [digest, tags])).toEqual([
      [first.digest, ['v1']],
      [second.digest, []],
    ]);
    expect(backup).toMatchObject({ unknownLines: lines.length, cutOffLines: 0 });
  });

  it('names one manifest however often, in time that grows with the lines alone', async () => {
    const lines = Array.from({ length: 20_000 }, (_, n) => line({ tags: [`t${String(n)}`] }));
    appendFileSync(index(), lines.join(''));
    const { entries } = await read();
    expect(entries.map(({ tags }) => tags.length)).toEqual([20_001]);
  });

  it('is refused as a whole when it has too many tags: which line counts is not known', async () => {
    const tags = (n: number) =>
      Array.from({ length: 50_000 }, (_, m) => `t${String(n)}-${String(m)}`);
    for (let n = 0; n < 11; n += 1) {
      appendFileSync(index(), line({ tags: tags(n) }));
    }
    expect(await refused()).toBe(
      `the backup is too large to restore from: its index.jsonl names more than ${MOST_MANIFESTS.toLocaleString('en')} ` +
        'manifests or tags of this registry. Use the backup as the run left it, or a part of its lines at a time [backup-unusable]',
    );
  });
});
