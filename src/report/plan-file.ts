/**
 * The plan of a dry-run as a file, for people to check and for a later run to carry out
 * (docs/plan-file.md, docs/plan-file.schema.json). `plan/approval.ts` reads it again.
 */
import { PLAN_VERSION } from '../plan/approval.js';
import { contentBytes } from './bytes.js';
import { describer, label, versionOf } from './describe.js';
import { jsonChunks, lazily } from './json-chunks.js';
import { lastUseJson, reasonJson } from './json.js';
import { whyOrphan } from './reasons.js';
import { whyRefused } from './refusals.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../run/run.js';
import { printable } from '../text/printable.js';

const LABEL_LENGTH = 200;
/** Short enough that what there is to do still fits behind it. */
const MASKED_LENGTH = 80;

/**
 * The values by which a run reads the plan again can't be masked in it, and a secret can't be written to it.
 *
 * @param redact takes the run's secrets out of a text
 * @returns why there can be no plan of this run, if so
 */
export function whyNoPlan(run: Run, redact: (text: string) => string): string | undefined {
  for (const [what, text] of readAgain(run)) {
    const masked = redact(text);
    if (masked !== text) {
      return (
        `plan-file: no plan was written. ${what}, ${printable(masked, MASKED_LENGTH)}, has a secret of this run in it, ` +
        'as a rule the `password`: a plan in which that is masked is of no use. Give the account a password that is no ' +
        "part of a repository's name, such as a long random one"
      );
    }
  }
  return undefined;
}

function* readAgain(run: Run): Generator<readonly [what: string, text: string]> {
  yield ["The registry's address", run.settings.registry.origin];
  yield ['The time of the plan', createdAt(run)];
  for (const { plan } of repositoriesWithOrphans(run)) {
    yield ['The name of a repository', plan.repository];
    for (const { digest } of plan.orphans) {
      yield ['A digest', digest];
    }
  }
}

const createdAt = ({ startedAt }: Run) => new Date(startedAt).toISOString();

function repositoriesWithOrphans(run: Run): readonly RepositoryRun[] {
  return repositoriesByName(run).filter(({ plan }) => plan.orphans.length > 0);
}

/**
 * Chunks of text that make one JSON document, with a newline at its end.
 *
 * @param redact takes the run's secrets out of a text
 */
export function* planLines(run: Run, redact: (text: string) => string): Generator<string> {
  const repositories = repositoriesWithOrphans(run);
  const document = {
    planVersion: PLAN_VERSION,
    registry: run.settings.registry.origin,
    createdAt: createdAt(run),
    workflowRun: run.run,
    manifests: repositories.reduce((sum, { plan }) => sum + plan.orphans.length, 0),
    repositories: lazily(repositories, (repository) => repositoryJson(repository, run)),
  };
  yield* jsonChunks(document, redact);
  yield '\n';
}

function repositoryJson(repository: RepositoryRun, run: Run) {
  const { inventory, plan, refusal } = repository;
  const describe = describer(inventory);
  return {
    repository: plan.repository,
    refusal: refusal && whyRefused(refusal, repository, run),
    manifests: lazily(plan.orphans, ({ digest, reason, lastUse }) => {
      const manifest = inventory.manifests.get(digest);
      return {
        digest,
        what: printable(label(describe(digest)), LABEL_LENGTH),
        why: printable(whyOrphan(reason), LABEL_LENGTH),
        reason: reasonJson(reason),
        lastUse: lastUse && lastUseJson(lastUse),
        ...versionOf(digest, inventory),
        mediaType: manifest?.mediaType,
        bytes: manifest && contentBytes(manifest),
      };
    }),
  };
}
