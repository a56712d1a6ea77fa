/**
 * The rules of a whole run on real servers that list their manifests: random estates are pushed to them, and faults and
 * moved tags come through a relay. The server's own storage tells what is there before and after. Few plays: each of them
 * is some hundred requests to a real server.
 */
import { describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';

import { basicAuthorization } from '../../src/http/credentials.js';
import type { Digest } from '../../src/oci/digest.js';
import { builtEstates, changes, runs, type Timed } from '../support/builders/arbitraries.js';
import {
  ANCHOR,
  ANCHOR_TAG,
  nameOf,
  type Built,
  type Change,
  type Id,
} from '../support/builders/random-estate.js';
import { pushBlob, send, type Destination } from '../support/clients/push.js';
import { silence } from '../support/scenes/captured-output.js';
import { faults, KINDS, type Fault } from '../support/scenes/faults.js';
import { judge, type Rules, type View } from '../support/scenes/model.js';
import { run, type Ran } from '../support/scenes/run.js';
import { faultScript } from '../support/scenes/stage.js';
import { describeWith } from '../support/servers/describe-with.js';
import { SUBJECTS, type FamilyServer, type FamilySubject } from '../support/servers/families.js';

jest.setTimeout(3_600_000);
silence();

const RULES: Rules = { danglingReferrers: 'keep', spareYoung: false, referrersApi: false };

/** One repository of its own on the server, with an estate in it. */
interface Laid {
  readonly server: FamilyServer;
  readonly repository: string;
  readonly built: Built;
  readonly view: () => Promise<View>;
}

function destinationOf({ url, credentials, direct }: FamilyServer): Destination {
  if (direct !== undefined) {
    return direct;
  }
  if (credentials.kind !== 'basic') {
    throw new Error('a real server is logged in to by name and password');
  }
  return { url, authorization: basicAuthorization(credentials.username, credentials.password) };
}

/** Some servers refuse some manifests, such as an index in an index: those are not there then. */
async function putManifest(
  to: Destination,
  repository: string,
  { contents }: Built,
  id: Id,
  tag?: string,
): Promise<void> {
  const content = contents[id];
  if (content !== undefined) {
    await send(to, {
      method: 'PUT',
      path: `/v2/${repository}/manifests/${tag ?? content.digest}`,
      headers: { 'content-type': content.mediaType },
      body: content.bytes,
      scope: `repository:${repository}:pull,push`,
    });
  }
}

async function viewOf(server: FamilyServer, repository: string, built: Built): Promise<View> {
  const numbers = (digests: Iterable<string>) =>
    new Set([...digests].flatMap((digest) => built.idOf.get(digest) ?? []));
  const [stored, shown, named] = await Promise.all([
    server.manifests(repository),
    server.listed?.(repository),
    server.tags(repository),
  ]);
  const listed = shown ?? stored;
  const tags = [...named].flatMap(([tag, digest]) => {
    const id = built.idOf.get(digest);
    return id === undefined ? [] : [[tag, id] as const];
  });
  return {
    present: numbers(stored),
    tags: new Map(tags),
    candidates: numbers([...listed, ...built.candidates]),
  };
}

async function lay(subject: FamilySubject, built: Built): Promise<Laid> {
  const server = await subject.start();
  const [repository] = server.repositories;
  const to = destinationOf(server);
  await server.put(repository, ANCHOR, ANCHOR_TAG);
  const blobs = new Map(built.contents.flatMap((content) => [...content.blobs]));
  await Promise.all([...blobs].map(([digest, blob]) => pushBlob(to, repository, digest, blob)));
  // By their numbers, so that what an index holds is there before it.
  for (const [id, node] of built.estate.nodes.entries()) {
    if (node.present) {
      await putManifest(to, repository, built, id);
    }
  }
  await server.adopt?.(repository);
  const { present } = await viewOf(server, repository, built);
  for (const tag of built.estate.tags.filter(({ target }) => present.has(target))) {
    await putManifest(to, repository, built, tag.target, nameOf(tag, built));
  }
  return { server, repository, built, view: () => viewOf(server, repository, built) };
}

async function apply({ server, repository, built }: Laid, change: Change): Promise<void> {
  if (change.kind === 'untag') {
    await server.untag?.(repository, change.tag);
    return;
  }
  const content = built.contents[change.node];
  if (content !== undefined) {
    // An index whose child the server refuses can't be pushed.
    await server
      .put(repository, content, ...(change.tag === undefined ? [] : [change.tag]))
      .catch(() => undefined);
  }
}

interface Played {
  readonly ran: Ran;
  readonly before: View;
  readonly after: View;
  /** what had to stay and is gone */
  readonly lost: readonly Id[];
  readonly deleted: readonly Id[];
  /** the orphans by the model */
  readonly orphans: readonly Id[];
  /** the orphans by the plans */
  readonly planned: readonly Id[];
  readonly kept: ReadonlySet<Id>;
}

interface Script {
  readonly changes?: readonly Timed[];
  readonly faults?: readonly Fault[];
}

const sorted = (ids: Iterable<Id>) => [...ids].sort((a, b) => a - b);

/** Runs once. Changes end with the first request that may change something: what comes later may be lost (docs/limits.md). */
async function play(laid: Laid, subject: FamilySubject, script: Script = {}): Promise<Played> {
  const { server, repository, built, view } = laid;
  const waiting = [...(script.changes ?? [])].sort((a, b) => a.before - b.before);
  const fault = faultScript(script.faults ?? []);
  let frozen: View | undefined;
  let n = 0;
  server.intercept(async (request) => {
    n += 1;
    const isWrite = !['GET', 'HEAD'].includes(request.method);
    while (
      frozen === undefined &&
      waiting[0] !== undefined &&
      (isWrite || waiting[0].before <= n)
    ) {
      const { change } = waiting.shift() ?? waiting[0];
      await apply(laid, change);
    }
    if (isWrite) {
      frozen ??= await view();
    }
    return fault(request);
  });
  const ran = await run({
    url: server.url,
    registryType: subject.type,
    credentials: server.credentials,
    ...server.settings,
    clock: server.clock,
    repositories: [repository],
    candidates: new Map([[repository, built.candidates]]),
    danglingReferrers: RULES.danglingReferrers,
    concurrency: 4,
  });
  server.intercept(() => undefined);
  const after = await view();
  const before = frozen ?? after;
  const { kept, orphans } = judge(built, before, RULES);
  const numbers = (digests: readonly Digest[]) =>
    sorted(digests.flatMap((digest) => built.idOf.get(digest) ?? []));
  return {
    ran,
    before,
    after,
    lost: sorted(kept).filter((id) => before.present.has(id) && !after.present.has(id)),
    deleted: sorted(before.present).filter((id) => !after.present.has(id)),
    orphans: sorted(orphans),
    planned: numbers(ran.plans.flatMap((plan) => plan.orphans.map(({ digest }) => digest))),
    kept,
  };
}

function rulesOf(subject: FamilySubject): void {
  const { plays } = subject.real ?? { plays: 0 };

  async function within<T>(built: Built, task: (laid: Laid) => Promise<T>): Promise<T> {
    const laid = await lay(subject, built);
    try {
      return await task(laid);
    } finally {
      await laid.server.stop();
    }
  }

  it('in-use-stays, second-run-empty: deletes exactly the orphans, and leaves a second run none', async () => {
    await fc.assert(
      fc.asyncProperty(builtEstates(9), (built) =>
        within(built, async (laid) => {
          const first = await play(laid, subject);
          expect(first.ran.complaints).toEqual([]);
          expect(first.lost).toEqual([]);
          expect(first.deleted).toEqual(first.planned);
          // The plan keeps more where a delete takes children along.
          const spared = first.orphans.filter((id) => !first.deleted.includes(id));
          expect(first.deleted.filter((id) => !first.orphans.includes(id))).toEqual([]);
          expect(subject.takesChildren === true ? [] : spared).toEqual([]);
          const second = await play(laid, subject);
          expect(second.ran.complaints).toEqual([]);
          const { seen } = judge(built, second.after, RULES);
          // An orphan index may have been all that showed a kept manifest of an unknown type.
          const isInSight = [...first.kept].every((id) => seen.has(id));
          expect(isInSight ? second.deleted : []).toEqual([]);
        }),
      ),
      runs(plays),
    );
  });

  it('in-use-stays: deletes nothing that a push or a moved tag has brought back by the recheck', async () => {
    const cases = builtEstates(8).chain((built) =>
      fc.tuple(fc.constant(built), changes(built, 30)),
    );
    await fc.assert(
      fc.asyncProperty(cases, ([built, moves]) =>
        within(built, async (laid) => {
          const { lost } = await play(laid, subject, { changes: moves });
          expect(lost).toEqual([]);
        }),
      ),
      runs(plays),
    );
  });

  if (subject.takesChildren !== true) {
    it('in-use-stays, red-or-right: is right or red through all faults', async () => {
      const cases = builtEstates(8).chain((built) =>
        fc.tuple(fc.constant(built), faults(KINDS, [1, 2, 100])),
      );
      await fc.assert(
        fc.asyncProperty(cases, ([built, broken]) =>
          within(built, async (laid) => {
            const { ran, lost, deleted, orphans } = await play(laid, subject, { faults: broken });
            expect(lost).toEqual([]);
            expect(ran.green ? deleted : orphans).toEqual(orphans);
          }),
        ),
        runs(plays),
      );
    });
  }
}

for (const subject of SUBJECTS) {
  if (subject.real !== undefined) {
    const { program, found } = subject.real;
    describeWith(program, found, `a run on a real server of the type ${subject.type}`, () => {
      rulesOf(subject);
    });
  }
}

describe('the properties on real servers', () => {
  it('have a server to run on', () => {
    expect(SUBJECTS.filter(({ real }) => real !== undefined)).not.toEqual([]);
  });
});
