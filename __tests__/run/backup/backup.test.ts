import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import {
  BackupError,
  fileOf,
  INDEX,
  openBackup,
  type SavedManifest,
} from '../../../src/run/backup/backup.js';
import { readBackup } from '../../../src/run/backup/read.js';
import { digestOf, type Digest } from '../../../src/oci/digest.js';
import { image, type Content } from '../../support/builders/build.js';

const REGISTRY = 'https://registry.example:5000';
const NOW = Date.UTC(2026, 0, 1);
const home = mkdtempSync(path.join(tmpdir(), 'backup-'));
let directory: string;
let count = 0;

beforeEach(() => {
  count += 1;
  directory = path.join(home, String(count), 'deep', 'backup');
});

afterAll(() => {
  rmSync(home, { recursive: true });
});

function saved(
  { digest, mediaType, bytes }: Pick<Content, 'digest' | 'mediaType' | 'bytes'>,
  more: Partial<SavedManifest> = {},
): SavedManifest {
  const reason = { kind: 'unreachable' } as const;
  const where = { registry: REGISTRY, repository: 'team/app', tags: [], savedAt: NOW };
  return { ...where, digest, mediaType, bytes, reason, ...more };
}

function images(howMany: number, name = 'image'): SavedManifest[] {
  return Array.from({ length: howMany }, (_, n) => saved(image(`${name} ${String(n)}`)));
}

const lines = () => readFileSync(path.join(directory, INDEX), 'utf8').split('\n');
const files = () => readdirSync(path.join(directory, 'manifests', 'sha256')).sort();
const hex = (digest: Digest) => digest.slice('sha256:'.length);
const [one, two] = images(2) as [SavedManifest, SavedManifest];

describe('save', () => {
  it('makes the directory with the bytes under their digests, and the index', async () => {
    const backup = openBackup(directory);
    await backup.save([one, two]);
    expect(readdirSync(directory).sort()).toEqual([INDEX, 'manifests']);
    expect(files()).toEqual([one, two].map(({ digest }) => hex(digest)).sort());
    expect(readFileSync(fileOf(directory, one.digest))).toEqual(one.bytes);
    expect(lines()).toEqual([expect.stringContaining(one.digest), expect.any(String), '']);
    expect(backup.directory).toBe(directory);
  });

  it('keeps each algorithm apart', async () => {
    const bytes = one.bytes;
    const long = saved({ ...one, digest: digestOf(bytes, 'sha512') });
    await openBackup(directory).save([one, long]);
    expect(readdirSync(path.join(directory, 'manifests')).sort()).toEqual(['sha256', 'sha512']);
    expect(readFileSync(fileOf(directory, long.digest))).toEqual(bytes);
  });

  it('takes a path that is not absolute from where the run is', () => {
    expect(openBackup('some/where').directory).toBe(path.resolve('some/where'));
  });

  it('makes no directory while there is nothing to save', async () => {
    const backup = openBackup(directory);
    await backup.save([]);
    expect(existsSync(directory)).toBe(false);
    expect(backup.isUsed).toBe(false);
    await backup.save([one]);
    expect(backup.isUsed).toBe(true);
  });

  it('adds to a backup, also to that of another run', async () => {
    await openBackup(directory).save([one]);
    await openBackup(directory).save([two]);
    expect(files()).toHaveLength(2);
    expect(lines()).toHaveLength(3);
  });

  it('keeps a manifest of several repositories once, with a line for each', async () => {
    const backup = openBackup(directory);
    await Promise.all(['a', 'b', 'c'].map((repository) => backup.save([{ ...one, repository }])));
    expect(files()).toEqual([hex(one.digest)]);
    const { entries } = await readBackup(directory, REGISTRY);
    expect(entries.map(({ repository }) => repository).sort()).toEqual(['a', 'b', 'c']);
  });

  it('replaces a file that holds something else', async () => {
    const file = fileOf(directory, one.digest);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, one.bytes.subarray(0, 10));
    await openBackup(directory).save([one]);
    expect(readFileSync(file)).toEqual(one.bytes);
    expect(files()).toEqual([hex(one.digest)]);
  });

  it('begins a new line after half a line of a run that was killed', async () => {
    await openBackup(directory).save([one]);
    const index = path.join(directory, INDEX);
    const whole = readFileSync(index, 'utf8');
    writeFileSync(index, whole + whole.slice(0, 40));
    await openBackup(directory).save([two]);
    expect(lines()).toEqual([
      whole.trimEnd(),
      whole.slice(0, 40),
      expect.stringContaining(two.digest),
      '',
    ]);
    const { entries, cutOffLines } = await readBackup(directory, REGISTRY);
    expect(entries.map(({ digest }) => digest)).toEqual([one.digest, two.digest]);
    expect(cutOffLines).toBe(1);
  });

  it('tears no line when two processes run it at once', async () => {
    // Long enough that Node would write either in several pieces.
    const tags = Array.from({ length: 100 }, (_, n) => `${'tag'.repeat(40)}-${String(n)}`);
    const many = (name: string) => images(400, name).map((each) => ({ ...each, tags }));
    const [mine, theirs] = [many('mine'), many('theirs')];
    await Promise.all([openBackup(directory).save(mine), openBackup(directory).save(theirs)]);
    // Once more with all files in their place, so that the lines are written at the same time.
    for (let round = 0; round < 10; round += 1) {
      await Promise.all([openBackup(directory).save(mine), openBackup(directory).save(theirs)]);
    }
    const backup = await readBackup(directory, REGISTRY);
    expect(backup).toMatchObject({ cutOffLines: 0, unknownLines: 0 });
    expect(new Set(backup.entries.map(({ digest }) => digest))).toEqual(
      new Set([...mine, ...theirs].map(({ digest }) => digest)),
    );
    const bytes = await Promise.all(backup.entries.map(({ digest }) => backup.bytesOf(digest)));
    expect(bytes).not.toContain(undefined);
    expect(files()).toHaveLength(800);
  });
});

describe('a save that resolves', () => {
  /** Each path that was synced, in order, with its content or names at that moment. */
  const synced: { readonly where: string; readonly what: string }[] = [];
  const isSynced = new Set<string>();
  /** takes its time */
  let slow: string | undefined;
  let prototype: { sync: FileHandle['sync'] };
  let sync: FileHandle['sync'];

  beforeEach(async () => {
    synced.length = 0;
    isSynced.clear();
    slow = undefined;
    const handle = await open(home, 'r');
    prototype = Object.getPrototypeOf(handle) as typeof prototype;
    await handle.close();
    sync = prototype.sync;
    prototype.sync = async function (this: FileHandle) {
      const where = readlinkSync(`/proc/self/fd/${String(this.fd)}`);
      const what = lstatSync(where).isDirectory()
        ? readdirSync(where).sort().join()
        : readFileSync(where, 'utf8');
      synced.push({ where, what });
      await (where === slow ? sleep(30) : undefined);
      await sync.call(this);
      isSynced.add(where);
    };
  });

  afterEach(() => {
    prototype.sync = sync;
  });

  const inHome = (...names: readonly string[]) => path.join(home, String(count), ...names);
  const manifests = () => path.join(directory, 'manifests');

  it('has synced bytes, their names, the names of all new directories, and then the index', async () => {
    await openBackup(directory).save([one, two]);
    const names = [one, two].map(({ digest }) => hex(digest)).sort();
    const [made, written] = [synced.slice(0, 5), synced.slice(5, 7)];
    // Each new directory is a name in the one above it, from the first that was there before.
    expect(made.map(({ where, what }) => [where, what])).toEqual([
      [home, expect.stringMatching(new RegExp(`(^|,)${String(count)}(,|$)`))],
      [inHome(), 'deep'],
      [inHome('deep'), 'backup'],
      [directory, 'manifests'],
      [manifests(), 'sha256'],
    ]);
    // Under another name until the bytes are safe, so that a name is never that of half a manifest.
    expect(written.map(({ where }) => where.replace(/\.\w+\.tmp$/, '')).sort()).toEqual(
      names.map((name) => path.join(manifests(), 'sha256', name)),
    );
    expect(written.every(({ where }) => where.endsWith('.tmp'))).toBe(true);
    expect(new Set(written.map(({ what }) => what))).toEqual(
      new Set([one, two].map(({ bytes }) => bytes.toString())),
    );
    expect(synced.slice(7)).toEqual([
      { where: path.join(manifests(), 'sha256'), what: names.join() },
      { where: manifests(), what: 'sha256' },
      { where: path.join(directory, INDEX), what: lines().join('\n') },
      { where: directory, what: `${INDEX},manifests` },
    ]);
  });

  it('has synced the name of a file that was there already', async () => {
    await openBackup(directory).save([one]);
    synced.length = 0;
    await openBackup(directory).save([one]);
    expect(synced.map(({ where }) => where)).toEqual([
      path.join(manifests(), 'sha256'),
      manifests(),
      path.join(directory, INDEX),
      directory,
    ]);
  });

  it('has synced the directories that another save makes at the same time', async () => {
    const backup = openBackup(directory);
    slow = inHome('deep');
    const unsynced = await Promise.all(
      [one, two].map(async (each) => {
        await backup.save([each]);
        const needed = [home, inHome(), inHome('deep'), directory, manifests()];
        return needed.filter((where) => !isSynced.has(where));
      }),
    );
    expect(unsynced).toEqual([[], []]);
  });

  it('has synced all but the directories on Windows, which can not sync them', async () => {
    const platform = Object.getOwnPropertyDescriptor(process, 'platform');
    try {
      Object.defineProperty(process, 'platform', { ...platform, value: 'win32' });
      await openBackup(directory).save([one]);
    } finally {
      Object.defineProperty(process, 'platform', { ...platform });
    }
    expect(synced.map(({ where }) => where)).toEqual([
      expect.stringMatching(/\.tmp$/),
      path.join(directory, INDEX),
    ]);
  });
});

describe('a save that fails', () => {
  async function refused(directory: string, manifests: readonly SavedManifest[] = [one]) {
    const backup = openBackup(directory);
    const saving = backup.save(manifests);
    await expect(saving).rejects.toBeInstanceOf(BackupError);
    await expect(saving).rejects.toThrow(directory);
    await expect(saving).rejects.toThrow('`backup-dir`');
    expect(backup.isUsed).toBe(false);
    return saving.catch((error: unknown) => (error as Error).message);
  }

  it('says that the path is a file', async () => {
    const file = path.join(home, 'file');
    writeFileSync(file, 'mine');
    expect(await refused(file)).toContain('file" is a file, not a directory');
    expect(await refused(path.join(file, 'deeper'))).toContain('file" is a file, not a directory');
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  it('says that nothing can be made there', async () => {
    // Not even root can.
    expect(await refused('/sys/backup')).toMatch(/EACCES|EPERM|EROFS/);
  });

  it('leaves nothing behind where a directory is in the way of the file', async () => {
    const file = fileOf(directory, one.digest);
    mkdirSync(path.join(file, 'in the way'), { recursive: true });
    await refused(directory);
    expect(files()).toEqual([hex(one.digest)]);
    expect(existsSync(path.join(directory, INDEX))).toBe(false);
  });

  it('says that the index is a link, a device or a pipe, and follows and awaits none of them', async () => {
    const index = path.join(directory, INDEX);
    mkdirSync(directory, { recursive: true });
    symlinkSync('/dev/full', index);
    expect(await refused(directory)).toContain('it is a symbolic link');
    rmSync(index);
    execFileSync('mkfifo', [index]);
    expect(await refused(directory)).toContain('it is a named pipe, not a regular file');
  });

  it('says that a directory below it is a link, and writes nothing behind it', async () => {
    const elsewhere = path.join(home, 'elsewhere');
    mkdirSync(path.join(elsewhere, 'sha256'), { recursive: true });
    mkdirSync(directory, { recursive: true });
    symlinkSync(elsewhere, path.join(directory, 'manifests'));
    expect(await refused(directory)).toContain(
      '"manifests" in it can\'t be used: it is a symbolic link',
    );
    expect(readdirSync(path.join(elsewhere, 'sha256'))).toEqual([]);
  });

  it.each<[string, Partial<SavedManifest>]>([
    ['no bytes', { bytes: Buffer.alloc(0) }],
    ['other bytes', { bytes: two.bytes }],
    ['no type', { mediaType: '' }],
    ['a type that is none', { mediaType: 'text/html\r\nX-Evil: 1' }],
    ['a repository that is none', { repository: '../../..' }],
    ['a tag that is none', { tags: ['a b'] }],
  ])('refuses a manifest with %s, which could not be restored', async (_, more) => {
    const backup = openBackup(directory);
    const saving = backup.save([two, { ...one, ...more }]);
    await expect(saving).rejects.toBeInstanceOf(BackupError);
    await expect(saving).rejects.toThrow(one.digest);
    expect(existsSync(directory)).toBe(false);
    expect(backup.isUsed).toBe(false);
  });
});
