/**
 * Refuses deletes before the first of them: plans that look wrong when all are seen together, and deletes that the
 * registry or the account does not allow. In a dry-run it says what a real run would refuse, without a DELETE.
 */
import pMap from 'p-map';

import { refuseTooMany, type MaxDeletes, type RepositoryRefusal } from '../plan/brakes.js';
import type { Survey } from '../plan/survey.js';
import type { Rights } from '../registry/registry.js';

export interface RefusingOptions {
  /** absent: no limit */
  readonly maxDeletes: MaxDeletes | undefined;
  readonly dryRun: boolean;
  readonly rights: Rights;
  readonly concurrency: number;
  readonly stop: AbortSignal;
}

/**
 * @param surveys of all repositories: every plan is complete
 * @param first the refusals so far; their reasons come before any other
 * @returns why nothing may be deleted, by repository
 */
export async function refuseDeletes(
  surveys: readonly Survey[],
  first: ReadonlyMap<string, RepositoryRefusal>,
  { maxDeletes, dryRun, rights, concurrency, stop }: RefusingOptions,
): Promise<ReadonlyMap<string, RepositoryRefusal>> {
  const tooMany = maxDeletes === undefined ? [] : refuseTooMany(surveys, maxDeletes);
  const refusals = new Map<string, RepositoryRefusal>([...tooMany, ...first]);
  const left = allowed(surveys, refusals).map(({ plan }) => plan.repository);
  if (dryRun) {
    const ask = async (repository: string) => {
      const why = await rights.lacksDelete(repository);
      if (why !== undefined) {
        refusals.set(repository, { kind: 'no-rights', why });
      }
    };
    await pMap(left, ask, { concurrency });
  } else if (left.length > 0 && !stop.aborted) {
    // Asked before the first delete, and not between the deletes.
    const why = await rights.probeDeletes(left);
    if (why !== undefined) {
      left.forEach((repository) => refusals.set(repository, { kind: 'no-deletes', why }));
    }
  }
  return refusals;
}

/** The repositories that have orphans, and no refusal. */
export function allowed(
  surveys: readonly Survey[],
  refusals: ReadonlyMap<string, RepositoryRefusal>,
): readonly Survey[] {
  return surveys.filter(({ plan }) => plan.orphans.length > 0 && !refusals.has(plan.repository));
}
