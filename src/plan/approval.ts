/**
 * Reads a plan that an earlier dry-run wrote (docs/plan-file.md, docs/plan-file.schema.json): the manifests that
 * may be deleted, and no others. Pure. All else that the file says is for people: each manifest is judged again.
 */
import * as v from 'valibot';

import { isDigest, type Digest } from '../oci/digest.js';
import { inForm, JsonLimitError, parseJson } from '../oci/json.js';
import { isRepository } from '../oci/reference.js';
import { printable } from '../text/printable.js';
import { CodedError } from '../text/code.js';

/** The version of the plan file. A change that breaks its readers raises it. */
export const PLAN_VERSION = 1;

export interface Approval {
  /** epoch milliseconds */
  readonly createdAt: number;
  readonly repositories: ReadonlyMap<string, ReadonlySet<Digest>>;
}

/** The plan can't be carried out. The message says why and what to do; nothing was done. */
export class ApprovalError extends CodedError {
  override name = 'ApprovalError';
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'apply-plan-unusable', options);
  }
}

const AGAIN = 'a run with `dry-run: true` and `plan-file`';
/** A message may quote the file, which anybody may have written. In characters. */
const QUOTE = 200;
/** Half a million manifests, with all that is said of them; of empty objects they need 300 MB. */
const MOST_VALUES = 4_000_000;

const Document = v.object({ planVersion: v.number() });
const Plan = v.object({
  registry: v.string(),
  createdAt: v.pipe(
    v.string(),
    v.isoTimestamp(),
    v.transform((text) => Date.parse(text)),
    // ISO 8601 knows more forms than JavaScript, and the report is written when all is done.
    v.finite("it isn't a valid time"),
  ),
  repositories: v.array(
    v.object({
      repository: v.pipe(v.string(), v.check(isRepository, "it isn't the name of a repository")),
      manifests: v.array(
        v.object({
          digest: v.custom<Digest>(
            (digest) => typeof digest === 'string' && isDigest(digest),
            "it isn't the digest of a manifest",
          ),
        }),
      ),
    }),
  ),
});

/**
 * @param registry scheme, host and port of the registry to clean
 * @throws ApprovalError
 */
export function readApproval(text: string, registry: string): Approval {
  const refused = (why: string, remedy = 'Make a new plan') =>
    new ApprovalError(`apply-plan: ${why}. ${remedy}: ${AGAIN}`);
  let body: unknown;
  try {
    body = parseJson(Buffer.from(text), MOST_VALUES);
  } catch (error) {
    const isTooMuch = error instanceof JsonLimitError;
    throw refused(isTooMuch ? 'the file holds more than a plan can' : "the file isn't valid JSON");
  }
  const document = inForm(Document, body);
  if (document === undefined) {
    throw refused("the file isn't a plan of this action");
  }
  const { planVersion } = document;
  if (planVersion !== PLAN_VERSION) {
    throw refused(
      `the plan is of version ${planVersion}, and this action understands version ${PLAN_VERSION}`,
    );
  }
  const plan = v.safeParse(Plan, body, { abortEarly: true });
  if (!plan.success) {
    const [issue] = plan.issues;
    throw refused(
      `the plan can't be trusted: at ${String(v.getDotPath(issue))}, ${printable(issue.message, QUOTE)}`,
    );
  }
  if (plan.output.registry !== registry) {
    throw refused(
      `the plan is of "${printable(plan.output.registry, QUOTE)}", and \`registry-url\` is ${registry}`,
      'Spell them alike if they are the same, or make a new plan',
    );
  }
  const repositories = new Map<string, Set<Digest>>();
  for (const { repository, manifests } of plan.output.repositories) {
    const digests = repositories.get(repository) ?? new Set();
    manifests.forEach(({ digest }) => digests.add(digest));
    repositories.set(repository, digests);
  }
  return { createdAt: plan.output.createdAt, repositories };
}
