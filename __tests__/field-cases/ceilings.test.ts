/**
 * Answers that would fill the memory, or take minutes: each costs its own repository at most, stays below 600 MB, and
 * the others are cleaned.
 */
import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { artifactOf } from '../../src/memory/ledger/artifact.js';
import { digestOf } from '../../src/oci/digest.js';
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.js';
import { runAction, type ActionRun } from '../support/clients/run-action.js';
import { image } from '../support/builders/build.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { seed } from '../support/clients/push.js';

const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const ODD = `a/${'b'.repeat(80)}`;
const LEDGER = 'manifest-cleanup-ledger';
const MOST_KILOBYTES = 600_000;
const MANIFEST_BYTES = 4 * 1024 * 1024 - 1000;
const orphan = image('ceilings 1');
const kept = image('ceilings 2');

let registry: MemoryRegistry;

beforeEach(async () => {
  registry = await startMemoryRegistry();
  for (const repository of ['team/broken', 'team/fine']) {
    seed(registry.state, repository, orphan, 'old');
    seed(registry.state, repository, kept, 'v1', 'v2');
    registry.state.repositories.get(repository)?.tags.delete('old');
  }
});

afterEach(() => registry.stop());

const manifestsOf = (repository: string) =>
  new Set(registry.state.repositories.get(repository)?.manifests.keys());
const everything = new Set([orphan, kept].map(({ digest }) => digest));
const cleaned = new Set([kept.digest]);

/**
 * @param heap megabytes of which the engine may not hold more; it collects late where it has more
 * @param repositories those whose orphan an input names
 * @returns also how much memory the process had at most, in kilobytes
 */
async function clean({ heap = 4096, repositories = ['team/broken', 'team/fine'] } = {}): Promise<
  ActionRun & { readonly memory: number }
> {
  const tell =
    "import{writeSync}from'fs';process.on('exit',()=>writeSync(2,`\\nmost=${process.resourceUsage().maxRSS}\\n`))";
  const run = await runAction(
    {
      'registry-url': registry.url,
      'ledger-repository': LEDGER,
      digests: repositories.map((repository) => `${repository}@${orphan.digest}`).join('\n'),
    },
    {
      nodeArguments: [
        `--max-old-space-size=${String(heap)}`,
        '--import',
        `data:text/javascript,${encodeURIComponent(tell)}`,
      ],
    },
  );
  return { ...run, memory: Number(/^most=(\d+)$/m.exec(run.log)?.[1]) };
}

/** As many of these parts as fit, with commas between them; a text stands for each of them. */
function filled(part: string | ((n: number) => string), most: number): string {
  if (typeof part === 'string') {
    return `${part},`.repeat(Math.floor(most / (part.length + 1)) - 1) + part;
  }
  const parts: string[] = [];
  for (let length = 0, n = 0; length < most; n += 1) {
    const next = part(n);
    length += next.length + 1;
    parts.push(next);
  }
  return parts.slice(0, -1).join();
}

const config = JSON.stringify({ mediaType: OCI_CONFIG, digest: kept.digest, size: 1 });
const ofImage = (fields: string) => `{"schemaVersion":2,"config":${config},"layers":[],${fields}}`;
const most = MANIFEST_BYTES;

const manifests: readonly [string, string, () => string, string][] = [
  ['empty entries', OCI_INDEX, () => `{"manifests":[${filled('{}', most)}]}`, 'values'],
  [
    'entries that name next to nothing',
    OCI_INDEX,
    () => `{"manifests":[${filled((n) => `{"digest":"${String(n)}"}`, most)}]}`,
    'values',
  ],
  [
    'annotations of numbers',
    OCI_MANIFEST,
    () => ofImage(`"annotations":{${filled((n) => `"${String(n)}":1`, most)}}`),
    'values',
  ],
  [
    'a list of annotations',
    OCI_MANIFEST,
    () => ofImage(`"annotations":[${filled('1', most)}]`),
    'values',
  ],
  [
    'lists in lists',
    OCI_INDEX,
    () => `{"manifests":${'['.repeat(most / 2)}${']'.repeat(most / 2)}}`,
    'deeper than',
  ],
];

describe('a manifest', () => {
  it.each(manifests)(
    'is refused twenty times over: %s',
    async (_, mediaType, make, says) => {
      const bytes = Buffer.from(make());
      const tags = Array.from({ length: 20 }, (_, n) => `t${String(n)}`);
      registry.intercept(({ path, method }) => {
        if (path === '/v2/team/broken/tags/list') {
          return { kind: 'answer', status: 200, body: JSON.stringify({ tags: [...tags, 'v1'] }) };
        }
        return method === 'GET' && /^\/v2\/team\/broken\/manifests\/t\d+$/.test(path)
          ? {
              kind: 'answer',
              status: 200,
              headers: { 'Content-Type': mediaType, 'Docker-Content-Digest': digestOf(bytes) },
              body: bytes,
            }
          : undefined;
      });
      const run = await clean();
      expect(run.log).toContain(says);
      expect(run.log).toContain('which no tool makes');
      expect(run.exitCode).toBe(1);
      expect(manifestsOf('team/broken')).toEqual(everything);
      expect(manifestsOf('team/fine')).toEqual(cleaned);
      expect(run.memory).toBeLessThan(MOST_KILOBYTES);
    },
    60_000,
  );
});

describe('ten manifests right below the ceilings', () => {
  const digest = (n: number) => digestOf(Buffer.from(String(n))).slice(0, -4);
  const layers = Array.from(
    { length: 19_900 },
    (_, n) => `{"mediaType":"${ODD}","size":1,"digest":"${digest(n)}`,
  );
  const annotations = Array.from({ length: 140_000 }, (_, n) => `"${String(n)} `);
  const long = `"${Array.from({ length: 19_900 }, (_, n) => digest(n)).join('0000","')}0000"`;

  const isRead = /Deleted 2 orphan manifests/;
  const tooMany = /more than 10000 digests that may be manifests as well/;

  it.each<[string, string, (n: string) => string, RegExp]>([
    [
      'of layers',
      OCI_MANIFEST,
      (n) => `{"config":${config},"layers":[${layers.join(`${n}"},`)}${n}"}]}`,
      isRead,
    ],
    [
      'of entries',
      OCI_INDEX,
      (n) => `{"manifests":[${layers.join(`${n}"},`).replaceAll(ODD, OCI_LAYER)}${n}"}]}`,
      isRead,
    ],
    [
      'of annotations',
      OCI_MANIFEST,
      (n) => ofImage(`"annotations":{${annotations.join(`${n}":"some",`)}${n}":"some"}`),
      isRead,
    ],
    [
      'of entries of unknown types',
      OCI_INDEX,
      (n) => `{"manifests":[${layers.join(`${n}"},`)}${n}"}]}`,
      tooMany,
    ],
    ['of mentions', 'application/vnd.future+json', (n) => `{"n":"${n}","all":[${long}]}`, tooMany],
  ])(
    'are read: %s',
    async (_, mediaType, make, says) => {
      const bodies = new Map(
        Array.from({ length: 10 }, (_, n) => {
          const body = Buffer.from(make(String(1000 + n)));
          return [`/v2/team/broken/manifests/t${String(n)}`, { body, digest: digestOf(body) }];
        }),
      );
      const tags = [...bodies.keys()].map((path) => path.split('/').at(-1));
      const list = JSON.stringify({ tags: [...tags, 'v1'] });
      registry.intercept(({ path, method }) => {
        const found = bodies.get(path);
        if (path === '/v2/team/broken/tags/list') {
          return { kind: 'answer', status: 200, body: list };
        }
        if (method !== 'GET' || found === undefined) {
          return undefined;
        }
        const headers = { 'Content-Type': mediaType, 'Docker-Content-Digest': found.digest };
        return { kind: 'answer', status: 200, headers, body: found.body };
      });
      // The annotations of all ten, parsed and kept, take more.
      const run = await clean({ heap: 160 });
      const done =
        says === tooMany ? '0 of 12 manifests deleted, 1 gap' : '1 of 12 manifests deleted';
      expect(run.log).toContain(`team/broken: ${done}\n11 tags, 12 manifests read`);
      expect(run.log).toMatch(says);
      expect(run.exitCode).toBe(says === tooMany ? 1 : 0);
      expect(manifestsOf('team/broken')).toEqual(says === tooMany ? everything : cleaned);
      expect(manifestsOf('team/fine')).toEqual(cleaned);
      expect(run.memory).toBeLessThan(MOST_KILOBYTES);
    },
    180_000,
  );
});

describe('a list of tags', () => {
  it.each<[string, string | ((n?: number) => string), string]>([
    ['empty objects', '{}', 'which no list of a registry does'],
    ['empty lists', '[]', 'which no list of a registry does'],
    [
      'objects with a tag each',
      (n = 0) => `{"name":"a tag of some length ${String(n)}"}`,
      'which no list of a registry does',
    ],
  ])(
    'is refused at 21 MB of %s',
    async (_, part, says) => {
      const body = `{"tags":[${filled(part, 21_000_000)}]}`;
      registry.intercept(({ path }) =>
        path === '/v2/team/broken/tags/list' ? { kind: 'answer', status: 200, body } : undefined,
      );
      const run = await clean();
      expect(run.log).toContain(says);
      expect(run.exitCode).toBe(1);
      expect(manifestsOf('team/broken')).toEqual(everything);
      expect(manifestsOf('team/fine')).toEqual(cleaned);
      expect(run.memory).toBeLessThan(MOST_KILOBYTES);
    },
    60_000,
  );
});

describe('lists of eight repositories at once', () => {
  it.each<[string, string | ((n: number) => string), string]>([
    ['of 60 MB of empty objects', '{}', 'which no list of a registry does'],
    [
      'of 60 MB of tags',
      (n) => `"v${String(n).padStart(50, '0')}"`,
      'which no list of a registry does',
    ],
    [
      'of 60 MB of two tags',
      (n) => `"${'v'.repeat(20 + (n % 2))}"`,
      'which no list of a registry does',
    ],
  ])(
    'are refused: %s',
    async (_, part, says) => {
      const body = Buffer.from(`{"tags":[${filled(part, 60_000_000)}]}`);
      const broken = Array.from({ length: 8 }, (_each, n) => `bad/no${String(n)}`);
      broken.forEach((repository) => {
        seed(registry.state, repository, kept, 'v1');
      });
      registry.intercept(({ path }) =>
        path.startsWith('/v2/bad/') && path.endsWith('/tags/list')
          ? { kind: 'answer', status: 200, body }
          : undefined,
      );
      const run = await clean();
      expect(run.log).toContain(says);
      expect(run.exitCode).toBe(1);
      expect(manifestsOf('team/fine')).toEqual(cleaned);
      expect(run.memory).toBeLessThan(MOST_KILOBYTES);
    },
    60_000,
  );
});

describe('an entry of the ledger', () => {
  const megabytes = (count: number, part: string) => {
    const member = gzipSync(part.repeat(Math.floor((1024 * 1024) / part.length)));
    return Buffer.concat(Array.from({ length: count }, () => member));
  };
  const entry = (inside: Buffer) =>
    Buffer.concat([
      gzipSync('{"repository":"team/broken","sequence":1,"manifests":['),
      inside,
      gzipSync('0]}'),
    ]);

  it.each<[string, Buffer, string]>([
    ['20 MB of empty objects', entry(megabytes(20, '{},')), 'not in the form of an entry'],
    ['390 MB of empty lists', entry(megabytes(390, '[],')), 'not in the form of an entry'],
    [
      '390 MB of numbers in a record',
      entry(Buffer.concat([gzipSync('{"a":['), megabytes(390, '1,')])),
      'record',
    ],
    [
      '390 MB of text',
      entry(Buffer.concat([gzipSync('{"body":"'), megabytes(390, 'x')])),
      'record',
    ],
  ])(
    'is skipped with %s',
    async (_, bytes, says) => {
      const { tag } = artifactOf('team/broken', bytes);
      registry.intercept(({ path, method }) => {
        if (method !== 'GET') {
          return undefined;
        }
        if (path === `/v2/${LEDGER}/blobs/${digestOf(bytes)}`) {
          return { kind: 'answer', status: 200, body: bytes };
        }
        return path === `/v2/${LEDGER}/tags/list`
          ? { kind: 'answer', status: 200, body: JSON.stringify({ tags: [tag] }) }
          : undefined;
      });
      const run = await clean();
      expect(run.log).toContain(`${LEDGER}:${tag} is skipped: it`);
      expect(run.log).toContain(says);
      expect(run.exitCode).toBe(0);
      expect(manifestsOf('team/broken')).toEqual(cleaned);
      expect(manifestsOf('team/fine')).toEqual(cleaned);
      expect(run.memory).toBeLessThan(MOST_KILOBYTES);
    },
    60_000,
  );
});

describe('manifests without a Content-Type that tells anything', () => {
  it('are read by what they say themselves, with one warning for each repository', async () => {
    const types = new Map(
      ['', 'application/octet-stream', 'text/plain; charset=utf-8', 'application/json'].map(
        (type, n) => [`team/odd${String(n)}`, type],
      ),
    );
    for (const repository of types.keys()) {
      seed(registry.state, repository, orphan, 'old');
      seed(registry.state, repository, kept, 'v1', 'v2');
      registry.state.repositories.get(repository)?.tags.delete('old');
    }
    registry.intercept(({ path }) => {
      const type = types.get(/^\/v2\/(.+)\/manifests\//.exec(path)?.[1] ?? '');
      return type === undefined
        ? undefined
        : {
            kind: 'rewrite',
            rewrite: (answer) => ({
              ...answer,
              headers: { ...answer.headers, 'Content-Type': type },
            }),
          };
    });
    const run = await clean({ repositories: [...types.keys(), 'team/broken', 'team/fine'] });
    expect(run.exitCode).toBe(0);
    const warned = run.summary.matchAll(/`([^`]+)`: .*without a Content-Type that says/g);
    expect([...warned].map(([, repository]) => repository)).toEqual([...types.keys()]);
    for (const repository of [...types.keys(), 'team/fine']) {
      expect({ repository, left: manifestsOf(repository) }).toEqual({ repository, left: cleaned });
    }
    expect(run.summary).not.toMatch(/`team\/fine`: .*Content-Type/);
  }, 60_000);
});
