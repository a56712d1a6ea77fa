/**
 * The complete report as JSON (docs/report.md, docs/report.schema.json). Long lists are made one entry
 * at a time, because a run over a large registry is longer than any string can be.
 * A change that breaks its readers raises `schemaVersion`.
 */
import type { DeleteReason, KeepReason } from '../plan/reasons.js';
import type { LedgerNews } from '../memory/memory.js';
import { PROTECT } from '../plan/protection.js';
import { contentBytes } from './bytes.js';
import { describer, label, type Description } from './describe.js';
import { judge, type Judged } from '../plan/fate.js';
import { jsonChunks, lazily, type Json, type LazyJson } from './json-chunks.js';
import { outdatedEntries, type OutdatedEntry } from './outdated.js';
import { whyRefused } from './refusals.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../run/run.js';
import { countRepository, totals, type Counts } from './totals.js';
import { problems } from './problems.js';
import { codeIn } from '../text/code.js';
import { printable } from '../text/printable.js';

const SCHEMA_VERSION = 1;
/** The years that RFC 3339 can write: a config may claim any. */
const EARLIEST = Date.parse('0000-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');
const LABEL_LENGTH = 1_000;
/** The schema has two older words for what became of an orphan. */
const SCHEMA_WORDS = new Map([
  ['kept', 'spared'],
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

function document(run: Run): LazyJson {
  const sums = totals(run);
  const { candidates, understood, notUnderstood, examples } = run.intake;
  const found = problems(run);
  return {
    schemaVersion: SCHEMA_VERSION,
    registry: run.settings.registry.origin,
    dryRun: run.settings.dryRun,
    startedAt: new Date(run.startedAt).toISOString(),
    finishedAt: new Date(run.finishedAt).toISOString(),
    requests: run.requests,
    settings: {
      gracePeriodMilliseconds: run.settings.gracePeriod,
      danglingReferrers: run.settings.danglingReferrers,
      keepUntagged: run.settings.keepUntagged,
      maxDeletes: run.settings.maxDeletes && { ...run.settings.maxDeletes },
    },
    pinned: { ...run.pinned },
    backup: run.backup,
    // People may have edited its time.
    appliedPlan: run.applied && { ...run.applied, createdAt: time(run.applied.createdAt) },
    workflowRun: run.run && { ...run.run },
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
      examples: examples.map(({ where, text }) => ({ where, text })),
    },
    totals: {
      repositories: sums.repositories,
      ...numbers(sums),
      freedBytes: sums.freedBytes,
      freedBytesAtMost: sums.freedBytesAtMost,
    },
    warnings: [...run.warnings],
    failures: [...run.failures],
    problems: lazily(found, ({ kind, repository, what }) => ({
      kind: SCHEMA_WORDS.get(kind) ?? kind,
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

function ledgerJson(news: LedgerNews): Json {
  const { repository, existed, isReadable, written, remembered, warnings } = news;
  return {
    repository,
    existed,
    readable: isReadable,
    repositoriesWritten: written,
    manifestsRemembered: remembered,
    warnings: [...warnings],
  };
}

function numbers(counts: Counts): Readonly<Record<string, number>> {
  const { tags, manifests, orphansFound, deleted, planned, gone, keptAfterRecheck } = counts;
  const { failed, refused, restored, broken, kept, gaps } = counts;
  const found = { tags, manifests, orphansFound, deleted, planned, gone };
  return {
    ...found,
    spared: keptAfterRecheck,
    failed,
    refused,
    healed: restored,
    broken,
    kept,
    gaps,
  };
}

function repositoryJson(repository: RepositoryRun, run: Run, freed: number): LazyJson {
  const { inventory, plan, broken, unverified, repair, refusal, approved, warnings } = repository;
  const describe = describer(inventory);
  return {
    repository: inventory.repository,
    totals: { ...numbers(countRepository(repository, run.settings.dryRun)), freedBytes: freed },
    orphans: lazily(judge(repository), (judged) => {
      const manifest = inventory.manifests.get(judged.orphan.digest);
      return {
        ...orphanJson(judged),
        mediaType: manifest?.mediaType,
        manifestBytes: manifest?.size,
        contentBytes: manifest && contentBytes(manifest),
        what: descriptionJson(describe(judged.orphan.digest)),
      };
    }),
    refusal: refusal && { ...refusal, text: whyRefused(refusal, repository, run) },
    left:
      approved &&
      lazily(outdatedEntries(repository), ({ digest, why }) => ({ digest, ...outdatedJson(why) })),
    kept: lazily(plan.keep, ({ digest, reason }) => ({ digest, reason: reasonJson(reason) })),
    gaps: lazily(inventory.gaps, ({ what, why }) => ({ what, why })),
    brokenTags: lazily([...inventory.brokenTags].sort(), (tag) => tag),
    absent: lazily([...inventory.absent].sort(), (digest) => digest),
    broken: lazily(broken, ({ what, why }) => ({ what, why })),
    repaired: repair && lazily(repair.restored, (digest) => digest),
    unverified: unverified || undefined,
    warnings: lazily(warnings, (warning) => warning),
  };
}

function orphanJson({ orphan, fate }: Judged): Record<string, Json | undefined> {
  return {
    digest: orphan.digest,
    fate: SCHEMA_WORDS.get(fate.kind) ?? fate.kind,
    why: 'why' in fate ? fate.why : undefined,
    keptReason: fate.kind === 'kept' ? reasonJson(fate.reason) : undefined,
    reason: reasonJson(orphan.reason),
    created: orphan.created === undefined ? undefined : time(orphan.created),
  };
}

function outdatedJson(why: OutdatedEntry['why']): Record<string, Json | undefined> {
  return why.kind === 'kept' ? { why: 'kept', reason: reasonJson(why.reason) } : { why: why.kind };
}

function descriptionJson(description: Description): Json {
  const text = printable(label(description), LABEL_LENGTH);
  switch (description.kind) {
    case 'image':
      return {
        ...description,
        label: text,
        platform: description.platform && { ...description.platform },
      };
    case 'index':
      return {
        ...description,
        label: text,
        platforms: description.platforms.map((platform) => ({ ...platform })),
      };
    default:
      return { ...description, label: text };
  }
}

export function reasonJson(reason: KeepReason | DeleteReason): Json {
  switch (reason.kind) {
    case 'young':
      return { ...reason, created: time(reason.created) };
    case 'new':
      return { ...reason, firstSeen: time(reason.firstSeen) };
    case 'tagged':
      return { kind: reason.kind, tags: [...reason.tags] };
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
      return { ...reason };
  }
}

/** ISO 8601 in UTC, or undefined for a moment that it can't write. */
function time(epochMilliseconds: number): string | undefined {
  return epochMilliseconds >= EARLIEST && epochMilliseconds <= LATEST
    ? new Date(epochMilliseconds).toISOString()
    : undefined;
}
