/** Why nothing is deleted although there are orphans, and what to do about it. */
import type { RepositoryRefusal } from '../plan/brakes.js';
import type { RepositoryRun, Run } from '../run/run.js';
import { count, number } from '../text/words.js';

const CHECK = 'Check what was found, in the summary or the `report-file`. If';

/** The advice depends on these, because no run should be advised to do what it does already. */
export type Circumstances = Pick<Run, 'settings' | 'applied'>;

/** A sentence without its full stop; plain text that is safe in a log. */
export function whyRefused(
  refusal: RepositoryRefusal,
  { inventory }: Pick<RepositoryRun, 'inventory'>,
  run: Circumstances,
): string {
  switch (refusal.kind) {
    case 'no-tags':
      return (
        // Those of the inventory are digest tags: an ordinary one would keep what it points at.
        `nothing is deleted here: no tag is left${inventory.tags.size > 0 ? ' but those of signatures and the like' : ''}, ` +
        (refusal.remembered > 0
          ? `and the ledger remembers ${count(refusal.remembered, 'manifest')} that tags led to, so the list of tags `
          : 'and the list of tags ') +
        `may be wrong. If the tags were removed on purpose, ${planned(run)}${atOnce(run)}: \`max-deletes\` doesn't lift this`
      );
    case 'share':
      return (
        `nothing is deleted here: ${number(refusal.orphans)} of the ${count(refusal.manifests, 'manifest')} that are ` +
        `known would be deleted, ${shareLimit(refusal.percent, run)}. ${tooMany(run)}`
      );
    case 'count':
      return (
        `nothing is deleted in this run: it found ${count(refusal.orphans, 'orphan')}, and \`max-deletes\` allows ` +
        `${number(refusal.count)}. ${tooMany(run)}`
      );
    case 'no-deletes':
      return `this registry refuses deletes, and nothing was deleted: ${refusal.why}`;
    case 'no-rights':
      return refusal.why;
  }
}

/** Nobody gave the limit that exempts some repositories: it is the default. */
function shareLimit(percent: number, { settings: { maxDeletes } }: Circumstances): string {
  return maxDeletes?.kind === 'share' && maxDeletes.exempt > 0
    ? `more than ${percent === 50 ? 'half' : `${String(percent)}%`}, which is the limit unless \`max-deletes\` says ` +
        `otherwise (repositories where no more than ${number(maxDeletes.exempt)} would be deleted are exempt)`
    : `and \`max-deletes\` allows ${String(percent)}%`;
}

function planned({ settings: { planFile } }: Circumstances): string {
  return planFile === undefined
    ? 'let a dry-run write its plan to a `plan-file`, check it, and carry it out with `apply-plan`'
    : 'check the plan, and carry it out with `apply-plan`';
}

/** The ledger doesn't learn from such a list that a manifest went out of use, so that time never begins. */
function atOnce({ settings: { unusedFor } }: Circumstances): string {
  return unusedFor === 0 ? '' : ', both with `unused-for: 0`';
}

function tooMany({ settings: { planFile }, applied }: Circumstances): string {
  if (applied !== undefined) {
    return `${CHECK} the plan is right, raise \`max-deletes\`, or leave it out: a plan has no limit unless one is given`;
  }
  return planFile === undefined
    ? `${CHECK} it is right, raise \`max-deletes\` for one run, or let a dry-run write its plan to a \`plan-file\` and carry that out with \`apply-plan\``
    : `${CHECK} it is right, carry the plan out with \`apply-plan\`, or raise \`max-deletes\` for one run`;
}

/** Whether `apply-plan` ignores it: somebody has approved what a plan lists, but the rights are those of the account. */
export function isPassedByPlan({ kind }: RepositoryRefusal): boolean {
  return kind !== 'no-rights' && kind !== 'no-deletes';
}
