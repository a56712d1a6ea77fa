/** One run from the inputs to the report, and the one place that ends it. */
import * as core from '@actions/core';

import { readSettings } from './action/inputs.js';
import { createLog, type Log } from './action/log.js';
import { credentialsOf } from './action/login.js';
import { maskInLog } from './action/mask.js';
import { readNamed } from './action/named.js';
import { startProgress } from './action/progress.js';
import { publish, publishRestore, writeLines } from './action/publish.js';
import { runContext } from './action/run-context.js';
import type { Settings } from './run/settings.js';
import { stopOnSignals } from './action/signals.js';
import { systemClock } from './http/clock.js';
import { RequestFailure } from './http/message.js';
import { createSecretStore } from './http/redact.js';
import { spellings } from './http/spellings.js';
import { createTransport, type ExchangeEvent, type Transport } from './http/transport.js';
import type { Registry } from './registry/registry.js';
import { reportLines } from './report/json.js';
import { repositoryGroups } from './report/lines.js';
import { messageOf } from './text/error.js';
import { printable } from './text/printable.js';
import { ledgerSentence } from './report/ledger.js';
import {
  approvalNote,
  refusalNotes,
  planFileNote,
  backupNote,
  verifiedNote,
} from './report/notes.js';
import { deletedDigests } from './report/outputs.js';
import { planLines, whyNoPlan } from './report/plan-file.js';
import {
  restoreHeadline,
  restoreLines,
  restoreNotes,
  restoreProblems,
  restoreTitle,
} from './report/restore.js';
import type { Run } from './run/run.js';
import { finalityNote } from './report/sections/aftermath.js';
import { headline } from './report/sections/headline.js';
import { firstRunNote } from './report/first-run.js';
import { DRY_RUN_DELETES } from './report/sections/visibility.js';
import { totals } from './report/totals.js';
import { problems, sentence } from './report/problems.js';
import { quotaWarnings, repositoryWarnings } from './report/warnings.js';
import { VERSION } from './text/version.js';
import { count } from './text/words.js';
import { pagesOf } from './text/pages.js';
import { coded, withoutCodes } from './text/code.js';
import { cleanRegistry } from './run/clean.js';
import { restoreBackup, type RestoreRun } from './run/restore.js';

/** GitHub shows ten annotations of a step, and the summary has them all. */
const MOST_ANNOTATIONS = 10;
const PROBLEMS = 'Problems';
const WARNINGS = 'Warnings';
const REFUSALS = 'What would hold a real run back';
/** Longer than any useful sentence of a registry. */
const QUOTE = 300;

/**
 * Runs the action once.
 *
 * @returns whether everything that was asked for was done
 */
export async function main(): Promise<boolean> {
  const secrets = createSecretStore();
  const redact = (text: string) => secrets.redact(text);
  const pages = pagesOf(process.env);
  const log = createLog(redact, pages);
  const controller = new AbortController();
  const stop = controller.signal;
  try {
    const settings = readSettings();
    const transport = await connect(settings, log, stop, (secret) => {
      spellings(secret).forEach(maskInLog);
      secrets.add(secret);
    });
    const progress = startProgress(
      () => transport.stats().requests,
      (line) => log.info(line),
    );
    const tools = {
      transport,
      progress,
      quote: (text: string) => printable(withoutCodes(redact(text)), QUOTE),
      clock: systemClock,
      stop,
    };
    try {
      const { restoreFrom } = settings;
      if (restoreFrom !== undefined) {
        stopOnSignals(controller, log);
        const restored = await restoreBackup({ ...settings, restoreFrom }, tools);
        tellUnasked(transport, log);
        return (await reportRestore({ ...restored, pages }, log, redact)) && !stop.aborted;
      }
      const { named, protection } = await readNamed(settings, log);
      stopOnSignals(controller, log);
      const run = await cleanRegistry({ ...settings, protection }, named, {
        ...tools,
        onChosen: (repositories, registry) => {
          announce(settings, repositories, registry, log);
          if (settings.applyPlan !== undefined && named.approval !== undefined) {
            log.info(approvalNote(named.approval, settings.applyPlan, systemClock.now()));
          }
        },
      });
      tellUnasked(transport, log);
      // The signal to stop may have come after everything was done.
      return (await report({ ...run, pages }, settings, log, redact)) && !stop.aborted;
    } finally {
      progress.stop();
      transport.close();
    }
  } catch (error) {
    const why = messageOf(error);
    // Only the first requests can fail so: later ones are reported with their repository.
    const isStopped = stop.aborted && error instanceof RequestFailure;
    const before = isStopped
      ? `the run was told to stop (${String(stop.reason)}) before it began, and nothing was done: `
      : '';
    log.error(coded(before + why, 'run-failed'));
    log.debug(error instanceof Error ? (error.stack ?? '') : '');
    return false;
  }
}

async function connect(
  settings: Settings,
  log: Log,
  stop: AbortSignal,
  mask: (secret: string) => void,
): Promise<Transport> {
  if (settings.githubToken !== undefined) {
    // The registry may never see it, but the API does.
    mask(settings.githubToken);
  }
  const credentials = await credentialsOf(settings, process.env);
  return createTransport({
    ...settings,
    credentials,
    userAgent: `registry-manifest-cleanup/${VERSION}`,
    mask,
    stop,
    // Not made when nobody sees them: a run may send a million requests.
    onExchange: core.isDebug() ? (event) => log.debug(exchangeLine(event)) : undefined,
  });
}

function tellUnasked(transport: Transport, log: Log): void {
  const unasked = transport.unasked();
  if (unasked === 'sent') {
    log.info('The registry never asked for a login; the user name and password were sent anyway');
  } else if (unasked === 'not-sent') {
    log.warning(
      coded(
        'the registry never asked for a login, so the identity token of the Docker config was not shown, and what only ' +
          'its account may see is left out. Give `username` and `password`, which are sent even so',
        'token-not-shown',
      ),
    );
  }
}

function exchangeLine({ method, url, result, milliseconds, attempt }: ExchangeEvent): string {
  const answer = result.kind === 'answer' ? String(result.status) : result.failure;
  const again = attempt > 1 ? `, attempt ${String(attempt)}` : '';
  return `${method} ${url} → ${answer} in ${String(milliseconds)} ms${again}`;
}

function announce(
  settings: Settings,
  repositories: readonly string[],
  { lister, family }: Registry,
  log: Log,
): void {
  const howMany = count(repositories.length, 'repository', 'repositories');
  const mode = settings.dryRun ? ' (dry-run: nothing will be deleted)' : '';
  log.info(`${settings.registry.origin}: ${howMany} to survey${mode}`);
  log.info(listingNote(family, lister));
  if (settings.dryRun) {
    log.info(DRY_RUN_DELETES);
  }
}

function listingNote(family: string, lister: Registry['lister']): string {
  if (lister === undefined) {
    return (
      'This registry has no route that lists untagged manifests: only what a tag, an input, the ledger or another ' +
      'manifest names can be seen'
    );
  }
  return lister.lacks === undefined
    ? `${family} lists every manifest, tagged or not`
    : `${family} lists every manifest, tagged or not, but those that were pushed by digest alone`;
}

/** Everything that people and later steps get to see; returns whether the job is green. */
async function report(
  finished: Run,
  settings: Settings,
  log: Log,
  redact: (text: string) => string,
): Promise<boolean> {
  const read: Run = { ...finished, run: runContext() };
  repositoryGroups(read).forEach(({ title, lines }) => {
    log.group(title, lines);
  });
  for (const { inventory, warnings } of read.repositories) {
    warnings.forEach((warning) => log.warning(`${inventory.repository}: ${warning}`));
  }
  log.info(ledgerSentence(read));
  [...quotaWarnings(read), ...read.warnings, ...(read.ledger?.warnings ?? [])].forEach((text) =>
    log.warning(text),
  );
  annotate(read.repositories.flatMap(repositoryWarnings), 'warning', log, WARNINGS);
  const { reportFile, planFile } = settings;
  const noPlan =
    (planFile === undefined ? undefined : whyNoPlan(read, redact)) ??
    (await tryToWrite('plan-file', planFile, planLines(read, redact)));
  // Nothing speaks of a plan that could not be written.
  const settled = { ...read.settings, planFile: noPlan === undefined ? planFile : undefined };
  const planned = withFailure({ ...read, settings: settled }, noPlan);
  const noReport = await tryToWrite('report-file', reportFile, reportLines(planned, redact));
  const run = withFailure(planned, noReport);
  if (run.settings.dryRun) {
    annotate(refusalNotes(run), 'warning', log, REFUSALS);
  }
  await publish(run, redact);
  const notes = [
    verifiedNote(run),
    planFileNote(run),
    backupNote(run),
    finalityNote(run),
    firstRunNote(run),
  ].filter((note) => note !== undefined);
  notes.forEach((note) => log.info(note));
  const { cut } = deletedDigests(run);
  if (cut > 0) {
    log.warning(
      coded(
        `the output deleted-digests is cut: GitHub drops outputs that are too long, so ${count(cut, 'digest')} ` +
          'are not in it. The report-file has them all',
        'output-cut',
      ),
    );
  }
  return conclude(problems(run).map(sentence), headline(run, totals(run)), log);
}

function withFailure(run: Run, failure: string | undefined): Run {
  return failure === undefined ? run : { ...run, failures: [...run.failures, failure] };
}

/** @returns why it could not be written, if so */
async function tryToWrite(
  input: 'report-file' | 'plan-file',
  file: string | undefined,
  lines: Iterable<string>,
): Promise<string | undefined> {
  try {
    await (file === undefined ? undefined : writeLines(input, file, lines));
    return undefined;
  } catch (error) {
    return coded(
      `the file of ${input} could not be written: ${messageOf(error)}`,
      'file-not-written',
    );
  }
}

async function reportRestore(
  run: RestoreRun,
  log: Log,
  redact: (text: string) => string,
): Promise<boolean> {
  for (const restored of run.repositories) {
    log.group(restoreTitle(restored, run.dryRun), restoreLines(restored, run.dryRun));
  }
  restoreNotes(run).forEach((note) => log.info(note));
  await publishRestore(run, redact);
  return conclude(restoreProblems(run), restoreHeadline(run), log);
}

/** @returns whether the job is green */
function conclude(found: readonly string[], lastLine: string, log: Log): boolean {
  annotate(found, 'error', log, PROBLEMS);
  log.info(lastLine);
  return found.length === 0;
}

/** @param section the heading in the job summary under which all of them stand */
function annotate(
  found: readonly string[],
  level: 'warning' | 'error',
  log: Log,
  section: string,
): void {
  found.slice(0, MOST_ANNOTATIONS).forEach((text) => log[level](text));
  const more = found.length - MOST_ANNOTATIONS;
  if (more > 0) {
    log.info(`${String(more)} more in the job summary, under "${section}"`);
  }
}
