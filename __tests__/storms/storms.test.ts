/**
 * Storms: pushers that move, swap, sign, nest and repeat, and four runs at once of which two are killed, over and over,
 * on one repository of a real registry. What comes by chance comes from a seed; STORM_SEED sets another one.
 */
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';

import { digestOf } from '../../src/oci/digest.js';
import { parseManifest } from '../../src/oci/manifest.js';
import { MANIFEST_ACCEPT } from '../../src/oci/media-types.js';
import { runAction } from '../support/clients/run-action.js';
import { run, type Ran } from '../support/scenes/run.js';
import { silence } from '../support/scenes/captured-output.js';
import { cosign, digestTag, image, index, type Content } from '../support/builders/build.js';
import { describeWith } from '../support/servers/describe-with.js';
import { LEDGER } from '../support/clients/ledger.js';
import type { Answer } from '../support/servers/memory/answer.js';
import type { Interceptor } from '../support/servers/memory/script.js';
import { push, putManifest, send } from '../support/clients/push.js';
import { realRegistries } from '../support/servers/real-registries.js';
import type { RealRegistry } from '../support/servers/real-registry.js';
import { startRelay, type Relay } from '../support/servers/relay.js';

jest.setTimeout(300_000);
silence();

const APP = 'team/app';
const TAGS = ['a', 'b', 'c'];
const ROUNDS = 4;
const SEED = Number(process.env['STORM_SEED'] ?? 20261127);
/** A run that has not come so far by then is killed all the same. */
const LONGEST = 4000;

/** Mulberry32: the same numbers from the same seed. */
function chance(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number) => Math.floor(next() * n);
  const pick = <T>(all: readonly T[]): T => all[below(all.length)] as T;
  return { below, pick };
}

const leaves = Array.from({ length: 8 }, (_, n) => image(`leaf ${String(n)}`));

interface Span {
  /** milliseconds of one clock */
  readonly from: number;
  readonly to: number;
}

/** The DELETEs that the registry carried out, whichever run sent them. */
class Deletes {
  readonly #all: (Span & { readonly digest: string })[] = [];

  async watch(digest: string, answer: () => Promise<{ readonly status: number }>): Promise<void> {
    const from = performance.now();
    const { status } = await answer();
    this.record(digest, from, status);
  }

  record(digest: string, from: number, status: number): void {
    if (status === 202) {
      this.#all.push({ digest, from, to: performance.now() });
    }
  }

  /**
   * Whether one of them may have taken a tag along without a trace: it ended after the tag was set on that very manifest,
   * or met the push that moved the tag away from it. Distribution removes the tags of a manifest that it deletes by
   * their names, which it read before.
   */
  met({ from, to, before, digest }: Push): boolean {
    return this.#all.some(
      (each) =>
        each.to >= from && (each.digest === digest || (each.digest === before && each.from <= to)),
    );
  }
}

interface Push extends Span {
  readonly digest: string;
  /** what the tag pointed at until then */
  readonly before: string | undefined;
}

/** Whoever pushes: what the tags are to point at, and the signatures that were made there. */
class Pushers {
  readonly tags = new Map<string, Content>();
  readonly signed = new Map<string, Content>();
  /** the last push of each tag */
  readonly pushes = new Map<string, Push>();
  /** an image that is deleted just now: they are drawn to it */
  met: string | undefined;
  readonly #registry: RealRegistry;
  readonly #chance: ReturnType<typeof chance>;

  constructor(registry: RealRegistry, seed: number) {
    this.#registry = registry;
    this.#chance = chance(seed);
  }

  #content(): Content {
    const { below, pick } = this.#chance;
    const met = leaves.find(({ digest }) => digest === this.met);
    const flat = () => index([met ?? pick(leaves), pick(leaves)]);
    return (
      [() => met ?? pick(leaves), flat, () => index([flat(), pick(leaves)])][below(3)]?.() ?? flat()
    );
  }

  /** As clients do: what is there is not sent again, and what is refused is tried again from the start. */
  async #push(content: Content, tag: string): Promise<void> {
    const put = async (each: Content, reference: string): Promise<void> => {
      for (const child of each.children) {
        if (!(await isThere(this.#registry, child.digest))) {
          await put(child, child.digest);
        }
      }
      await (each.children.length === 0
        ? push(this.#registry, APP, each, reference)
        : putManifest(this.#registry, APP, each, reference));
    };
    for (let tries = 1; ; tries += 1) {
      try {
        await put(content, tag);
        return;
      } catch (error) {
        if (tries === 5) {
          throw error;
        }
      }
    }
  }

  async #set(tag: string, content: Content): Promise<void> {
    this.signed.delete(tag);
    const [from, before] = [performance.now(), this.tags.get(tag)?.digest];
    await this.#push(content, tag);
    this.tags.set(tag, content);
    this.pushes.set(tag, { from, to: performance.now(), digest: content.digest, before });
  }

  async act(): Promise<void> {
    const { below, pick } = this.#chance;
    const tag = pick(TAGS);
    const now = this.tags.get(tag);
    switch (now === undefined ? 0 : below(6)) {
      case 1: {
        const other = pick([...this.tags.keys()]);
        const there = this.tags.get(other);
        if (now !== undefined && there !== undefined) {
          await this.#set(tag, there);
          await this.#set(other, now);
        }
        break;
      }
      case 2: {
        const subject = now ?? this.#content();
        const signature = cosign('sig', subject);
        await push(this.#registry, APP, signature, digestTag(subject.digest, 'sig'));
        this.signed.set(tag, signature);
        break;
      }
      case 3:
        await this.#set(tag, index([now ?? this.#content(), pick(leaves)]));
        break;
      case 4:
        await this.#set(tag, now ?? this.#content());
        break;
      default:
        await this.#set(tag, this.#content());
    }
  }
}

async function isThere(registry: RealRegistry, reference: string): Promise<boolean> {
  return (await read(registry, reference)) !== undefined;
}

async function read(registry: RealRegistry, reference: string) {
  const { status, body, headers } = await send(registry, {
    method: 'GET',
    path: `/v2/${APP}/manifests/${reference}`,
    headers: { accept: MANIFEST_ACCEPT },
  });
  if (status === 404) {
    return undefined;
  }
  expect(status).toBe(200);
  const type = headers['content-type'] ?? '';
  return parseManifest(body, type, digestOf(body));
}

/** What is missing behind a tag or digest. */
async function missingBehind(registry: RealRegistry, reference: string): Promise<string[]> {
  const manifest = await read(registry, reference);
  if (manifest === undefined) {
    return [reference];
  }
  const children = manifest.kind === 'index' ? manifest.children : [];
  const inner = children.map(({ digest }) => missingBehind(registry, digest));
  return (await Promise.all(inner)).flat();
}

/**
 * What pushers would find broken.
 *
 * @param deletes given, a tag that one of them met may be lost, and signatures are not looked for
 */
async function broken(registry: RealRegistry, pushers: Pushers, deletes?: Deletes) {
  const wrongs: string[] = [];
  for (const [tag, content] of pushers.tags) {
    const now = await read(registry, tag);
    const push = pushers.pushes.get(tag);
    const isLost = now === undefined && push !== undefined && deletes?.met(push) === true;
    if (!isLost && now?.digest !== content.digest) {
      wrongs.push(`${tag} points at ${String(now?.digest)} instead of ${content.digest}`);
    }
    const missing = isLost ? [] : await missingBehind(registry, tag);
    wrongs.push(...missing.map((each) => `${tag} lacks ${each}`));
    const signature = deletes === undefined ? pushers.signed.get(tag) : undefined;
    const sig = digestTag(content.digest, 'sig');
    if (signature !== undefined && (await read(registry, sig))?.digest !== signature.digest) {
      wrongs.push(`${tag} has lost its signature`);
    }
  }
  return wrongs;
}

const isOfApp = ({ route }: Parameters<Interceptor>[0]) =>
  'repository' in route && route.repository === APP;

/** A cache of tags and lists that says so. */
function caching(): Interceptor {
  const kept = new Map<string, Answer>();
  return (request) => {
    const key = `${request.method} ${request.path}`;
    const old = kept.get(key);
    if (!isOfApp(request) || !['GET', 'HEAD'].includes(request.method)) {
      return undefined;
    }
    return {
      kind: 'rewrite',
      rewrite: (own) => {
        kept.set(key, old ?? own);
        return old === undefined ? own : { ...old, headers: { ...old.headers, Age: '7' } };
      },
    };
  };
}

/** A replica that is a moment behind with all that it is asked, and does not say so. */
function lagging(milliseconds: number): Interceptor {
  const kept = new Map<string, { readonly at: number; readonly answer: Answer }>();
  return (request) => {
    const key = `${request.method} ${request.path}`;
    if (!isOfApp(request) || !['GET', 'HEAD'].includes(request.method)) {
      return undefined;
    }
    return {
      kind: 'rewrite',
      rewrite: (own) => {
        const old = kept.get(key);
        if (old !== undefined && performance.now() - old.at < milliseconds) {
          return old.answer;
        }
        kept.set(key, { at: performance.now(), answer: own });
        return own;
      },
    };
  };
}

for (const kind of realRegistries.filter(({ name }) => name !== 'olareg')) {
  describeWith(
    kind.name,
    kind.found,
    `needed-returns: a storm on ${kind.name}, from the seed ${String(SEED)}`,
    () => {
      let registry: RealRegistry;
      let relays: Relay[];
      let deletes: Deletes;

      beforeEach(async () => {
        registry = await kind.start();
        relays = [];
        deletes = new Deletes();
        await push(registry, APP, image('anchor'), 'anchor');
      });

      afterEach(async () => {
        await Promise.all(relays.map((relay) => relay.stop()));
        await registry.stop();
      });

      async function through(interceptor?: Interceptor): Promise<string> {
        const relay = await startRelay(registry);
        relay.intercept(async (request) => {
          const action = await interceptor?.(request);
          const { method, route } = request;
          if (action !== undefined || method !== 'DELETE' || route.kind !== 'manifest') {
            return action;
          }
          const from = performance.now();
          const rewrite = (own: Answer) => {
            deletes.record(route.reference, from, own.status);
            return own;
          };
          return { kind: 'rewrite', rewrite };
        });
        relays.push(relay);
        return relay.url;
      }

      const clean = (url: string): Promise<Ran> =>
        run({
          url,
          repositories: [APP],
          candidates: new Map(),
          ledgerRepository: LEDGER,
          // The same time as that of the processes: what they remember is dated.
          now: Date.now(),
          concurrency: 4,
          // The real clock waits only where it must: for what was deleted and is still shown.
          onSleep: (milliseconds) =>
            new Promise((resolve) => setTimeout(resolve, Math.min(milliseconds, 50))),
        });

      /**
       * A process that is killed at its n-th request, or after a while.
       *
       * @param later given, it is killed at its n-th DELETE of an image, and that is carried out then
       */
      async function killed(n: number, later?: Promise<void>, pushers?: Pushers): Promise<void> {
        const killer = new AbortController();
        let requests = 0;
        const open: Promise<unknown>[] = [];
        const url = await through((request) => {
          const { method, path, route } = request;
          const target = route.kind === 'manifest' ? route.reference : '';
          const isLate =
            method === 'DELETE' &&
            later !== undefined &&
            leaves.some(({ digest }) => digest === target);
          requests += later === undefined || isLate ? 1 : 0;
          if (requests < n) {
            return undefined;
          }
          killer.abort();
          if (isLate && pushers !== undefined) {
            pushers.met = target;
            open.push(
              later.then(() => deletes.watch(target, () => send(registry, { method, path }))),
            );
          }
          return requests === n && !isLate ? undefined : { kind: 'hang' };
        });
        const timer = setTimeout(() => {
          killer.abort();
        }, LONGEST);
        await runAction(
          {
            'registry-url': url,
            repositories: APP,
            'grace-period': '0',
            'max-deletes': '100%',
            ...kind.inputs,
          },
          { killer: killer.signal },
        );
        clearTimeout(timer);
        await later;
        await Promise.all(open);
      }

      /** What is left when nobody pushes and nothing goes wrong any more. */
      async function expectCalm(pushers: Pushers): Promise<void> {
        await clean(registry.url);
        const calm = await clean(registry.url);
        expect(calm.complaints).toEqual([]);
        expect((await clean(registry.url)).plans.flatMap(({ orphans }) => orphans)).toEqual([]);
        expect(await broken(registry, pushers, deletes)).toEqual([]);
      }

      it('breaks nothing where pushers and runs take turns', async () => {
        const pushers = new Pushers(registry, SEED);
        const { below } = chance(SEED + 1);
        for (let round = 0; round < ROUNDS; round += 1) {
          for (let deed = 0; deed < 8; deed += 1) {
            await pushers.act();
          }
          expect(await broken(registry, pushers)).toEqual([]);
          const odd = [undefined, caching(), lagging(30), undefined][round % 4];
          await Promise.all([
            killed(5 + below(60)),
            killed(20 + below(60)),
            through(odd).then(clean),
            through().then(clean),
          ]);
          expect(await broken(registry, pushers)).toEqual([]);
        }
        await expectCalm(pushers);
      });

      it('leaves nothing broken behind where pushers and runs meet', async () => {
        const pushers = new Pushers(registry, SEED + 2);
        const { below } = chance(SEED + 3);
        for (let deed = 0; deed < 8; deed += 1) {
          await pushers.act();
        }
        for (let round = 0; round < ROUNDS; round += 1) {
          let runsAreOver = false as boolean;
          const storm = (async () => {
            while (!runsAreOver) {
              await pushers.act();
              await new Promise((resolve) => setTimeout(resolve, below(40)));
            }
          })();
          const later = new Promise<void>((resolve) => setTimeout(resolve, 500 + below(1500)));
          await Promise.all([
            killed(30 + below(60)),
            killed(1, later, pushers),
            through().then(clean),
            through().then(clean),
          ]);
          runsAreOver = true;
          await storm;
          // Whatever they have met is whole again after one run that nobody disturbs.
          await clean(registry.url);
          expect(await broken(registry, pushers, deletes)).toEqual([]);
        }
        await expectCalm(pushers);
      });
    },
  );
}
