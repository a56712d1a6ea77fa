/** One repository's lines in the job's log: the summary's facts as plain text. */
import { contentBytes } from './bytes.js';
import { describer, label, versionOf, versionWords } from './describe.js';
import { judge, staysWithUndeletable, type Fate } from '../plan/fate.js';
import { outdatedEntries, whyOutdated } from './outdated.js';
import { ageWords, whenUsed, whyKept, whyOrphan } from './reasons.js';
import { isPassedByPlan } from './refusals.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../run/run.js';
import { countRepository } from './totals.js';
import { count, number, size } from '../text/words.js';

/** A repository's name and the numbers that matter: `team/web: 14 of 44 manifests deleted, 1 gap`. */
export function repositoryTitle(repository: RepositoryRun, run: Run): string {
  const { deleted, planned, failed, refused, undeletable, postponed, gaps, manifests } =
    countRepository(repository, run.settings.dryRun);
  const done = run.settings.dryRun ? 'would be deleted' : 'deleted';
  const facts = [
    `${number(deleted + planned)} of ${count(manifests, 'manifest')} ${done}`,
    failed > 0 && `${number(failed)} not deleted`,
    run.settings.dryRun && refused > 0 && `${number(refused)} would be refused`,
    undeletable > 0 && `${number(undeletable)} can't be deleted`,
    postponed > 0 && `${number(postponed)} left for a later run`,
    gaps > 0 && count(gaps, 'gap'),
  ].filter((fact) => fact !== false);
  return `${repository.inventory.repository}: ${facts.join(', ')}`;
}

/** The groups of the log: one for each repository with something to say, and one for all others. */
export function repositoryGroups(
  run: Run,
): readonly { readonly title: string; readonly lines: readonly string[] }[] {
  const all = repositoriesByName(run).map((repository) => {
    const [counts = '', ...lines] = repositoryLines(repository, run);
    return { repository, counts, lines };
  });
  const quiet = all.filter(({ lines }) => lines.length === 0);
  const others = all.filter(({ lines }) => lines.length > 0);
  return [
    ...others.map(({ repository, counts, lines }) => ({
      title: repositoryTitle(repository, run),
      lines: [counts, ...lines],
    })),
    ...(quiet.length === 0
      ? []
      : [
          {
            title: `${count(quiet.length, 'repository', 'repositories')} with nothing to delete`,
            lines: quiet.map(
              ({ repository, counts }) => `${repository.inventory.repository}: ${counts}`,
            ),
          },
        ]),
  ];
}

/** The first line counts; then a line for each orphan, each manifest of a plan that was left, and each gap. */
export function repositoryLines(repository: RepositoryRun, run: Run): string[] {
  const { inventory, repair } = repository;
  const counts = countRepository(repository, run.settings.dryRun);
  const describe = describer(inventory);
  const orphans = judge(repository).map(({ orphan, fate }) => {
    const { digest, reason, lastUse } = orphan;
    const manifest = inventory.manifests.get(digest);
    const facts = [
      label(describe(digest)),
      lastUse === undefined ? '' : whenUsed(lastUse),
      ...versionWords(versionOf(digest, inventory), lastUse?.tags),
      manifest === undefined ? '' : size(contentBytes(manifest)),
      ageWords(orphan.age, run.finishedAt),
    ].filter((fact) => fact !== '');
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
