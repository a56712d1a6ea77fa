/** Why nothing is deleted although there are orphans, and what to do about it. */
import type { Refusal } from '../cleanup/brakes.js';
import { count, number } from './words.js';

const LOOK =
  'Look at what was found, in the summary or the `report-file`. If it is right, raise `max-deletes` for one run, or ' +
  'let a dry-run write its plan to a `plan-file` and carry that out with `apply-plan`';

/** A sentence without its full stop; plain text that is safe in a log. */
export function whyRefused(refusal: Refusal): string {
  switch (refusal.kind) {
    case 'no-tags':
      return (
        `nothing is deleted here: no tag is left, and the ledger remembers ${count(refusal.remembered, 'manifest')} ` +
        'that tags led to, so the list of tags may be wrong. If the tags were removed on purpose, let a dry-run ' +
        'write its plan to a `plan-file`, look at it, and carry it out with `apply-plan`'
      );
    case 'share':
      return (
        `nothing is deleted here: ${number(refusal.orphans)} of the ${count(refusal.manifests, 'manifest')} that are ` +
        `known would go, and \`max-deletes\` allows ${String(refusal.percent)}%. ${LOOK}`
      );
    case 'count':
      return (
        `nothing is deleted in this run: it found ${count(refusal.orphans, 'orphan')}, and \`max-deletes\` allows ` +
        `${number(refusal.count)}. ${LOOK}`
      );
    case 'no-deletes':
      return `this registry refuses deletes, and nothing was deleted: ${refusal.why}`;
    case 'no-rights':
      return refusal.why;
  }
}
