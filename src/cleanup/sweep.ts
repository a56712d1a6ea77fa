/**
 * Carries out a plan: the only stage that deletes. Looks again before the first delete, deletes nothing
 * that the plan did not hold, and never a manifest whose predecessor is still there.
 */
import pMap from 'p-map';

import { RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import { RegistryError, type Refusal } from '../registry/answer.js';
import type { RegistryWriter } from '../registry/writer.js';
import type { Outcome } from './outcome.js';
import type { Orphan } from './plan.js';
import { surveyRepository, type Survey, type SurveyOptions } from './survey.js';
import { verifyRepository } from './verify.js';

export interface SweepOptions extends SurveyOptions {
  readonly writer: RegistryWriter;
}

/** After one of these the registry refuses every other delete in the repository as well. */
const FINAL: readonly Refusal[] = ['unauthorized', 'forbidden', 'deletes-off', 'read-only'];

/**
 * Deletes the orphans of one repository's plan and verifies what was kept.
 *
 * @param survey the repository as it was read when the plan was made
 * @param candidates the same digests that the survey was given
 */
export async function sweepRepository(
  survey: Survey,
  candidates: Iterable<Digest>,
  options: SweepOptions,
): Promise<Outcome> {
  const { repository, orphans } = survey.plan;
  // Tags may have moved since, and pushes come in: the plan is made again with what is there now. What
  // is to go is looked at whatever named it: of an index out of sight, the child would go before it.
  const known = new Set([...candidates, ...orphans.map(({ digest }) => digest)]);
  const fresh = await surveyRepository(repository, known, options, survey.inventory);
  const [gap] = fresh.inventory.gaps;
  if (gap !== undefined) {
    const why = `looking again before the first delete, ${gap.what} could not be read: ${gap.why}`;
    const skipped = orphans.map(({ digest }) => ({ digest, why }));
    return { repository, deleted: [], gone: [], spared: [], failed: [], skipped, broken: [] };
  }
  const planned = new Set(orphans.map(({ digest }) => digest));
  // In the new plan's order: what has to go first may have changed with the tags.
  const condemned = fresh.plan.orphans.filter(({ digest }) => planned.has(digest));
  const keptNow = new Map(fresh.plan.keep.map(({ digest, reason }) => [digest, reason]));
  const spared = orphans.flatMap(({ digest }) => {
    const reason = keptNow.get(digest);
    return reason === undefined ? [] : [{ digest, reason }];
  });

  const { results, changed } = await deleteInOrder(repository, condemned, options);
  const of = (kind: Result['kind']) =>
    condemned
      .filter(({ digest }) => results.get(digest)?.kind === kind)
      .map(({ digest }) => digest);
  const explained = (kind: 'failed' | 'skipped') =>
    condemned.flatMap(({ digest }) => {
      const result = results.get(digest);
      return result?.kind === kind ? [{ digest, why: result.why }] : [];
    });
  const deleted = of('deleted');
  const gone = of('gone');
  return {
    repository,
    deleted,
    gone,
    spared,
    failed: explained('failed'),
    skipped: explained('skipped'),
    broken: changed
      ? await verifyRepository(fresh.inventory, new Set([...deleted, ...gone]), options)
      : [],
  };
}

type Result =
  | { readonly kind: 'deleted' | 'gone' }
  | { readonly kind: 'failed' | 'skipped'; readonly why: string };

async function deleteInOrder(
  repository: string,
  condemned: readonly Orphan[],
  { writer, concurrency, progress }: SweepOptions,
): Promise<{ results: ReadonlyMap<Digest, Result>; changed: boolean }> {
  const results = new Map<Digest, Result>();
  const pending = new Map<Digest, Promise<void>>();
  let calledOff: string | undefined;
  let changed = false;

  async function remove({ digest, after }: Orphan): Promise<Result> {
    // They stand earlier in the list, so each has begun, or is not to be deleted in this run.
    await Promise.all(after.map((before) => pending.get(before) ?? Promise.resolve()));
    const standing = after.find((before) => {
      const kind = results.get(before)?.kind;
      return kind !== 'deleted' && kind !== 'gone';
    });
    if (calledOff !== undefined) {
      return { kind: 'skipped', why: calledOff };
    }
    if (standing !== undefined) {
      return { kind: 'skipped', why: `${standing}, which has to go before it, is still there` };
    }
    try {
      const kind = await writer.deleteManifest(repository, digest);
      changed ||= kind === 'deleted';
      return { kind };
    } catch (error) {
      if (error instanceof RequestFailure) {
        if (error instanceof RegistryError && FINAL.includes(error.kind)) {
          calledOff = 'not tried: the registry refused another delete in this repository';
        } else {
          // No answer, or a 500: it may have been carried out all the same.
          changed = true;
        }
        return { kind: 'failed', why: error.message };
      }
      throw error;
    }
  }

  progress.expect(condemned.length);
  await pMap(
    condemned,
    (orphan) => {
      const task = remove(orphan).then((result) => {
        results.set(orphan.digest, result);
        progress.done();
      });
      pending.set(orphan.digest, task);
      return task;
    },
    { concurrency },
  );
  return { results, changed };
}
