import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { makeDirectories } from '../../../src/run/files/directories.js';
import { openHandle, readRegular, streamRegular } from '../../../src/run/files/regular.js';
import { UnusablePath, whyNot } from '../../../src/run/files/why.js';

let home: string;
const at = (...names: string[]) => path.join(home, ...names);

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'files-'));
});

afterEach(() => {
  rmSync(home, { recursive: true });
});

describe('readRegular', () => {
  it('reads a file up to the size that it may have', () => {
    writeFileSync(at('file'), 'x'.repeat(10_000));
    symlinkSync('file', at('link'));
    for (const name of ['file', 'link']) {
      expect(readRegular(at(name), 10_000)).toHaveLength(10_000);
      expect(() => readRegular(at(name), 9_999)).toThrow('it has more than 9.76 KiB');
    }
    expect(() => readRegular(at('link'), 10_000, { followsLinks: false })).toThrow(
      'it is a symbolic link, and links are not followed there',
    );
    writeFileSync(at('empty'), '');
    expect(readRegular(at('empty'), 0)).toHaveLength(0);
  });

  it('reads the files of /proc, whose size says 0, up to the size that they may have', () => {
    expect(readRegular('/proc/self/status', 1_000_000).toString()).toContain('Name:');
    expect(() => readRegular('/proc/self/status', 100)).toThrow('it has more than 100 B');
  });
});

describe('readRegular and streamRegular', () => {
  it.each([
    ['a directory', () => home, 'it is a directory'],
    ['a device', () => '/dev/null', 'it is a device, not a regular file'],
    ['a socket', () => at('socket'), 'it is a socket, not a regular file'],
  ])('refuse %s', async (_, where, why) => {
    const server = createServer().listen(at('socket'));
    try {
      await once(server, 'listening');
      expect(() => readRegular(where(), 10)).toThrow(why);
      await expect(streamRegular(where(), {}).next()).rejects.toThrow(why);
    } finally {
      server.close();
    }
  });
});

describe('streamRegular', () => {
  it('ends where the file ended when it was opened', async () => {
    writeFileSync(at('log'), 'x'.repeat(1000));
    let length = 0;
    for await (const piece of streamRegular(at('log'), { highWaterMark: 100 })) {
      length += piece.length;
      appendFileSync(at('log'), 'x'.repeat(200));
    }
    expect(length).toBe(1000);
  });
});

describe('openHandle', () => {
  it('follows no link and waits for no pipe', async () => {
    writeFileSync(at('file'), '');
    symlinkSync('file', at('link'));
    execFileSync('mkfifo', [at('pipe')]);
    for (const name of ['link', 'pipe']) {
      await expect(openHandle(at(name), 0)).rejects.toBeInstanceOf(UnusablePath);
    }
    const handle = await openHandle(at('file'), 0);
    await handle.close();
  });
});

describe('makeDirectories', () => {
  it('returns those that had to be made', () => {
    expect(makeDirectories(at('a', 'b'))).toEqual([at('a'), at('a', 'b')]);
    expect(makeDirectories(at('a', 'b', 'c'))).toEqual([at('a', 'b', 'c')]);
    expect(makeDirectories(at('a', 'b', 'c'))).toEqual([]);
    mkdirSync(at('real'));
    symlinkSync('real', at('link'));
    expect(makeDirectories(at('link', 'd'))).toEqual([at('link', 'd')]);
  });

  it('takes what another process makes at the same time', async () => {
    const names = Array.from({ length: 20 }, (_, n) => String(n));
    const round = new Int32Array(new SharedArrayBuffer(4));
    const rival = new Worker(
      `const { workerData: { round, home, names } } = require('node:worker_threads');
      const { mkdirSync } = require('node:fs');
      for (let n = 1; n <= 100; n += 1) {
        while (Atomics.load(round, 0) < n);
        let at = home + '/round-' + n;
        for (const name of ['', ...names]) {
          at += name && '/' + name;
          try { mkdirSync(at); } catch {}
        }
      }`,
      { eval: true, workerData: { round, home, names } },
    );
    await once(rival, 'online');
    for (let n = 1; n <= 100; n += 1) {
      Atomics.store(round, 0, n);
      const deepest = at(`round-${String(n)}`, ...names);
      const made = makeDirectories(deepest);
      expect(made).toEqual([...made].sort((one, other) => one.length - other.length));
      expect(makeDirectories(deepest)).toEqual([]);
    }
    await once(rival, 'exit');
  });

  it('throws where nothing can be made, and says why', () => {
    writeFileSync(at('file'), '');
    symlinkSync('nowhere', at('dangling'));
    symlinkSync('circle', at('circle'));
    for (const [where, why] of [
      [at('file', 'x', 'y'), `"${at('file')}" is a file, not a directory`],
      [at('dangling', 'x'), `the directory "${at('dangling')}" can't be made: `],
      [at('circle', 'x'), 'lead in a circle'],
      ['/proc/nope/x', 'the directory "/proc/nope" can\'t be made: '],
      ['/proc/self/fd/99/x', "can't be made: "],
      [at('x'.repeat(300), 'y'), 'its name is too long'],
    ] as const) {
      expect(() => makeDirectories(where)).toThrow(why);
    }
  });
});

describe('whyNot', () => {
  const error = (code: string) => Object.assign(new Error('x'), { code });
  it.each([
    ['EISDIR', 'it is a directory'],
    ['EROFS', 'the file system is read-only'],
    ['EACCES', 'the user that runs this job may not do that (EACCES)'],
    ['ENOSPC', 'there is no space left (ENOSPC)'],
    ['EIO', "it can't be used (EIO)"],
    ['', "it can't be used"],
  ])('words the code %j as: %s', (code, why) => {
    expect(whyNot(error(code))).toBe(why);
  });

  it('says only that it can not be used where there is no code', () => {
    expect(whyNot(undefined)).toBe("it can't be used");
  });
});
