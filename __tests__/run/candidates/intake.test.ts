import { spawnSync } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { IntakeError, type Intake } from '../../../src/run/candidates/candidate.js';
import { readIntake } from '../../../src/run/candidates/intake.js';
import { isDigest } from '../../../src/oci/digest.js';
import { OCI_MANIFEST } from '../../../src/oci/media-types.js';
import { isRepository } from '../../../src/oci/reference.js';
import { digest, named } from '../../support/builders/candidates.js';

const HOST = 'registry.example:5000';
const FIXTURES = join(import.meta.dirname, 'fixtures');
const A = digest('a');
const HEX = 'a'.repeat(64);
const V2 = 'docker/registry/v2';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'intake-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true });
});

function fromText(digests: string): Promise<Intake> {
  return readIntake({ digests, files: [], registryHost: HOST });
}

function fromFixtures(...names: string[]): Promise<Intake> {
  const files = names.map((name) => join(FIXTURES, name));
  return readIntake({ digests: '', files, registryHost: HOST });
}

/**
 * What one Distribution registry held when the fixtures were captured. Each tag `v1` and `latest` of the
 * two teams was pushed twice; `multi` is an index with two children.
 */
const HELD = [
  'clean@sha256:6d86be438f0b2e676f39cc58b42acb45e31d070cb3fb6372e467f55d1015c013',
  'multi@sha256:2967b16c2f6c91309574a0651ad909650e47c149c68deae92196643dbd032c11',
  'multi@sha256:2ff2da8a6dc735e3b3080c6107e08a042940d1ab02b107862eb7be057a87f5d4',
  'multi@sha256:547c6ae7b47ebbb2a00f8441d099b3e82abdb6312ad30232bf1ee0d1193ca022',
  'team/app@sha256:4b82cbc2a916c2cf9a1ef8ada39f4ec6624f3dafcc7009188c4fca6797b58358',
  'team/app@sha256:cd49b4efff0af05d3391b0d47c6bbcf85d6781e0922b56bf0c80a07a638fcec7',
  'team/app@sha256:cf24724e1177a1aaf7c2ce16db1e4c4ec1a22a18be3784a16197b301c9782960',
  'team/repositories/web@sha256:38dd3159d559d5232742141968b633dc4f52a44821ee2a7653b10f1864ac1c27',
  'team/repositories/web@sha256:ddb7488064d0e6b2cc312af7f5f08c701afe2cec600c0ff66ae6a6002e0d5218',
];
/** Pushed and deleted again, which leaves the directory of its revision. */
const GONE = 'multi@sha256:6598ab6d388d4a638f252f24edae180cf51ab1a76afc25e85997239db476acfa';
/** Distribution 3 keeps an index's children, so its collector names neither of them. */
const HELD_BUT_CHILDREN = HELD.filter((name) => !/^multi@sha256:(?:2ff2|547c)/.test(name));

describe('output of Distribution itself', () => {
  it.each([
    ['find-2.8.2.txt', [...HELD, GONE].sort(), 223],
    ['gc-2.8.2.txt', HELD, 37],
    ['gc-3.1.1.txt', HELD_BUT_CHILDREN, 41],
    ['notifications-2.8.2.txt', [...HELD, GONE].sort(), 15],
    ['notifications-3.1.1.txt', [...HELD, GONE].sort(), 15],
  ])('is read from %s', async (file, expected, understood) => {
    const intake = await fromFixtures(file);
    expect(named(intake)).toEqual(expected);
    expect(intake).toMatchObject({ understood, notUnderstood: 0, examples: [] });
  });

  it('is read from the log of a collection that was not a dry-run', async () => {
    const intake = await fromFixtures('gc-log-2.8.2.txt');
    expect(named(intake)).toEqual(
      HELD.filter((name) => /sha256:(?:2ff2|547c|cd49|ddb7)/.test(name)),
    );
    expect(intake).toMatchObject({ understood: 19, notUnderstood: 0 });
  });

  it('is read from several files, one after the other', async () => {
    const intake = await fromFixtures('find-2.8.2.txt', 'notifications-2.8.2.txt', 'gc-2.8.2.txt');
    expect(named(intake)).toEqual([...HELD, GONE].sort());
    expect(intake.understood).toBe(223 + 15 + 37);
  });
});

describe('lines that need their neighbours', () => {
  it('the collector’s heading names the repository of what follows', async () => {
    const intake = await fromText(
      `empty\none\nmanifest eligible for deletion: ${A}\ntime="x" level=info msg=x\ntwo\n` +
        `manifest eligible for deletion: ${A}\n\n1 blobs marked, 0 blobs and 2 manifests eligible for deletion`,
    );
    expect(named(intake)).toEqual([`one@${A}`, `two@${A}`]);
    expect(intake).toMatchObject({ understood: 7, notUnderstood: 0 });
  });

  it('a manifest without a heading before it is not understood', async () => {
    const intake = await fromText(`manifest eligible for deletion: ${A}`);
    expect(named(intake)).toEqual([]);
    expect(intake.examples[0]?.text).toContain('no line before it names the repository');
  });

  it('a heading ends with its source', async () => {
    const file = join(directory, 'anew.txt');
    await writeFile(file, `manifest eligible for deletion: ${A}\n`);
    const intake = await readIntake({ digests: 'team/app', files: [file], registryHost: HOST });
    expect(named(intake)).toEqual([]);
    expect(intake.notUnderstood).toBe(2);
  });

  it('a single word is understood only above what is known', async () => {
    const intake = await fromText(`data/\ndata/docker\ndata/${V2}\nhello\nteam/app@${A}\nbye`);
    expect(intake.understood).toBe(4);
    expect(intake.examples.map(({ text }) => text)).toEqual(['hello', 'bye']);
  });

  it('`ls -lR` prints entries below the path of their directory', async () => {
    const row = 'r--r-- 1 root root 71 Nov 23 09:05';
    const revisions = `./${V2}/repositories/app/_manifests/revisions`;
    const layers = `./${V2}/repositories/app/_layers/sha256`;
    const intake = await fromText(
      [
        ...['.:', 'total 4', `drwx${row} docker`, ''],
        ...[`${revisions}/sha256:`, 'total 4', `drwx${row} ${HEX}`, ''],
        ...[`${layers}/${'b'.repeat(64)}:`, 'total 4', `-rw-${row} link`, ''],
        ...[`${layers}:`, '# a comment', `drwx${row} ${'b'.repeat(64)}`],
      ].join('\n'),
    );
    expect(named(intake)).toEqual([`app@${A}`]);
    expect(intake.examples).toEqual([]);
  });

  it('a list of events and envelopes is read element by element', async () => {
    const event = (digest: string) => ({ action: 'push', target: { repository: 'app', digest } });
    const list = [{ events: [event(A)] }, event(digest('b')), event('sha256:short')];
    const intake = await fromText(JSON.stringify(list));
    expect(named(intake)).toEqual([`app@${A}`, `app@${digest('b')}`]);
    expect(intake).toMatchObject({ understood: 2, notUnderstood: 1 });
    expect(intake.examples[0]?.text).toMatch(/an event without a valid repository or digest\)$/);
  });

  it('JSON may have a log’s words in front', async () => {
    const event = JSON.stringify({ action: 'push', target: { repository: 'app', digest: A } });
    const intake = await fromText(`Nov 23 hook[1]: ${event}\n2026-11-23T09:05:19Z ${event}`);
    expect(named(intake)).toEqual([`app@${A}`]);
    expect(intake.understood).toBe(2);
  });
});

describe('a line that is not understood', () => {
  it('is counted, and the first five are shown with their place', async () => {
    const file = join(directory, 'odd.txt');
    await writeFile(file, `# odd\nfour 4\n{"five": 5}\nsix 6\n`);
    const digests = 'one 1\n\ntwo 2\n{"a": 1}\n';
    const intake = await readIntake({ digests, files: [file], registryHost: HOST });
    expect(intake).toMatchObject({ understood: 0, notUnderstood: 6 });
    expect(intake.examples).toEqual([
      { where: 'digests line 1', text: 'one 1' },
      { where: 'digests line 3', text: 'two 2' },
      { where: 'digests line 4', text: '{"a": 1}' },
      { where: `${file}:2`, text: 'four 4' },
      { where: `${file}:3`, text: '{"five": 5}' },
    ]);
  });

  it('is cut where a line is longer than 1 MiB', async () => {
    const intake = await fromText(`${'x'.repeat(1024 * 1024 + 1)}\napp@${A}`);
    expect(intake).toMatchObject({ understood: 1, notUnderstood: 1 });
    expect(intake.examples[0]?.text).toMatch(/^x+… \(too long\)$/);
  });

  it('is a word that more than ten thousand words follow', async () => {
    const words = Array.from({ length: 10_001 }, (_, n) => `dir-${n}`);
    const paths = `dir-0/${V2}\ndir-10000/${V2}`;
    const intake = await fromText([...words, paths].join('\n'));
    expect(intake).toMatchObject({ understood: 2, notUnderstood: 10_001 });
    const last = await fromText([...words, ...paths.split('\n').reverse()].join('\n'));
    expect(last).toMatchObject({ understood: 3, notUnderstood: 10_000 });
  });

  it('says why a reference is not taken', async () => {
    const intake = await fromText(`other.example/app@${A}\nhttps://x.example/app@${A}`);
    expect(intake.examples.map(({ text }) => text)).toEqual([
      expect.stringMatching(
        /^other\.example\/app@sha256:a+… \(another registry; if not, put registry/,
      ),
      `https://x.example/app@${A} (another registry)`,
    ]);
  });

  it.each([
    ['::set-output name=x::1', ': :set-output name=x: :1'],
    ['  ::error::x y', ': :error: :x y'],
    ['x ##[error]y', 'x ## [error]y'],
    ['\u001b[31mred\u001b[0m x', '\uFFFD[31mred\uFFFD[0m x'],
    ['a\u202Eb\u0000c d', 'a\uFFFDb\uFFFDc d'],
    ['see https://user:secret@host/x', 'see https://***@host/x'],
    ['x '.repeat(100), `${'x '.repeat(59)}x…`],
    [`${'x'.repeat(118)}😀 y`, `${'x'.repeat(118)}😀…`],
  ])('%j is safe to print', async (line, text) => {
    const intake = await fromText(line);
    expect(intake.examples).toEqual([{ where: 'digests line 1', text }]);
  });
});

describe('the caller of readIntake', () => {
  async function told(digests: string, ...texts: string[]) {
    const files = texts.map((_, n) => join(directory, `told-${n}.txt`));
    await Promise.all(files.map((file, n) => writeFile(file, texts[n] ?? '')));
    const mistakes: string[] = [];
    const warnings: string[] = [];
    await readIntake({
      ...{ digests, files, registryHost: HOST },
      mistake: (message) => mistakes.push(message),
      warning: (message) => warnings.push(message),
    });
    return { mistakes, warnings };
  }

  it('is told of each line of `digests` that is not understood, as a mistake', async () => {
    expect(await told(`app@${A}\none 1\ntwo 2`)).toEqual({
      mistakes: [
        expect.stringMatching(
          /^digests: 2 lines are not understood: digests line 2: "one 1"; digests line 3: "two 2"\. Correct/,
        ),
      ],
      warnings: [],
    });
  });

  it('is told of a file without a line that is understood, as a mistake with five examples', async () => {
    expect(await told('', 'not so\n'.repeat(7), `app@${A}`, '')).toEqual({
      mistakes: [
        expect.stringMatching(/is understood, of 7: (?:.*?"not so"){5} and 2 more\. Is it/),
      ],
      warnings: [],
    });
  });

  it('is warned of a file with some lines that are not understood', async () => {
    expect(await told('', `app@${A}\nnot so`)).toEqual({
      mistakes: [],
      warnings: [
        expect.stringMatching(
          /^digests-file: 1 line is not understood of the 2 in ".*told-0\.txt", and skipped: .*told-0\.txt:2: "not so"/,
        ),
      ],
    });
  });
});

describe('files', () => {
  it('may have a byte order mark and lines that end as on Windows', async () => {
    const file = join(directory, 'windows.txt');
    await writeFile(file, `\uFEFFapp@${A}\r\n\r\n# comment\r\nteam/app@${A}\r\n`);
    const intake = await readIntake({ digests: '', files: [file, file], registryHost: HOST });
    expect(named(intake)).toEqual([`app@${A}`, `team/app@${A}`]);
    expect(intake).toMatchObject({ understood: 2, notUnderstood: 0 });
  });

  it('are named in one message if they can’t be read', async () => {
    const missing = join(directory, 'missing.txt');
    const reading = readIntake({ digests: '', files: [missing, directory], registryHost: HOST });
    await expect(reading).rejects.toThrow(IntakeError);
    await expect(reading).rejects.toThrow(
      `digests-file: "${missing}" does not exist: check the path, which is relative to the working ` +
        `directory, and that an earlier step wrote the file; "${directory}" can't be read: it is a directory. Give a regular file`,
    );
  });
});

describe('an input', () => {
  const repository = fc.constantFrom('app', 'team/app', 'a/b/c/d', 'team/repositories/web', 'x--y');
  const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
  const valid = fc.tuple(repository, hex).chain(([name, digits]) => {
    const one = `sha256:${digits}`;
    const event = {
      action: 'push',
      target: { mediaType: OCI_MANIFEST, repository: name, digest: one },
    };
    return fc.record({
      name: fc.constant(`${name}@${one}`),
      text: fc.constantFrom(
        ...[`${name}@${one}`, `${name}:v1@${one}`, `https://${HOST}/${name}@${one}`],
        `/x/${V2}/repositories/${name}/_manifests/revisions/sha256/${digits}/link`,
        `${V2}/repositories/${name}/_manifests/tags/v1/index/sha256/${digits}/link`,
        ...[JSON.stringify({ events: [event] }), JSON.stringify([event], null, 2)],
        `${name}: marking manifest ${one} `,
        `${name}\nmanifest eligible for deletion: ${one}`,
        `manifest eligible for deletion: {${name} ${one} [v1]}`,
      ),
    });
  });
  const silent = fc.constantFrom(
    ...['', '# comment', 'not understood', '{"a":1}', '{ oops', '[x] y', '}', '{1}', `blob ${A}`],
    `blob eligible for deletion: ${A}`,
    `${V2}/repositories/app/_layers/sha256/${HEX}/link`,
    `app: marking blob ${A}`,
  );

  it('with valid lines in any mix and order names exactly their manifests', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            valid,
            silent.map((text) => ({ name: undefined, text })),
          ),
        ),
        fc.constantFrom('\n', '\r\n'),
        async (lines, end) => {
          const intake = await fromText(
            lines
              .map(({ text }) => text)
              .join('\n')
              .replaceAll('\n', end),
          );
          const expected = lines.flatMap(({ name }) => (name === undefined ? [] : [name]));
          expect(named(intake)).toEqual([...new Set(expected)].sort());
        },
      ),
      { numRuns: 500 },
    );
  });

  it('the reader of random text never throws, names what is not valid, or prints what is not safe', async () => {
    const shard = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 10 }),
      fc.constantFrom(
        ...['{', '}', '[', ']', '"', ':', ',', '\n', '\r', '@', '/', '::', '##[', ' ', '\u001b'],
        ...[
          A,
          HEX,
          'repositories/',
          '/_manifests/revisions/sha256/',
          '_layers/',
          'Team',
          '..',
          HOST,
        ],
        ...['manifest eligible for deletion: ', ': marking manifest ', '"events":', '"target":'],
        ...['"repository":"../x"', '"digest":"sha256:1"', 'time="x" level=info '],
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(shard, { maxLength: 30 }), async (shards) => {
        const intake = await fromText(shards.join(''));
        for (const [name, digests] of intake.candidates) {
          expect(isRepository(name)).toBe(true);
          expect([...digests].every((one) => isDigest(one))).toBe(true);
        }
        for (const { text } of intake.examples) {
          expect(Array.from(text).length).toBeLessThanOrEqual(120);
          expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]|::|##\[/u);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['words', 'x'.repeat(1_000_000)],
    ['spaces', `x${' '.repeat(1_000_000)}y`],
    ['references', `app@${A}`.repeat(13_000)],
    ['paths', `/repositories/a/_manifests/revisions/sha256/x`.repeat(22_000)],
    ['slashes', `drwxr-xr-x ${'/a'.repeat(500_000)}:`],
    ['braces', '{'.repeat(1_000_000)],
    ['brackets in an object', `{"a":${'['.repeat(1_000_000)}`],
  ])('with a line of very long %s has a line that is not understood', async (_, line) => {
    const intake = await fromText(`${line}\n${line}\napp@${A}`);
    expect(intake).toMatchObject({ understood: 1, notUnderstood: 2 });
    expect(named(intake)).toEqual([`app@${A}`]);
  });
});

it('64 MiB are read with a heap of 32 MiB', async () => {
  const file = join(directory, 'large.txt');
  const handle = await open(file, 'w');
  // One new name and digest every two thousand lines: if each kept the text around it, all of it would stay.
  const layers = `/${V2}/repositories/team/app/_layers/sha256/${HEX}/link\n`.repeat(2_000);
  let blocks = 0;
  for (let bytes = 0; bytes < 64 * 1024 * 1024; blocks += 1) {
    const hex = blocks.toString(16).padStart(64, '0');
    const text = `${layers}team/app-${blocks}@sha256:${hex}\n`;
    await handle.write(text);
    bytes += text.length;
  }
  await handle.close();
  const script = `
    import { readIntake } from ${JSON.stringify(join(import.meta.dirname, '../../../src/run/candidates/intake.ts'))};
    const intake = await readIntake({ digests: '', files: [${JSON.stringify(file)}], registryHost: 'x' });
    console.log(intake.understood, intake.notUnderstood);
  `;
  const child = spawnSync(
    process.execPath,
    ['--max-old-space-size=32', '--import', 'tsx', '--input-type=module', '--eval', script],
    {
      encoding: 'utf8',
      cwd: join(import.meta.dirname, '../../..'),
      env: { ...process.env, NODE_OPTIONS: '' },
    },
  );
  expect({ status: child.status, stdout: child.stdout.trim() }).toEqual({
    status: 0,
    stdout: `${blocks * 2_001} 0`,
  });
}, 60_000);

describe('a source that names too much', () => {
  const lines = (count: number) =>
    Array.from({ length: count }, (_, n) => `app@sha256:${String(n).padStart(64, '0')}`).join('\n');

  it('is an error that says so', async () => {
    const source = { files: [], registryHost: 'registry.example.com', most: 3 };
    const three = await readIntake({ ...source, digests: `${lines(3)}\n${lines(3)}` });
    expect(three.candidates.get('app')?.size).toBe(3);
    const four = readIntake({ ...source, digests: lines(4) });
    await expect(four).rejects.toBeInstanceOf(IntakeError);
    const file = join(directory, 'four.txt');
    await writeFile(file, lines(4));
    const inFile = readIntake({ ...source, digests: '', files: [file] });
    await expect(inFile).rejects.toThrow('digests-file: more than 3 manifests are named');
    await expect(four).rejects.toThrow(
      'digests-file: more than 3 manifests are named. Give a part of the listing at a time',
    );
  });

  it('is not understood where words are longer than any name', async () => {
    const digests = `-rw-r--r-- ${'x'.repeat(1025)}\n-rw-r--r-- ${'x'.repeat(1024)}\n`;
    const source = { files: [], registryHost: 'registry.example.com', digests };
    expect(await readIntake(source)).toMatchObject({ understood: 0, notUnderstood: 2 });
  });
});
