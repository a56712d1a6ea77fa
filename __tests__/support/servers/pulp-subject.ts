/** The real Pulp, as the contract suite drives it: behind a relay, with repositories of its own for each test. */
import { afterAll } from '@jest/globals';

import { systemClock, type Clock } from '../../../src/http/clock.js';
import { NOW } from '../builders/inventories.js';
import { push } from '../clients/push.js';
import type { FamilyServer, FamilySubject } from './families.js';
import type { Answer } from './memory/answer.js';
import type { Interceptor, SeenRequest } from './memory/script.js';
import { findPulp, startPulp, type Pulp } from './pulp.js';
import { adopt, API, ask, MANIFESTS, within } from './pulp-content.js';
import { startRelay } from './relay.js';

const program = findPulp();

/** One for all tests of a file: a start takes seconds, and none of them touches what another one has. */
let running: Promise<Pulp> | undefined;
let tests = 0;

afterAll(async () => {
  await (await running)?.stop();
});

function thePulp(): Promise<Pulp> {
  if (program === undefined) {
    throw new Error('Pulp is not here, and its tests should have been skipped');
  }
  running ??= startPulp(program);
  return running;
}

/** The day of the tests, which goes on by real time, because Pulp's tasks take that. */
const begun = Date.now();
const clock: Clock = { ...systemClock, now: () => NOW + (Date.now() - begun) };

const isList = ({ path }: SeenRequest) => path.startsWith(MANIFESTS);

export const pulp: FamilySubject = {
  type: 'pulp',
  canUntag: false,
  canList: true,
  lacksDigestPushes: true,
  takesChildren: true,
  real: { program: 'pulp', found: program, plays: 2 },
  async start({ mayDelete = true } = {}) {
    const server = await thePulp();
    const relay = await startRelay({ url: server.url });
    tests += 1;
    const [app, web] = ['app', 'web'].map((each) => `team/${each}-${String(tests)}`);
    const requests: SeenRequest[] = [];
    let script: Interceptor = () => undefined;
    relay.intercept((request) => {
      requests.push(request);
      return script(request);
    });
    const login = mayDelete ? server.admin : await newUser(server, `viewer-${String(tests)}`);
    return {
      url: relay.url,
      // Pulp takes no name below that of another repository.
      repositories: [app ?? '', web ?? ''],
      credentials: { kind: 'basic', ...login },
      requests,
      clock,
      put: async (repository, content, ...tags) => {
        await push(server, repository, content, ...tags);
        if (tags.length === 0) {
          await adopt(server, repository);
        }
      },
      manifests: async (repository) => within(await server.manifests(), repository),
      listed: async (repository) => within(await server.listed(), repository),
      adopt: (repository) => adopt(server, repository),
      tags: async (repository) =>
        new Map(
          [...(await server.tags())].flatMap(([each, digest]) =>
            each.startsWith(`${repository}:`)
              ? [[each.slice(repository.length + 1), digest] as const]
              : [],
          ),
        ),
      intercept: (interceptor) => {
        script = interceptor;
      },
      feignDeletes: () => {
        script = ({ method, path }) => {
          const task = `${API}tasks/01a22279-a7ce-789b-9026-69d2be455a01/`;
          return method === 'POST' && path.endsWith('/remove/')
            ? { kind: 'answer', status: 202, body: JSON.stringify({ task }) }
            : path.startsWith(task)
              ? { kind: 'answer', status: 200, body: '{"state":"completed","error":null}' }
              : undefined;
        };
      },
      list: {
        answer: (status) => {
          script = (request) => (isList(request) ? { kind: 'answer', status } : undefined);
        },
        leaveOut: (...digests) => {
          script = (request) =>
            isList(request)
              ? { kind: 'rewrite', rewrite: (answer) => withoutRows(answer, digests) }
              : undefined;
        },
      },
      stop: () => relay.stop(),
    } satisfies FamilyServer;
  },
};

async function newUser(server: Pulp, username: string) {
  const login = { username, password: 'pass-word-1' };
  await ask(server, 'POST', `${API}users/`, login);
  return login;
}

function withoutRows(answer: Answer, digests: readonly string[]): Answer {
  const page = JSON.parse(answer.body.toString('utf8')) as {
    readonly results: readonly { readonly digest: string }[];
  };
  const results = page.results.filter(({ digest }) => !digests.includes(digest));
  return {
    ...answer,
    body: Buffer.from(JSON.stringify({ ...page, count: results.length, results })),
  };
}
