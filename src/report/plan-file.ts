/**
 * The plan of a dry-run as a file, for people to look at and for a later run to carry out
 * (docs/plan-file.md, docs/plan-file.schema.json). `cleanup/approval.ts` reads it again.
 */
import { PLAN_VERSION } from '../cleanup/approval.js';
import { contentBytes } from './bytes.js';
import { describer, label } from './describe.js';
import { jsonChunks, type LazyJson } from './json-chunks.js';
import { reasonJson } from './json.js';
import { whyOrphan } from './reasons.js';
import { whyRefused } from './refusals.js';
import { repositoriesByName, type RepositoryRun, type Run } from './run.js';
import { printable } from './words.js';

const LABEL_LENGTH = 200;

/**
 * Chunks of text that make one JSON document, with a newline at its end.
 *
 * @param redact takes the run's secrets out of a text
 */
export function* planLines(run: Run, redact: (text: string) => string): Generator<string> {
  const repositories = repositoriesByName(run).filter(({ plan }) => plan.orphans.length > 0);
  const document: LazyJson = {
    planVersion: PLAN_VERSION,
    registry: run.registry,
    createdAt: new Date(run.startedAt).toISOString(),
    ...(run.run === undefined ? {} : { workflowRun: { ...run.run } }),
    manifests: repositories.reduce((sum, { plan }) => sum + plan.orphans.length, 0),
    repositories: {
      *[Symbol.iterator]() {
        for (const repository of repositories) {
          yield repositoryJson(repository);
        }
      },
    },
  };
  yield* jsonChunks(document, redact);
  yield '\n';
}

function repositoryJson({ inventory, plan, refusal }: RepositoryRun): LazyJson {
  const describe = describer(inventory);
  return {
    repository: plan.repository,
    ...(refusal === undefined ? {} : { refusal: whyRefused(refusal) }),
    manifests: {
      *[Symbol.iterator]() {
        for (const { digest, reason } of plan.orphans) {
          const manifest = inventory.manifests.get(digest);
          yield {
            digest,
            what: printable(label(describe(digest)), LABEL_LENGTH),
            why: printable(whyOrphan(reason), LABEL_LENGTH),
            reason: reasonJson(reason),
            ...(manifest === undefined
              ? {}
              : { mediaType: manifest.mediaType, bytes: contentBytes(manifest) }),
          };
        }
      },
    },
  };
}
