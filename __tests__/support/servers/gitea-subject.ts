/** The real Gitea, as the contract suite drives it: behind a relay, with images of its own for each test. */
import { afterAll } from '@jest/globals';

import type { Credentials } from '../../../src/http/credentials.js';
import { push } from '../clients/push.js';
import type { FamilyServer, FamilySubject } from './families.js';
import { findGitea, startGitea, type Gitea } from './gitea.js';
import type { Answer } from './memory/answer.js';
import type { Interceptor, SeenRequest } from './memory/script.js';
import { startRelay } from './relay.js';

const program = findGitea();

/** One for all tests of a file: a start takes seconds, and none of them touches what another one has. */
let running: Promise<Gitea> | undefined;
let tests = 0;

afterAll(async () => {
  await (await running)?.stop();
});

function theGitea(): Promise<Gitea> {
  if (program === undefined) {
    throw new Error('Gitea is not here, and its tests should have been skipped');
  }
  running ??= startGitea(program);
  return running;
}

const isList = ({ path }: SeenRequest) => /^\/api\/v1\/packages\/[^/?]+\?/.test(path);

export const gitea: FamilySubject = {
  type: 'gitea',
  canUntag: false,
  canList: true,
  real: { program: 'gitea', found: program, plays: 4 },
  async start({ mayDelete = true } = {}) {
    const server = await theGitea();
    const relay = await startRelay({ url: server.url });
    tests += 1;
    const name = `contract-${String(tests)}`;
    const requests: SeenRequest[] = [];
    let script: Interceptor = () => undefined;
    relay.intercept((request) => {
      requests.push(request);
      return script(request);
    });
    const password = mayDelete ? server.bot.token : await server.token(['read:package']);
    return {
      url: relay.url,
      repositories: [`bot/${name}`, `bot/${name}/web`],
      credentials: { kind: 'basic', username: 'bot', password } satisfies Credentials,
      requests,
      direct: server,
      put: (repository, content, ...tags) => push(server, repository, content, ...tags),
      manifests: async (repository) => within(await server.manifests(), `${repository}@`),
      tags: (repository) => tagsOf(server, repository),
      intercept: (interceptor) => {
        script = interceptor;
      },
      feignDeletes: () => {
        script = ({ method }) =>
          method === 'DELETE' ? { kind: 'answer', status: 204 } : undefined;
      },
      list: {
        answer: (status) => {
          script = (request) => (isList(request) ? { kind: 'answer', status } : undefined);
        },
        setPushTime: (repository, digest, time) =>
          server.setPushTime([`${repository}@${digest}`], time),
        leaveOut: (...digests) => {
          script = async (request) => {
            if (!isList(request)) {
              return undefined;
            }
            const tags = [...(await tagsOf(server, `bot/${name}`))].filter(([, digest]) =>
              digests.includes(digest),
            );
            const gone = new Set([...digests, ...tags.map(([tag]) => tag)]);
            return { kind: 'rewrite', rewrite: (answer) => withoutVersions(answer, gone) };
          };
        },
      },
      stop: () => relay.stop(),
    } satisfies FamilyServer;
  },
};

function within(names: ReadonlySet<string>, prefix: string): Set<string> {
  return new Set(
    [...names].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)),
  );
}

async function tagsOf(server: Gitea, repository: string): Promise<Map<string, string>> {
  const prefix = `${repository}:`;
  return new Map(
    [...(await server.tags())].flatMap(([name, digest]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), digest] as const] : [],
    ),
  );
}

/** The list as if these versions had never been: the number of all rows says so, too. */
function withoutVersions(answer: Answer, gone: ReadonlySet<string>): Answer {
  const rows = JSON.parse(answer.body.toString('utf8')) as { readonly version: string }[];
  const left = rows.filter(({ version }) => !gone.has(version));
  const headers = { ...answer.headers, 'x-total-count': String(left.length) };
  return { ...answer, headers, body: Buffer.from(JSON.stringify(left)) };
}
