/**
 * The in-memory registry against Debian's docker-registry: the same random pushes, tag moves, deletes and
 * reads go to both, and both must answer alike. What it holds here, the other tests may believe.
 */
import { afterEach, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';

import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  MANIFEST_ACCEPT,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../src/oci/media-types.js';
import { runs } from '../support/builders/arbitraries.js';
import * as build from '../support/builders/build.js';
import {
  PASSWORD,
  startDockerRegistry,
  USERNAME,
  type DockerRegistry,
  type DockerRegistryOptions,
} from '../support/servers/docker-registry.js';
import { basicHeader } from '../support/servers/memory/auth.js';
import { startMemoryRegistry, type MemoryRegistry } from '../support/servers/memory/registry.js';
import { describeWith } from '../support/servers/describe-with.js';
import { findDockerRegistry } from '../support/servers/programs.js';
import { send, type Destination, type Exchange, type Outgoing } from '../support/clients/push.js';

const app = build.image('app', { base: ['shared'] });
const arm = build.image('app arm', { platform: build.LINUX_ARM64, base: ['shared'] });
const docker = build.image('docker app', { family: 'docker' });
const dockerArm = build.image('docker arm', { family: 'docker', platform: build.LINUX_ARM64 });
const untyped = build.image('untyped', { typed: false });
const multi = build.index([app, arm, build.attestation('app', app)]);
const list = build.index([docker, dockerArm], { family: 'docker' });
const sbom = build.referrer('sbom', app);

/** Everything that is pushed, children before their indexes. */
const CONTENTS: readonly build.Content[] = [
  app,
  arm,
  docker,
  dockerArm,
  untyped,
  ...multi.children.slice(2),
  multi,
  list,
  build.index([dockerArm], { family: 'docker' }),
  build.index([multi, docker]),
  build.index([app], { typed: false }),
  build.index([], {}),
  sbom,
  build.index([sbom]),
  build.cosign('sig', app),
  build.buildCache('cache', 'manifest'),
  build.buildCache('cache', 'index'),
  build.helmChart('chart', '1.0.0'),
];
const BLOBS = [...new Map(CONTENTS.flatMap((content) => [...content.blobs])).entries()];
const ABSENT = `sha256:${'0'.repeat(64)}`;

function contentAt(n: number): build.Content {
  const found = CONTENTS[n];
  if (found === undefined) {
    throw new Error(`no content ${String(n)}`);
  }
  return found;
}

const ODD_REFERENCES = [
  ABSENT,
  'sha256:abc',
  `sha512:${'0'.repeat(128)}`,
  '-dash',
  'nope',
  '_x.Y-1',
];

type Step =
  | { readonly kind: 'upload'; readonly repository: string; readonly without: readonly number[] }
  | {
      readonly kind: 'mount';
      readonly repository: string;
      readonly from: string;
      readonly digest: string;
    }
  /** `content` is the number of what is sent as the body: short when a counterexample is printed */
  | { readonly kind: 'send'; readonly outgoing: Outgoing; readonly content?: number };

// `a/0` sorts before `a` in the registry's walk, `a-b` after it.
const repository = fc.oneof(
  { arbitrary: fc.constant('a'), weight: 6 },
  { arbitrary: fc.constantFrom('a/b', 'a-b', 'a/0', 'z/deep/er'), weight: 4 },
);
const tag = fc.constantFrom('v1', 'v2', 'latest', build.digestTag(app.digest, 'sig'));
const content = fc.nat(CONTENTS.length - 1);
const digest = fc.oneof(
  content.map((n) => contentAt(n).digest),
  fc.constantFrom(...BLOBS.map(([key]) => key)),
);
const reference = fc.oneof(
  { arbitrary: tag, weight: 4 },
  { arbitrary: digest, weight: 4 },
  { arbitrary: fc.constantFrom(...ODD_REFERENCES), weight: 1 },
);
const accept = fc.oneof(
  { arbitrary: fc.constant(MANIFEST_ACCEPT), weight: 3 },
  {
    arbitrary: fc.constantFrom(
      undefined,
      '*/*',
      OCI_MANIFEST,
      OCI_INDEX,
      DOCKER_LIST,
      DOCKER_MANIFEST,
      `${OCI_MANIFEST};q=0.5, ${DOCKER_MANIFEST}`,
    ),
    weight: 2,
  },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('upload' as const),
      repository,
      without: fc.uniqueArray(fc.nat(BLOBS.length - 1), { maxLength: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('mount' as const),
      repository,
      from: repository,
      digest,
    }),
  },
  {
    weight: 8,
    arbitrary: fc
      .record({
        repository,
        content,
        reference: fc.oneof(tag, fc.constant('itself'), reference),
        type: fc.oneof(
          { arbitrary: fc.constant(undefined), weight: 9 },
          { arbitrary: fc.constantFrom(OCI_MANIFEST, DOCKER_LIST, 'application/json'), weight: 1 },
        ),
      })
      .map(({ repository, content, reference, type }) => {
        const { mediaType, digest } = contentAt(content);
        const headers = { 'content-type': type ?? mediaType };
        const target = reference === 'itself' ? digest : reference;
        return { ...request('PUT', repository, target, { headers }), content };
      }),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(repository, reference)
      .map(([repository, reference]) => request('DELETE', repository, reference)),
  },
  {
    weight: 8,
    arbitrary: fc
      .tuple(fc.constantFrom('GET', 'HEAD'), repository, reference, accept)
      .map(([method, repository, reference, accept]) =>
        request(method, repository, reference, accept === undefined ? {} : { headers: { accept } }),
      ),
  },
  {
    weight: 6,
    arbitrary: fc
      .oneof(
        repository.map((name) => `/v2/${name}/tags/list`),
        fc
          .constantFrom(
            '',
            '?n=1',
            '?n=2',
            '?n=3',
            '?n=0',
            '?n=x',
            '?n=1001',
            '?n=2&last=a',
            '?last=a/0',
          )
          .map((query) => `/v2/_catalog${query}`),
        fc.tuple(repository, digest).map(([name, digest]) => `/v2/${name}/blobs/${digest}`),
        fc.tuple(repository, digest).map(([name, digest]) => `/v2/${name}/referrers/${digest}`),
        fc.constantFrom('/v2/', '/v2/BAD/tags/list', '/v2/a/blobs/sha256:abc', '/v2/a/nothing'),
      )
      .map((path): Step => ({ kind: 'send', outgoing: { method: 'GET', path } })),
  },
);

function request(
  method: string,
  name: string,
  reference: string,
  more: Partial<Outgoing> = {},
): Extract<Step, { kind: 'send' }> {
  const path = `/v2/${name}/manifests/${reference}`;
  return { kind: 'send', outgoing: { ...more, method, path } };
}

/** A repository with some contents to begin with, so that most of what follows meets something. */
const script = fc
  .tuple(fc.subarray([...CONTENTS.keys()]), fc.array(step, { minLength: 20, maxLength: 60 }))
  .map(([contents, steps]): Step[] => [
    { kind: 'upload', repository: 'a', without: [] },
    ...contents.map((n): Step => {
      const { mediaType, digest } = contentAt(n);
      const reference = n % 3 === 0 ? digest : `v${String(n % 3)}`;
      const put = request('PUT', 'a', reference, { headers: { 'content-type': mediaType } });
      return { ...put, content: n };
    }),
    ...steps,
  ]);

async function play(to: Destination, step: Step): Promise<Exchange[]> {
  switch (step.kind) {
    case 'upload': {
      const blobs = BLOBS.filter((_, n) => !step.without.includes(n));
      const answers = await Promise.all(
        blobs.map(async ([digest, blob]) => {
          const path = `/v2/${step.repository}/blobs/uploads/`;
          const started = await send(to, { method: 'POST', path });
          const target = new URL(started.headers.location ?? '', to.url);
          target.searchParams.set('digest', digest);
          return [started, await send(to, { method: 'PUT', path: target.href, body: blob })];
        }),
      );
      return answers.flat();
    }
    case 'mount': {
      const query = `?mount=${step.digest}&from=${step.from}`;
      const path = `/v2/${step.repository}/blobs/uploads/${query}`;
      return [await send(to, { method: 'POST', path })];
    }
    case 'send':
      return [
        await send(to, {
          ...step.outgoing,
          ...(step.content === undefined ? {} : { body: contentAt(step.content).bytes }),
        }),
      ];
  }
}

/** What must agree: everything but the addresses, ids, and signatures that differ by nature. */
function comparable(step: Step, { status, headers, body }: Exchange): unknown {
  const type = headers['content-type'];
  const isSchema1 = type?.includes('manifest.v1+prettyjws') === true;
  const text = body.toString('utf8');
  const isTagList = status === 200 && pathOf(step).endsWith('/tags/list');
  return {
    status,
    type,
    digest: isSchema1 ? 'of a conversion' : headers['docker-content-digest'],
    link: headers['link'],
    allow: headers.allow,
    etag: isSchema1 ? undefined : headers.etag,
    range: headers.range,
    location: headers.location?.replace(/^http:\/\/[^/]+/, '').replace(/uploads\/.*/, 'uploads/'),
    version: headers['docker-distribution-api-version'],
    length: isSchema1 ? undefined : headers['content-length'],
    body: isSchema1 ? undefined : isTagList ? sortedTags(text) : text,
  };
}

/** docker-registry lists tags in the order of its file system. */
function sortedTags(text: string): unknown {
  const { name, tags } = JSON.parse(text) as { name: string; tags: string[] | null };
  return { name, tags: tags === null ? null : [...tags].sort() };
}

function pathOf(step: Step): string {
  return step.kind === 'send' ? step.outgoing.path : '';
}

// Starting and filling a real registry has no time of its own on a busy machine.
jest.setTimeout(60_000);

const program = findDockerRegistry();

/** Everything that can be read of repository `a`, to find out what the steps before have left there. */
const AUDIT: readonly Step[] = [
  { kind: 'send', outgoing: { method: 'GET', path: '/v2/a/tags/list' } },
  ...[...CONTENTS.map((one) => one.digest), 'v1', 'v2', 'latest'].flatMap((target) => [
    request('GET', 'a', target, { headers: { accept: MANIFEST_ACCEPT } }),
    request('GET', 'a', target),
  ]),
  ...BLOBS.map(([key]): Step => {
    return { kind: 'send', outgoing: { method: 'HEAD', path: `/v2/a/blobs/${key}` } };
  }),
];

async function expectAlike(real: Destination, memory: Destination, step: Step): Promise<void> {
  const [expected, actual] = await Promise.all([play(real, step), play(memory, step)]);
  expect({ step, answers: actual.map((one) => comparable(step, one)) }).toEqual({
    step,
    answers: expected.map((one) => comparable(step, one)),
  });
}

/** What an answer to a request without rights tells. The real one's actions come in random order. */
function refusal({ status, headers, body }: Exchange): unknown {
  return {
    status,
    type: headers['content-type'],
    challenge: headers['www-authenticate']
      ?.replace(/realm="http[^"]*"/, 'realm')
      .replace('push,pull', 'pull,push'),
    body: body.toString('utf8'),
  };
}

/** A token with this scope only, from the registry's own token server. */
async function bearer(to: Destination, scope: string): Promise<string> {
  if (typeof to.authorization === 'function') {
    return to.authorization(scope);
  }
  const account = { url: to.url, authorization: basicHeader(USERNAME, PASSWORD) };
  const path = `/token?service=test-registry&scope=${scope}`;
  const { token } = JSON.parse(
    (await send(account, { method: 'GET', path })).body.toString('utf8'),
  ) as { token: string };
  return `Bearer ${token}`;
}

describeWith(
  'docker-registry',
  program,
  'the in-memory registry answers like docker-registry',
  () => {
    const running: { stop(): Promise<void> }[] = [];

    afterEach(stopAll);

    async function stopAll(): Promise<void> {
      await Promise.all(running.splice(0).map((one) => one.stop()));
    }

    async function both(
      options: Pick<DockerRegistryOptions, 'deletes' | 'readOnly' | 'auth'> = {},
    ): Promise<{ real: DockerRegistry; memory: MemoryRegistry }> {
      if (program === undefined) {
        throw new Error('docker-registry is missing');
      }
      const real = await startDockerRegistry(program, options);
      running.push(real);
      const account = { username: USERNAME, password: PASSWORD };
      const memory = await startMemoryRegistry({
        deleteEnabled: options.deletes ?? true,
        readOnly: options.readOnly ?? false,
        ...(options.auth === undefined
          ? {}
          : { auth: { kind: options.auth === 'token' ? 'token' : 'basic', ...account } }),
      });
      running.push(memory);
      return { real, memory };
    }

    it('through random sequences of requests', async () => {
      await fc.assert(
        fc.asyncProperty(script, async (steps) => {
          const { real, memory } = await both();
          for (const step of [...steps, ...AUDIT]) {
            await expectAlike(real, memory, step);
          }
        }),
        { ...runs(6), endOnFailure: true, plugins: [fc.afterEach(stopAll)] },
      );
    });

    it('when a manifest is pushed under a malformed digest, which stores it and refuses the tag', async () => {
      const { real, memory } = await both();
      const put = request('PUT', 'a', 'sha256:abc', { headers: { 'content-type': app.mediaType } });
      const steps: Step[] = [
        { kind: 'upload', repository: 'a', without: [] },
        { ...put, content: CONTENTS.indexOf(app) },
        request('GET', 'a', app.digest, { headers: { accept: MANIFEST_ACCEPT } }),
        ...AUDIT,
      ];
      for (const step of steps) {
        await expectAlike(real, memory, step);
      }
    });

    it.each([
      { mode: 'deletes off', options: { deletes: false } },
      { mode: 'read-only', options: { readOnly: true } },
    ])('with $mode', async ({ options }) => {
      const { real, memory } = await both(options);
      const start = { method: 'POST', path: '/v2/a/blobs/uploads/' };
      const upload: Step = { kind: 'upload', repository: 'a', without: [] };
      const put = request('PUT', 'a', 'v1', { headers: { 'content-type': app.mediaType } });
      const steps: Step[] = [
        options.readOnly === true ? { kind: 'send', outgoing: start } : upload,
        { ...put, content: CONTENTS.indexOf(app) },
        ...['DELETE', 'OPTIONS', 'PATCH'].flatMap((method) =>
          [app.digest, ABSENT, 'v1', 'sha256:abc'].map((target) => request(method, 'a', target)),
        ),
        ...AUDIT,
      ];
      for (const step of steps) {
        await expectAlike(real, memory, step);
      }
    });

    it.each(['htpasswd', 'token'] as const)(
      'when %s credentials are missing or wrong',
      async (auth) => {
        const { real, memory } = await both({ auth });
        const requests: Outgoing[] = [
          { method: 'GET', path: '/v2/' },
          { method: 'GET', path: '/v2/_catalog' },
          { method: 'GET', path: '/v2/a/b/tags/list' },
          { method: 'POST', path: '/v2/a/b/blobs/uploads/' },
          ...['GET', 'HEAD', 'PUT', 'DELETE'].map((method) => {
            return { method, path: `/v2/a/b/manifests/${ABSENT}` };
          }),
        ];
        const wrong = { Authorization: 'Bearer wrong' };
        const foreign = { Authorization: 'Basic d3Jvbmc6d3Jvbmc=' };
        for (const headers of [{}, wrong, foreign, { Authorization: 'nonsense' }]) {
          for (const outgoing of requests) {
            const [expected, actual] = await Promise.all([
              send({ url: real.url }, { ...outgoing, headers }),
              send({ url: memory.url }, { ...outgoing, headers }),
            ]);
            const label = { outgoing, headers };
            expect({ ...label, answer: refusal(actual) }).toEqual({
              ...label,
              answer: refusal(expected),
            });
          }
        }
      },
    );

    it.each([
      ['GET', 'repository:a:pull'],
      ['DELETE', 'repository:a:pull'],
      ['DELETE', 'repository:a:pull,delete'],
      ['DELETE', 'repository:b:delete'],
      ['PUT', 'repository:a:push'],
    ])('to a %s with a token for %s', async (method, scope) => {
      const { real, memory } = await both({ auth: 'token' });
      const path = `/v2/a/manifests/${ABSENT}`;
      const [expected, actual] = await Promise.all(
        [real, memory].map(async (to) => {
          const headers = { Authorization: await bearer(to, scope) };
          return refusal(await send({ url: to.url }, { method, path, headers }));
        }),
      );
      expect(actual).toEqual(expected);
    });
  },
);
