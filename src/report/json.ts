/**
 * The complete report as JSON (docs/report.md, docs/report.schema.json). Long lists are made one entry
 * at a time, because a run over a large registry is longer than any string can be.
 * A change that breaks its readers raises `schemaVersion`.
 */
import type { LastUse } from '../plan/past.js';
import type { DeleteReason, KeepReason } from '../plan/reasons.js';
import type { LedgerNews } from '../memory/memory.js';
import { PROTECT } from '../plan/protection.js';
import { contentBytes } from './bytes.js';
import { describer, label, versionOf } from './describe.js';
import { judge, type Judged } from '../plan/fate.js';
import { jsonChunks, lazily } from './json-chunks.js';
import { outdatedEntries, type OutdatedEntry } from './outdated.js';
import { whyRefused } from './refusals.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../run/run.js';
import { countRepository, COUNTS, totals, type Counts } from './totals.js';
import { problems } from './problems.js';
import { quotaWarnings, repositoryWarnings } from './warnings.js';
import { codeIn } from '../text/code.js';
import { printable } from '../text/printable.js';
import { VERSION } from '../text/version.js';

const SCHEMA_VERSION = 1;
/** The years that RFC 3339 can write: a config may claim any. */
const EARLIEST = Date.parse('0000-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');
const LABEL_LENGTH = 1_000;
/** The schema has older words for two fates, and for the numbers of orphans that met them. */
const FATE_WORDS = new Map([
  ['kept', 'spared'],
  ['restored', 'healed'],
]);
const COUNT_WORDS = new Map([
  ['keptAfterRecheck', 'spared'],
  ['restored', 'healed'],
]);

/**
 * The report as chunks of text that make one JSON document, with a newline at its end.
 *
 * @param redact takes the run's secrets out of a text: a registry may send them back as anything
 */
export function* reportLines(
  run: Run,
  redact: (text: string) => string = (text) => text,
): Generator<string> {
  yield* jsonChunks(document(run), redact);
  yield '\n';
}

function document(run: Run) {
  const { settings } = run;
  const sums = totals(run);
  const { candidates, understood, notUnderstood, examples } = run.intake;
  return {
    schemaVersion: SCHEMA_VERSION,
    version: VERSION,
    registry: settings.registry.origin,
    dryRun: settings.dryRun,
    startedAt: new Date(run.startedAt).toISOString(),
    finishedAt: new Date(run.finishedAt).toISOString(),
    requests: run.requests,
    settings: {
      gracePeriodMilliseconds: settings.gracePeriod,
      unusedForMilliseconds: settings.unusedFor,
      danglingReferrers: settings.danglingReferrers,
      keepUntagged: settings.keepUntagged,
      maxDeletes: settings.maxDeletes,
    },
    pinned: run.pinned,
    backup: run.backup,
    restorableUntil: run.restorableUntil === undefined ? undefined : time(run.restorableUntil),
    // People may have edited its time.
    appliedPlan: run.applied && { ...run.applied, createdAt: time(run.applied.createdAt) },
    workflowRun: run.run,
    visibility: {
      untaggedListing: run.untaggedListing,
      everyRepositoryScanned: run.everyRepositoryScanned,
      unnameableRepositories: run.unnameableRepositories,
      unreadRepositories: run.unread,
    },
    ledger: run.ledger && ledgerJson(run.ledger),
    intake: {
      candidates: [...candidates.values()].reduce((sum, digests) => sum + digests.size, 0),
      ignoredCandidates: run.ignoredCandidates,
      linesUnderstood: understood,
      linesNotUnderstood: notUnderstood,
      examples,
    },
    totals: {
      repositories: sums.repositories,
      ...numbers(sums),
      freedBytes: sums.freedBytes,
      freedBytesAtMost: sums.freedBytesAtMost,
    },
    warnings: [...run.warnings, ...quotaWarnings(run)],
    failures: run.failures,
    problems: lazily(problems(run), ({ kind, repository, what }) => ({
      kind: FATE_WORDS.get(kind) ?? kind,
      code: codeIn(what),
      repository,
      what,
    })),
    repositories: lazily(repositoriesByName(run), (repository) =>
      repositoryJson(
        repository,
        run,
        sums.freedBytesByRepository.get(repository.inventory.repository) ?? 0,
      ),
    ),
  };
}

function ledgerJson({ isReadable, written, remembered, failures: _, ...news }: LedgerNews) {
  return {
    ...news,
    readable: isReadable,
    repositoriesWritten: written,
    manifestsRemembered: remembered,
  };
}

function numbers(counts: Counts) {
  return Object.fromEntries(COUNTS.map((key) => [COUNT_WORDS.get(key) ?? key, counts[key]]));
}

function repositoryJson(repository: RepositoryRun, run: Run, freed: number) {
  const { inventory, plan, broken, unverified, repair, refusal, approved, warnings } = repository;
  const describe = describer(inventory);
  return {
    repository: inventory.repository,
    totals: { ...numbers(countRepository(repository, run.settings.dryRun)), freedBytes: freed },
    orphans: lazily(judge(repository), (judged) => {
      const manifest = inventory.manifests.get(judged.orphan.digest);
      const what = describe(judged.orphan.digest);
      return {
        ...orphanJson(judged),
        mediaType: manifest?.mediaType,
        manifestBytes: manifest?.size,
        contentBytes: manifest && contentBytes(manifest),
        what: { ...what, label: printable(label(what), LABEL_LENGTH) },
        ...versionOf(judged.orphan.digest, inventory),
        final: repository.final?.get(judged.orphan.digest),
      };
    }),
    refusal: refusal && { ...refusal, text: whyRefused(refusal, repository, run) },
    left: approved && lazily(outdatedEntries(repository), outdatedJson),
    kept: lazily(plan.keep, ({ digest, reason }) => ({ digest, reason: reasonJson(reason) })),
    gaps: lazily(inventory.gaps, ({ what, why }) => ({ what, why })),
    brokenTags: [...inventory.brokenTags].sort().values(),
    absent: [...inventory.absent].sort().values(),
    broken: lazily(broken, ({ what, why }) => ({ what, why })),
    repaired: repair?.restored.values(),
    unverified: unverified || undefined,
    warnings: [...warnings, ...repositoryWarnings(repository)].values(),
  };
}

function orphanJson({ orphan, fate }: Judged): object {
  return {
    digest: orphan.digest,
    fate: FATE_WORDS.get(fate.kind) ?? fate.kind,
    why: 'why' in fate ? fate.why : undefined,
    until: fate.kind === 'postponed' ? time(fate.until) : undefined,
    keptReason: fate.kind === 'kept' ? reasonJson(fate.reason) : undefined,
    reason: reasonJson(orphan.reason),
    age: orphan.age && { kind: orphan.age.kind, at: time(orphan.age.at) },
    lastUse: orphan.lastUse && lastUseJson(orphan.lastUse),
  };
}

export function lastUseJson({ tags, until }: LastUse): object {
  return { tags, until: time(until) };
}

function outdatedJson({ digest, why }: OutdatedEntry): object {
  return why.kind === 'absent' || why.kind === 'unread'
    ? { digest, why: why.kind }
    : { digest, why: 'kept', reason: reasonJson(why) };
}

export function reasonJson(reason: KeepReason | DeleteReason): object {
  switch (reason.kind) {
    case 'young':
      return { ...reason, created: time(reason.created) };
    case 'recently-used':
      return { ...reason, since: time(reason.since) };
    case 'new':
      return { ...reason, firstSeen: time(reason.firstSeen) };
    case 'tagged':
      return { kind: reason.kind, tags: reason.tags };
    case 'protected': {
      // Not `by`: that is a digest elsewhere.
      const files = reason.by.filter((one) => one !== PROTECT);
      return {
        kind: reason.kind,
        input: files.length < reason.by.length,
        files,
        blob: reason.blob,
      };
    }
    default:
      return reason;
  }
}

/** ISO 8601 in UTC, or undefined for a moment that it can't write. */
function time(epochMilliseconds: number): string | undefined {
  return epochMilliseconds >= EARLIEST && epochMilliseconds <= LATEST
    ? new Date(epochMilliseconds).toISOString()
    : undefined;
}
