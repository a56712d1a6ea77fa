/** One repository's lines in the job's log: the summary's facts as plain text. */
import { contentBytes } from './bytes.js';
import { describer, label } from './describe.js';
import { judge, staysWithUndeletable, type Fate } from '../plan/fate.js';
import { outdatedEntries, whyOutdated } from './outdated.js';
import { whyKept, whyOrphan } from './reasons.js';
import { isPassedByPlan } from './refusals.js';
import type { RepositoryRun, Run } from '../run/run.js';
import { countRepository } from './totals.js';
import { age, count, number, size } from '../text/words.js';

/** The first line counts; then a line for each orphan, each manifest of a plan that was left, and each gap. */
export function repositoryLines(repository: RepositoryRun, run: Run): string[] {
  const { inventory, repair } = repository;
  const counts = countRepository(repository, run.settings.dryRun);
  const describe = describer(inventory);
  const orphans = judge(repository).map(({ orphan, fate }) => {
    const { digest, reason } = orphan;
    const manifest = inventory.manifests.get(digest);
    const old = age(orphan.age?.at, run.finishedAt);
    const facts = [
      label(describe(digest)),
      ...(manifest === undefined ? [] : [size(contentBytes(manifest))]),
      ...(old === undefined ? [] : [`built ${old} ago`]),
    ];
    return `${became(fate, repository, run)} ${digest} (${facts.join(', ')}): ${whyOrphan(reason)}`;
  });
  return [
    `${count(counts.tags, 'tag')}, ${count(counts.manifests, 'manifest')}${readPart(inventory)}, ` +
      count(counts.orphansFound, 'orphan'),
    ...(repair?.restored ?? []).map(
      (digest) =>
        `${run.settings.dryRun ? 'would restore' : 'restored'} ${digest}: an earlier run deleted it, or was about to`,
    ),
    ...orphans,
    ...outdatedEntries(repository).map((left) => `left ${left.digest}: ${whyOutdated(left, run)}`),
    ...inventory.brokenTags.map((tag) => `broken before this run: tag ${tag} has no manifest`),
    ...inventory.gaps.map(({ what, why }) => `could not read ${what}: ${why}`),
  ];
}

function became(fate: Fate, { fates, refusal }: RepositoryRun, run: Run): string {
  switch (fate.kind) {
    case 'planned':
      return 'would delete';
    case 'deleted':
      return 'deleted';
    case 'gone':
      return 'already gone:';
    case 'kept':
      if (staysWithUndeletable(fates, fate)) {
        return "kept, part of an orphan that can't be deleted:";
      }
      return fate.reason.kind === 'tagged'
        ? 'kept, tagged meanwhile:'
        : `kept, ${whyKept(fate.reason.kind, run.settings)}:`;
    case 'failed':
      return `could not delete (${fate.why})`;
    case 'skipped':
      return `not deleted (${fate.why})`;
    case 'undeletable':
      return `can't be deleted (${fate.why})`;
    case 'postponed':
      return 'left for a later run:';
    case 'restored':
      return 'deleted and restored, because a push began to use it meanwhile:';
    case 'refused':
      if (run.settings.planFile !== undefined && refusal !== undefined && isPassedByPlan(refusal)) {
        return 'would delete with the plan only:';
      }
      return run.settings.dryRun ? 'would not delete' : 'not deleted';
  }
}

/** How many of a repository's manifests were read. */
function readPart({ manifests, unread }: RepositoryRun['inventory']): string {
  return unread === undefined ? ' read' : ` (${number(manifests.size)} of them read)`;
}
