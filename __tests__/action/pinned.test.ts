import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

import { PinnedError, readPinned } from '../../src/action/pinned.js';
import type { Digest } from '../../src/oci/digest.js';

const digest = (n: number) => `sha256:${n.toString(16).padStart(64, '0')}` as Digest;
const sha512 = `sha512:${'0f'.repeat(64)}` as Digest;

let workspace: string;
const before = process.cwd();

beforeEach(() => {
  workspace = realpathSync(mkdtempSync(path.join(tmpdir(), 'pinned-')));
  process.chdir(workspace);
  // @actions/glob tells the debug log where it looks.
  jest.spyOn(process.stdout, 'write').mockReturnValue(true);
});

afterEach(() => {
  jest.restoreAllMocks();
  process.chdir(before);
  rmSync(workspace, { recursive: true, force: true });
});

function write(name: string, text: string | Buffer): void {
  mkdirSync(path.dirname(name), { recursive: true });
  writeFileSync(name, text);
}

/** Files that each hold a digest of their own, by their place in the list. */
function writeAll(...names: readonly string[]): void {
  names.forEach((name, n) => {
    write(name, `image: app@${digest(n)}\n`);
  });
}

async function filesOf(...patterns: readonly string[]): Promise<string[]> {
  return [...(await readPinned(patterns)).keys()];
}

async function digestsOf(text: string | Buffer): Promise<readonly Digest[]> {
  write('file', text);
  return (await readPinned(['file'])).get('file') ?? [];
}

async function refusal(...patterns: readonly string[]): Promise<string> {
  const error = await readPinned(patterns).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(PinnedError);
  return error instanceof Error ? error.message : '';
}

describe('the files of a glob', () => {
  it('are none without globs', async () => {
    expect(await readPinned([])).toEqual(new Map());
  });

  it('are named once, by their path in the workspace, in order', async () => {
    writeAll('b.yaml', 'a.yaml', 'deploy/c.yaml');
    expect(await readPinned(['*.yaml', 'b.yaml', 'deploy/*', '**/c.yaml'])).toEqual(
      new Map([
        ['a.yaml', [digest(1)]],
        ['b.yaml', [digest(0)]],
        ['deploy/c.yaml', [digest(2)]],
      ]),
    );
  });

  it.each([
    ['deploy/*.yaml', ['deploy/.hidden.yaml', 'deploy/a.yaml']],
    ['deploy/**/*.yaml', ['deploy/.hidden.yaml', 'deploy/a.yaml', 'deploy/prod/b.yaml']],
    ['deploy/?.yaml', ['deploy/a.yaml']],
    ['deploy/[!b].yaml', ['deploy/a.yaml']],
    ['**/Dockerfile*', ['Dockerfile', 'x/.y/Dockerfile.prod']],
    ['x', ['x/.y/Dockerfile.prod']],
    ['x/', ['x/.y/Dockerfile.prod']],
    ['./Dockerfile', ['Dockerfile']],
    ['a b.txt', ['a b.txt']],
  ])('include those that %s matches', async (pattern, expected) => {
    writeAll(
      'Dockerfile',
      'a b.txt',
      'deploy/.hidden.yaml',
      'deploy/a.yaml',
      'deploy/prod/b.yaml',
      'x/.y/Dockerfile.prod',
    );
    expect(await filesOf(pattern)).toEqual(expected);
  });

  it('may be outside the workspace, with an absolute path', async () => {
    write('a.yaml', digest(1));
    mkdirSync('inside');
    process.chdir('inside');
    expect(await filesOf(path.join(workspace, 'a.yaml'))).toEqual(['../a.yaml']);
  });

  it('exclude those behind a `!`', async () => {
    writeAll('a/1.yaml', 'a/tmp/2.yaml', 'b/3.yaml', 'b/tmp/4.yaml');
    expect(await filesOf('a/**', 'b/**', '!**/tmp/**')).toEqual(['a/1.yaml', 'b/3.yaml']);
    expect(await filesOf('a', '!a/tmp')).toEqual(['a/1.yaml']);
    expect(await filesOf('**/*.yaml', '!a', '! b/tmp')).toEqual(['b/3.yaml']);
  });

  it('include those that a later line includes again', async () => {
    writeAll('a/1.yaml', 'a/tmp/2.yaml', 'a/tmp/keep.yaml');
    expect(await filesOf('a/**', '!a/tmp/**', 'a/tmp/keep.yaml')).toEqual([
      'a/1.yaml',
      'a/tmp/keep.yaml',
    ]);
    expect(await filesOf('!a/tmp/**', 'a/**')).toHaveLength(3);
  });

  it('may be behind symbolic links, and are read once in a circle of them', async () => {
    writeAll('real/a.yaml');
    symlinkSync('real', 'linked');
    symlinkSync('a.yaml', 'real/b.yaml');
    symlinkSync('..', 'real/circle');
    expect(await filesOf('linked/*.yaml')).toEqual(['linked/a.yaml', 'linked/b.yaml']);
    const found = await readPinned(['real']);
    expect(found.get('real/b.yaml')).toEqual([digest(0)]);
    expect(found.get('real/a.yaml')).toEqual([digest(0)]);
  });

  it('exclude a broken link that the glob does not match', async () => {
    writeAll('a.yaml', 'deploy/b.yaml');
    symlinkSync('gone', 'link');
    symlinkSync('gone', 'deploy/link');
    expect(await filesOf('*.yaml', 'deploy/*.yaml')).toEqual(['a.yaml', 'deploy/b.yaml']);
  });
});

describe('protected-stays: a glob that protects nothing is an error', () => {
  it('names the glob, the directory, and what to do', async () => {
    writeAll('a.yaml');
    expect(await refusal('a.yaml', 'deploy/*.yaml')).toBe(
      `protect-files: "deploy/*.yaml" matches no file in ${workspace}, so nothing would be protected by it. Check ` +
        'the path, and that an earlier step, such as actions/checkout, put the files there [protect-files-unusable]',
    );
  });

  it('asks for one glob per line where it has commas', async () => {
    writeAll('a.yaml', 'b.yaml', 'c,d.yaml');
    expect(await refusal('a.yaml, b.yaml')).toMatch(
      /^protect-files: "a\.yaml, b\.yaml" matches no file in .* protected by it\. One glob per line: a comma is part of it\. Check/,
    );
    expect(await refusal('a.yaml', 'x')).not.toContain('One glob per line');
    expect(await filesOf('c,d.yaml')).toEqual(['c,d.yaml']);
  });

  it('names all such globs at once', async () => {
    writeAll('a.yaml');
    expect(await refusal('x/*', 'a.yaml', 'y')).toMatch(
      /^protect-files: "x\/\*", "y" match no file in .* protected by them\./,
    );
  });

  it.each<[string, readonly string[]]>([
    ['an empty directory', ['empty']],
    ['everything in an empty directory', ['empty/**']],
    ['all of it excluded', ['a.yaml', '!*.yaml']],
    ['another case', ['A.yaml']],
    ['braces, which these globs do not know', ['{a,b}.yaml']],
  ])('fails for %s', async (_, patterns) => {
    writeAll('a.yaml');
    mkdirSync('empty');
    expect(await refusal(...patterns)).toContain(`"${patterns[0] ?? ''}" matches no file`);
  });

  it('fails where all globs exclude', async () => {
    writeAll('a.yaml');
    expect(await refusal('!a.yaml', '!b')).toMatch(
      /^protect-files: !a\.yaml !b only excludes, so nothing would be protected\. Name the files/,
    );
  });

  it('fails for a glob with a file in place of a directory', async () => {
    writeAll('a.yaml');
    expect(await refusal('a.yaml/x')).toMatch(/"a\.yaml\/x" could not be matched, .*ENOTDIR/);
  });

  it('fails for a glob that is not valid', async () => {
    expect(await refusal('../secrets/*.yaml')).toMatch(
      /^protect-files: "\.\.\/secrets\/\*\.yaml" could not be matched, so what it protects is not known: .*'\.\.'/,
    );
  });
});

describe('the digests of a file', () => {
  it.each<[string, string]>([
    ['Kubernetes', `    image: registry.example.com/team/app:v1@${digest(1)}\n`],
    ['Compose', `services: {web: {image: "app@${digest(1)}"}}`],
    ['a Dockerfile', `FROM --platform=$BUILDPLATFORM app:1@${digest(1)} AS build\r\n`],
    ['Terraform', `image = "\${var.registry}/app@${digest(1)}"`],
    ['JSON', JSON.stringify({ digest: digest(1) })],
    ['a comment', `# ${digest(1)}, for now`],
    ['the last line without its end', `x\n${digest(1)}`],
    ['a file without other text', digest(1)],
    ['a word around it', `x${digest(1)}x`],
    ['a binary', `\u0000\u0001PNG${digest(1)}\u0000`],
  ])('are found in %s', async (_, text) => {
    expect(await digestsOf(text)).toEqual([digest(1)]);
  });

  it('are listed once each, those of sha512 too', async () => {
    expect(
      await digestsOf(`${digest(2)},${digest(1)} ${sha512}\n${digest(2)}${digest(1)}`),
    ).toEqual([digest(2), digest(1), sha512]);
  });

  it.each([
    '',
    'image: app:v1',
    'sha256:',
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'a'.repeat(65)}`,
    `sha256:${'A'.repeat(64)}`,
    `sha256-${'a'.repeat(64)}`,
    `sha512:${'a'.repeat(64)}`,
    `sha256:${'a'.repeat(32)}\n${'a'.repeat(32)}`,
    'a'.repeat(64),
  ])('are none, and the file is listed, with %j', async (text) => {
    write('file', text);
    expect(await readPinned(['file'])).toEqual(new Map([['file', []]]));
  });

  it.each<[string, Buffer]>([
    ['UTF-8 with a mark', Buffer.from(`\ufeffimage: ä ${digest(1)}`)],
    ['Latin 1', Buffer.from(`image: \u00e4${digest(1)}\u00fc`, 'latin1')],
    [
      'UTF-16, as Windows writes it',
      Buffer.from(`\ufeffbild: \u00e4€ app@${digest(1)}`, 'utf16le'),
    ],
    [
      'UTF-16, the other way round',
      Buffer.from(`\ufeffbild: \u00e4€ app@${digest(1)}`, 'utf16le').swap16(),
    ],
  ])('are found in %s', async (_, bytes) => {
    expect(await digestsOf(bytes)).toEqual([digest(1)]);
  });
});

describe('a file that is larger than what is read at once', () => {
  const PIECE = 64 * 1024;

  it.each([digest(1), sha512])('%s is found wherever a piece ends', async (pinned) => {
    for (let cut = 0; cut <= pinned.length + 1; cut += 1) {
      const text = `${' '.repeat(PIECE - cut)}${pinned} `;
      expect({ cut, found: await digestsOf(text) }).toEqual({ cut, found: [pinned] });
    }
  });

  it('has its digests found in two bytes a character, at an odd place', async () => {
    const text = Buffer.from(`${' '.repeat(PIECE / 2 - 30)}${digest(1)} `, 'utf16le');
    expect(await digestsOf(Buffer.concat([Buffer.from('x'), text]))).toEqual([digest(1)]);
  });

  it('is streamed without memory for the whole, and read to its end', async () => {
    const [file, size] = [openSync('huge.log', 'w'), 64 * 1024 * 1024];
    // Sparse: it takes no room on the disk, with a digest at either end.
    writeSync(file, digest(1), 0);
    writeSync(file, digest(2), size);
    closeSync(file);
    const start = process.memoryUsage().rss;
    expect([...(await readPinned(['huge.log'])).values()]).toEqual([[digest(1), digest(2)]]);
    expect(process.memoryUsage().rss - start).toBeLessThan(size);
  });

  it('has each of many digests once', async () => {
    const many = Array.from({ length: 5000 }, (_, n) => digest(n));
    expect(await digestsOf([...many, ...many].join('\n'))).toEqual(many);
  });
});

describe('protected-stays: a file that can not be read is an error', () => {
  it.each<[string, string, string, RegExp]>([
    ['a file', 'a/b.yaml', 'a/*', /protect-files: a file could not be read, .*EACCES.*b\.yaml/],
    ['a directory', 'a', 'a/**', /protect-files: "a\/\*\*" could not be matched, .*EACCES.*a/],
  ])('fails for %s', async (_, name, pattern, message) => {
    writeAll('a/a.yaml', 'a/b.yaml');
    chmodSync(name, 0o000);
    const told = await readPinned([pattern]).then(() => '', String);
    chmodSync(name, 0o700);
    // Root may read everything: then it is no mistake.
    expect(message.test(told)).toBe(process.getuid?.() !== 0);
  });

  it.each<[string, string, string]>([
    ['that is named', 'b.yaml', 'b.yaml'],
    ['beside a file that is there', '*.yaml', 'b.yaml'],
    ['that may have led to a directory with such files', 'deploy/**/*.yaml', 'deploy/prod'],
    ['in a directory that a link leads to', 'linked/*.yaml', 'linked/c.yaml'],
    ['that a `!` names: these globs look at it all the same', '*.yaml\n!b.yaml', 'b.yaml'],
  ])('fails for a link to nothing %s', async (_, patterns, link) => {
    writeAll('a.yaml', 'deploy/a.yaml', 'real/a.yaml');
    symlinkSync('gone.yaml', 'b.yaml');
    symlinkSync('../gone', 'deploy/prod');
    symlinkSync('gone.yaml', 'real/c.yaml');
    symlinkSync('real', 'linked');
    const told = await refusal(...patterns.split('\n'));
    expect(told).toMatch(/could not be matched, so what it protects is not known: .*broken/);
    expect(told).toContain(path.join(workspace, link));
  });

  it('fails for a link to itself', async () => {
    symlinkSync('loop', 'loop');
    expect(await refusal('loop')).toMatch(/"loop" could not be matched, .*ELOOP/);
  });

  it('fails for a file whose reading fails half-way', async () => {
    // The kernel refuses a read of its own memory map at an address that is not mapped.
    symlinkSync('/proc/self/mem', 'broken');
    expect(await refusal('broken')).toMatch(/^protect-files: a file could not be read, .*EIO/);
  });
});
