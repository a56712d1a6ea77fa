/**
 * Shows the action at work, and judges it: a registry in memory on loopback, a small estate, the bundled
 * action as a dry-run, for real, once more, and taking it all back. The judge is what the registry holds, never
 * what the action says. Exits 0 only if exactly the orphans went, and came back.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runAction, type ActionRun } from '../__tests__/support/clients/run-action.js';
import {
  startMemoryRegistry,
  type MemoryRegistry,
} from '../__tests__/support/servers/memory/registry.js';
import { estate, fill, type Estate } from './demo/estate.js';
import { renderLog } from './demo/log.js';
import { renderMarkdown } from './demo/markdown.js';
import { styleFor } from './demo/style.js';

const style = styleFor(process.stdout);
const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
const step = (title: string): void => {
  say(style.bold(style.cyan(`\n━━ ${title} ${'━'.repeat(Math.max(0, 96 - title.length))}\n`)));
};

/** `repository@digest` of every manifest, and `repository:tag → digest` of every tag. */
interface Holdings {
  readonly manifests: ReadonlySet<string>;
  readonly tags: ReadonlySet<string>;
}

function holdings({ state }: MemoryRegistry): Holdings {
  const all = [...state.repositories];
  return {
    manifests: new Set(
      all.flatMap(([name, { manifests }]) =>
        [...manifests.keys()].map((each) => `${name}@${each}`),
      ),
    ),
    tags: new Set(
      all.flatMap(([name, { tags }]) => [...tags].map(([tag, to]) => `${name}:${tag} → ${to}`)),
    ),
  };
}

/** What `find /var/lib/registry -path '*_manifests/revisions*' -name link` prints on such a registry. */
function storageListing({ manifests }: Holdings): string {
  const root = '/var/lib/registry/docker/registry/v2/repositories';
  return [...manifests]
    .map((each) =>
      each.replace(/^(.*)@(\w+):(\w+)$/, `${root}/$1/_manifests/revisions/$2/$3/link\n`),
    )
    .join('');
}

function missing(from: ReadonlySet<string>, wanted: Iterable<string>): string[] {
  return [...wanted].filter((each) => !from.has(each));
}

/** What the dry-run did wrong, in words. */
function judgeDryRun(run: ActionRun, registry: MemoryRegistry, before: Holdings): string[] {
  const after = holdings(registry);
  const writes = registry.requests.filter(({ method }) => !['GET', 'HEAD'].includes(method));
  return [
    ...judgeExit(run, 'the dry-run'),
    ...missing(after.manifests, before.manifests).map((each) => `the dry-run deleted ${each}`),
    ...missing(after.tags, before.tags).map((each) => `the dry-run lost the tag ${each}`),
    ...writes.map(({ method, path }) => `the dry-run sent ${method} ${path}`),
  ];
}

/** What the real run did wrong. */
function judgeRun(
  run: ActionRun,
  { orphans }: Estate,
  before: Holdings,
  after: Holdings,
): string[] {
  const wanted = [...before.manifests].filter((each) => !orphans.has(each));
  // A digest tag goes with the manifest that it points at.
  const tags = [...before.tags].filter((each) => !orphans.has(each.replace(/:\S+ → /, '@')));
  return [
    ...judgeExit(run, 'the run'),
    ...[...orphans]
      .filter(([each]) => after.manifests.has(each))
      .map(([each, why]) => `it left the orphan ${each} (${why})`),
    ...missing(after.manifests, wanted).map((each) => `it deleted ${each}, which is no orphan`),
    ...missing(after.tags, tags).map((each) => `it lost the tag ${each}`),
  ];
}

function judgeSecond(run: ActionRun, registry: MemoryRegistry, before: Holdings): string[] {
  const deletes = registry.requests.filter(({ method }) => method === 'DELETE');
  return [
    ...judgeExit(run, 'the second run'),
    ...deletes.map(({ path }) => `the second run sent DELETE ${path}`),
    ...missing(holdings(registry).manifests, before.manifests).map(
      (each) => `the second run deleted ${each}`,
    ),
  ];
}

/** What was not restored as it was. */
function judgeUndo(run: ActionRun, before: Holdings, after: Holdings): string[] {
  return [
    ...judgeExit(run, 'the restore'),
    ...missing(after.manifests, before.manifests).map((each) => `${each} did not come back`),
    ...missing(after.tags, before.tags).map((each) => `the tag ${each} did not come back`),
  ];
}

function judgeExit({ exitCode }: ActionRun, who: string): string[] {
  return exitCode === 0 ? [] : [`${who} exited ${String(exitCode)}`];
}

async function demo(registry: MemoryRegistry, directory: string): Promise<string[]> {
  const shop = estate(Date.now());
  await fill(registry, shop);
  const before = holdings(registry);
  // An estate that doesn't hold its own orphans would make the judge blind.
  const unreal = missing(before.manifests, shop.orphans.keys());
  if (unreal.length > 0) {
    throw new Error(`the demo's estate names orphans that it doesn't hold: ${unreal.join(', ')}`);
  }
  const listing = join(directory, 'manifests.txt');
  await writeFile(listing, storageListing(before));
  say(
    `A registry on ${registry.url} holds ${String(before.manifests.size)} manifests under ` +
      `${String(before.tags.size)} tags in ${String(registry.state.repositories.size)} repositories. ` +
      `${String(shop.orphans.size)} of them are orphans.\nA listing of its storage is the digests-file.`,
  );
  const host = { 'registry-url': registry.host };
  const backup = join(directory, 'backup');
  const run = (dryRun: boolean): Promise<ActionRun> => {
    registry.requests.length = 0;
    const inputs = { ...host, 'digests-file': listing, 'backup-dir': backup };
    return runAction({ ...inputs, 'dry-run': String(dryRun) });
  };

  step('Dry-run: the log');
  const dry = await run(true);
  say(renderLog(dry.log, style).trimEnd());
  const wrong = judgeDryRun(dry, registry, before);

  step('For real: the log');
  const real = await run(false);
  say(renderLog(real.log, style).trimEnd());
  step('For real: the job summary');
  say(renderMarkdown(real.summary, style).trimEnd());
  const after = holdings(registry);
  wrong.push(...judgeRun(real, shop, before, after));

  step('Once more: nothing is left to delete');
  const second = await run(false);
  say(renderLog(second.log, style).trimEnd().split('\n').at(-1) ?? '');
  wrong.push(...judgeSecond(second, registry, after));

  step('And all of it taken back, with restore-from');
  const undone = await runAction({ ...host, 'restore-from': backup });
  say(renderLog(undone.log, style).trimEnd());
  wrong.push(...judgeUndo(undone, before, holdings(registry)));
  return wrong;
}

const directory = await mkdtemp(join(tmpdir(), 'manifest-cleanup-demo-'));
const registry = await startMemoryRegistry();
try {
  const wrong = await demo(registry, directory);
  step('The verdict');
  if (wrong.length === 0) {
    say(
      style.green(
        'Exactly the orphans went: none in the dry-run, all in the real run, and nothing else. All came back.',
      ),
    );
  } else {
    say(style.red(`Not as it should be:\n${wrong.map((each) => `- ${each}`).join('\n')}`));
    process.exitCode = 1;
  }
} finally {
  await registry.stop();
  await rm(directory, { recursive: true, force: true });
}
