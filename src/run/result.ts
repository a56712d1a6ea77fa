/** Makes the result of a run, as its report reads it. Pure. */
import type { Memory } from '../memory/memory.js';
import type { Digest } from '../oci/digest.js';
import type { RepositoryRefusal } from '../plan/brakes.js';
import { fatesWithoutSweep, type Outcome } from '../plan/fate.js';
import { unmatched } from '../plan/protection.js';
import type { Survey } from '../plan/survey.js';
import { notFound, unmet } from '../plan/unmet.js';
import type { Registry } from '../registry/registry.js';
import type { Backup } from './backup/backup.js';
import type { Choice } from './choose.js';
import type { CleanSettings, Named, RunSettings } from './settings.js';
import type { Clocks } from './clocks.js';
import type { RepositoryRun, Run } from './run.js';
import type { Surveys } from './surveys.js';
import { coded } from '../text/code.js';

const UNTYPED =
  'the registry sends manifests without a Content-Type that says what they are, so that was read from the ' +
  'manifests themselves. Does a proxy change or drop the header?';

interface RunInput
  extends
    Pick<Surveys, 'surveys' | 'repairs'>,
    Pick<Run, 'failures' | 'requests' | 'startedAt' | 'finishedAt'> {
  readonly settings: CleanSettings;
  readonly named: Named;
  readonly registry: Pick<
    Registry,
    'family' | 'advice' | 'lister' | 'restorer' | 'parking' | 'warnings'
  >;
  readonly choice: Choice;
  /** the repositories that the run had to read */
  readonly chosen: readonly string[];
  readonly memory: Pick<Memory, 'news'>;
  readonly clocks: Clocks;
  readonly backup: Pick<Backup, 'isUsed' | 'directory'>;
  readonly refusals: ReadonlyMap<string, RepositoryRefusal>;
  readonly outcomes: ReadonlyMap<string, Outcome>;
}

export function runOf(done: RunInput): Run {
  const { settings, named, registry, choice, chosen, surveys, clocks } = done;
  const { intake, approval, pinned } = named;
  const { protection } = settings;
  // Those in which this program failed are missing as well.
  const notRead = chosen.length - surveys.length;
  const news = done.memory.news();
  const everyRepositoryScanned = choice.isComplete && notRead === 0;
  // If the run left some out, an entry may be meant for one of those.
  const { host } = settings.registry;
  const unused = everyRepositoryScanned ? unmatched(protection, host, choice.repositories) : [];
  return {
    settings: reported(settings),
    pinned: { ...pinned, unmet: unmet(protection, surveys) },
    backup: done.backup.isUsed ? done.backup.directory : undefined,
    restorableUntil: done.backup.isUsed ? restorableUntil(done) : undefined,
    parkedFor: registry.parking?.window,
    applied: approval && {
      createdAt: approval.createdAt,
      ignored: outside(approval.repositories, chosen),
    },
    startedAt: done.startedAt,
    finishedAt: done.finishedAt,
    requests: done.requests,
    repositories: surveys.map((survey) => repositoryRun(survey, done)),
    unread: notRead,
    everyRepositoryScanned,
    unnameableRepositories: choice.unnameable,
    intake,
    ignoredCandidates: outside(intake.candidates, choice.repositories),
    untaggedListing: listingOf(registry),
    family: registry.family,
    advice: registry.advice,
    ledger: news,
    warnings: [
      ...(registry.warnings ?? []),
      ...(clocks.warning === undefined ? [] : [clocks.warning]),
      ...choice.warnings,
      ...unused.map((name) =>
        coded(
          `\`protect\` names \`${name}\`, which matches no repository of this registry, and so protects nothing. Check ` +
            'it for a typo, or remove it',
          'protection-unmatched',
        ),
      ),
      ...(everyRepositoryScanned ? notFound(protection, surveys) : []),
    ],
    failures: [...(news?.failures ?? []), ...done.failures],
  };
}

function restorableUntil({ registry, startedAt, finishedAt }: RunInput): number | undefined {
  const { restorer, parking } = registry;
  const [start, window] = parking ? [startedAt, parking.window] : [finishedAt, restorer?.window];
  return window === undefined ? undefined : start + window;
}

function listingOf({ lister }: Pick<Registry, 'lister'>): Run['untaggedListing'] {
  if (lister === undefined) {
    return 'none';
  }
  return lister.lacks === undefined ? 'complete' : `without-${lister.lacks}`;
}

/** Field by field, because the settings of a run also hold the login, which their type hides. */
function reported(settings: RunSettings): RunSettings {
  const { registry, dryRun, gracePeriod, unusedFor, danglingReferrers } = settings;
  const { keepUntagged, maxDeletes, planFile } = settings;
  const asked = { registry, dryRun, gracePeriod, unusedFor, danglingReferrers };
  return { ...asked, keepUntagged, maxDeletes, planFile };
}

function repositoryRun(
  survey: Survey,
  { settings, named, refusals, outcomes, repairs }: RunInput,
): RepositoryRun {
  const { inventory, plan } = survey;
  const { repository } = plan;
  const { dryRun } = settings;
  const refusal = refusals.get(repository);
  const outcome = outcomes.get(repository) ?? {
    fates: fatesWithoutSweep(plan, { dryRun, isRefused: refusal !== undefined }),
    broken: [],
    unverified: false,
  };
  return {
    inventory,
    plan,
    ...outcome,
    refusal,
    repair: repairs.get(repository),
    approved: named.approval?.repositories.get(repository),
    warnings: warningsOf(survey),
  };
}

/** The warnings of one repository, in words that say what to do; safe to print. */
function warningsOf({ inventory, plan }: Pick<Survey, 'inventory' | 'plan'>): string[] {
  const isEmpty = inventory.tags.size + inventory.manifests.size + inventory.gaps.length === 0;
  return [
    ...(isEmpty
      ? [
          coded(
            'it has no tags, and none of the digests named for it exists. Is its name right?',
            'repository-empty',
          ),
        ]
      : []),
    ...(inventory.isUntyped ? [coded(UNTYPED, 'type-missing')] : []),
    ...plan.keep.flatMap(({ digest, reason }) =>
      reason.kind === 'narrowed'
        ? [
            coded(
              `the tag ${reason.tag} pointed at ${digest} and now points at ${reason.part}, a part of it, so the whole is ` +
                'kept. A proxy that ignores `Accept` answers so: let it pass requests under `/v2/` through unchanged. If ' +
                'the tag was moved on purpose, delete the manifest by hand',
              'tag-narrowed',
            ),
          ]
        : [],
    ),
  ];
}

/** The number of digests that are named for other repositories than these. */
function outside(
  named: Iterable<[string, ReadonlySet<Digest>]>,
  repositories: readonly string[],
): number {
  const wanted = new Set(repositories);
  return [...named]
    .filter(([repository]) => !wanted.has(repository))
    .reduce((sum, [, digests]) => sum + digests.size, 0);
}
