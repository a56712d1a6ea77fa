/** The first lines of the summary: the numbers, and what kind of run this was. */
import type { Section } from '../fit.js';
import { code } from '../markdown.js';
import type { Run } from '../run.js';
import { problems, type Totals } from '../totals.js';
import { count, duration, number, size } from '../words.js';

/** One sentence; what it counts as problems is listed right below it. */
export function headline(run: Run, sums: Totals): string {
  const wrong = problems(run).length;
  return wrong === 0 ? result(sums) : `${result(sums)} (with ${count(wrong, 'problem')})`;
}

function result(sums: Totals): string {
  const { deleted, planned, failed, gone, orphansFound } = sums;
  const where = `in ${count(sums.repositoriesFreed, 'repository', 'repositories')}`;
  const bytes = `${sums.freedBytesAtMost ? 'at most ' : ''}${size(sums.freedBytes)}`;
  if (planned > 0) {
    return `Would delete ${count(planned, 'orphan manifest')} ${where}: ${bytes} would be freed`;
  }
  if (deleted > 0) {
    const what =
      failed > 0
        ? `${number(deleted)} of ${count(deleted + failed, 'orphan manifest')}`
        : count(deleted, 'orphan manifest');
    return `Deleted ${what} ${where}: ${bytes} will be freed`;
  }
  if (failed > 0) {
    return `Deleted none of ${count(failed, 'orphan manifest')}`;
  }
  if (sums.repositories === 0) {
    return 'No repository was scanned';
  }
  if (orphansFound > 0) {
    return gone === orphansFound
      ? `${count(gone, 'orphan manifest')} found, already gone when ${gone === 1 ? 'its' : 'their'} turn came`
      : `Deleted nothing: a second look left none of ${count(orphansFound, 'orphan manifest')} to delete`;
  }
  return `No orphans among the ${count(sums.manifests, 'manifest')} that could be seen`;
}

export function headlineSection(run: Run, sums: Totals): Section {
  const read = `${count(sums.manifests, 'manifest')} and ${count(sums.tags, 'tag')} in ${count(sums.repositories, 'repository', 'repositories')}`;
  const effort = `${count(run.requests, 'request')} in ${duration(run.finishedAt - run.startedAt)}`;
  const notes = [
    `${code(run.registry)}: read ${read}, with ${effort}. Grace period: ${duration(run.gracePeriod)}.`,
  ];
  if (run.dryRun) {
    notes.unshift('**Dry run:** nothing was deleted.');
  }
  if (sums.planned + sums.deleted > 0) {
    const when = 'The disk space comes back once the registry has collected its garbage';
    notes.push(
      sums.freedBytesAtMost
        ? `${when}; it is "at most" that much, because not everything that may share these blobs was read.`
        : `${when}.`,
    );
  }
  if (sums.deleted + sums.failed > 0 && sums.gone > 0) {
    notes.push(`${count(sums.gone, 'orphan')} had gone already when the turn came.`);
  }
  if (sums.spared > 0) {
    notes.push(`${count(sums.spared, 'orphan')} came into use during the run and stayed.`);
  }
  if (sums.planned + sums.deleted === 0 && candidates(run) === 0 && sums.repositories > 0) {
    notes.push(
      "\n> [!NOTE]\n> This does not mean that there are none: this registry can't list untagged " +
        'manifests, and no `digests` or `digests-file` named any. See "What could not be seen".',
    );
  }
  return { before: `## ${headline(run, sums)}\n\n${notes.join('\n')}\n` };
}

function candidates(run: Run): number {
  return [...run.intake.candidates.values()].reduce((sum, digests) => sum + digests.size, 0);
}
