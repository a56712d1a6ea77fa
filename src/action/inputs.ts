/**
 * The only reader of inputs. Collects every mistake before it reports them, sends no request, and masks
 * what is secret before anything else can print it.
 */
import { tmpdir } from 'node:os';
import path from 'node:path';

import * as core from '@actions/core';

import { DEFAULT_MAX_DELETES, type MaxDeletes } from '../plan/brakes.js';
import { isRepository } from '../oci/reference.js';
import { CodedError } from '../text/code.js';
import { parseDuration } from '../text/duration.js';
import { count } from '../text/words.js';
import { entriesOf } from './list.js';
import { readGithubToken, readLogin } from './login.js';
import { shorten, type Mistake } from './mistake.js';
import { checkPath, checkPlaces, readCaFile } from './paths.js';
import { readRegistry } from './registry-inputs.js';
import { foldNames, readDigests, readProtected, readRepositories } from './repository-inputs.js';
import type { Settings } from '../run/settings.js';

const MOST_CONCURRENCY = 128;
/** Where the family doesn't say another. */
const USUAL_CONCURRENCY = 16;
const MOST_KEPT = 1_000_000;

/** The two spellings of booleans beside these, `yes` and `on`, are strings in YAML 1.2. */
const FLAGS = new Map([
  ...['true', 'True', 'TRUE'].map((text) => [text, true] as const),
  ...['false', 'False', 'FALSE'].map((text) => [text, false] as const),
]);
/** What a run does instead of the usual. They exclude each other. */
const MODES = ['plan-file', 'apply-plan', 'restore-from'];

/** Notes that the input is wrong. */
type Wrong = (takes: string, why?: string) => undefined;

/** @throws CodedError that names every input that is wrong, what it got and what it takes */
export function readSettings(): Settings {
  const mistakes: string[] = [];
  const settings = readInputs(mistakes, (input, takes, got, why) => {
    const given = got === undefined ? ':' : got === '' ? ' is empty' : ` is "${shorten(got)}"`;
    const wrong = (why === undefined ? '' : `: ${why}`) + (got === undefined ? '' : ';');
    mistakes.push(`${input}${given}${wrong} it takes ${takes}`);
    return undefined;
  });
  if (mistakes.length > 0) {
    throw new CodedError(
      `${count(mistakes.length, 'mistake')} in the inputs, and nothing was done:\n` +
        mistakes.map((text) => `- ${text}`).join('\n'),
      'inputs-invalid',
    );
  }
  // Without a mistake, only what is optional is undefined.
  return settings as Settings;
}

/** @returns the settings, with `undefined` for what is mistaken */
function readInputs(
  mistakes: string[],
  mistake: Mistake,
): { readonly [Name in keyof Settings]: Settings[Name] | undefined } {
  const read = <T>(
    input: string,
    otherwise: string,
    parse: (text: string, wrong: Wrong) => T,
  ): T => {
    const text = core.getInput(input) || otherwise;
    return parse(text, (takes, why) => mistake(input, takes, text, why));
  };
  const login = readLogin(mistake);
  const { family, ...place } = readRegistry(process.env, mistake);
  const githubToken = readGithubToken({ ...place, family }, mistake);
  const insecure = read('insecure', 'false', flagOf);
  const dryRun = read('dry-run', 'false', flagOf);
  const ca = readCaFile(core.getInput('ca-file'), mistake);
  const digestsFiles = entriesOf(core.getInput('digests-file'));
  for (const file of digestsFiles) {
    checkPath('digests-file', file, 'paths of files, one per line', mistake);
  }
  const gracePeriod = read('grace-period', '24h', durationOf);
  const unusedFor = read('unused-for', '24h', durationOf);
  const danglingReferrers = read('dangling-referrers', 'keep', (text, wrong) =>
    text === 'keep' || text === 'delete' ? text : wrong('`keep` or `delete`'),
  );
  const ledger = read('ledger-repository', 'auto', (text, wrong) =>
    ledgerOf(foldNames(text, family), wrong),
  );
  const usual = String(family?.concurrency ?? USUAL_CONCURRENCY);
  const concurrency = read('concurrency', usual, countFrom(1, MOST_CONCURRENCY));
  const keepUntagged = read('keep-untagged', '0', countFrom(0, MOST_KEPT));
  const protection = readProtected(place.registry?.host ?? '', family, mistake);
  const verify = read('verify', 'true', flagOf);
  const modes = readModes(dryRun === true, mistake, mistakes);
  const isNarrowing = modes.applyPlan !== undefined || modes.restoreFrom !== undefined;
  const surroundings = { family, env: process.env, isNarrowing };
  const repositories = readRepositories(core.getInput('repositories'), surroundings, mistake);
  const maxDeletes = read('max-deletes', '', maxDeletesOf);
  const reportFile = core.getInput('report-file') || undefined;
  const backupDirectory = core.getInput('backup-dir') || defaultBackupDirectory();
  if (modes.restoreFrom === undefined) {
    checkPlaces(
      dryRun === true ? { planFile: modes.planFile, reportFile } : { backupDirectory, reportFile },
      [
        ['apply-plan', modes.applyPlan ?? ''],
        ['ca-file', core.getInput('ca-file')],
        ...digestsFiles.map((file) => ['digests-file', file] as const),
      ],
      mistake,
    );
  }
  return {
    ...place,
    login,
    githubToken,
    insecure,
    ca,
    ...repositories,
    digests: readDigests(family),
    digestsFiles,
    dryRun,
    gracePeriod,
    unusedFor,
    danglingReferrers,
    keepUntagged,
    protection,
    protectFiles: entriesOf(core.getInput('protect-files')).filter((line) => !line.startsWith('#')),
    // Someone has seen what the plan deletes, so it is limited only if the input is given.
    maxDeletes: maxDeletes ?? (modes.applyPlan === undefined ? DEFAULT_MAX_DELETES : undefined),
    verify,
    backupDirectory,
    ...modes,
    ledger,
    concurrency,
    reportFile,
  };
}

function flagOf(text: string, wrong: Wrong): boolean | undefined {
  return FLAGS.get(text) ?? wrong('`true` or `false`');
}

type Modes = Pick<Settings, 'planFile' | 'applyPlan' | 'restoreFrom'>;

function readModes(dryRun: boolean, mistake: Mistake, mistakes: string[]): Modes {
  const given = MODES.filter((name) => core.getInput(name)).map((name) => `\`${name}\``);
  if (given.length > 1) {
    const names = new Intl.ListFormat('en-GB').format(given);
    mistakes.push(`${names} exclude each other: give one of them`);
    return {};
  }
  const [planFile, applyPlan, restoreFrom] = MODES.map((name) => core.getInput(name) || undefined);
  if (planFile !== undefined && !dryRun) {
    const takes = 'a path together with `dry-run: true`, since only a dry-run writes a plan';
    mistake('plan-file', takes, planFile);
  }
  if (applyPlan !== undefined) {
    const takes = 'the path of a plan that a dry-run wrote as its `plan-file`';
    checkPath('apply-plan', applyPlan, takes, mistake);
  }
  if (restoreFrom !== undefined) {
    const takes = 'a directory that a run of this action left as its `backup-dir`';
    checkPath('restore-from', restoreFrom, takes, mistake, 'directory');
  }
  return { planFile, applyPlan, restoreFrom };
}

function countFrom(least: number, most: number) {
  return (text: string, wrong: Wrong): number | undefined => {
    const value = /^\d{1,7}$/.test(text) ? Number(text) : -1;
    return value >= least && value <= most
      ? value
      : wrong(`a whole number from ${String(least)} to ${String(most)}`);
  };
}

function maxDeletesOf(text: string, wrong: Wrong): MaxDeletes | undefined {
  const [, amount, percent] = /^(\d{1,9}|\d{1,3}(?:\.\d{1,6})?(?=%))(%)?$/.exec(text) ?? [];
  const number = Number(amount);
  if (text === '') {
    return undefined;
  }
  if (percent === undefined && Number.isSafeInteger(number)) {
    return { kind: 'count', count: number };
  }
  return number <= 100
    ? { kind: 'share', percent: number, exempt: 0 }
    : wrong(
        'a whole number of manifests for the run, or a share of each repository such as `30%`, up to `100%`',
      );
}

/** GitHub's runner empties it after the job. Elsewhere it is in the system's directory for temporary files. */
function defaultBackupDirectory(): string {
  return path.join(process.env['RUNNER_TEMP'] || tmpdir(), 'registry-manifest-cleanup-backup');
}

function durationOf(text: string, wrong: Wrong): number | undefined {
  const takes =
    'a duration with its unit, such as `90m`, `24h` or `7d` (`m`, `h`, `d`, `w`, `y`, or words such as `2 weeks`), ' +
    'or `0` to switch it off';
  const duration = parseDuration(text);
  return typeof duration === 'number' ? duration : wrong(takes, duration.why || undefined);
}

function ledgerOf(text: string, wrong: Wrong): Settings['ledger'] | undefined {
  if (text === 'off' || text === 'auto') {
    return { kind: text };
  }
  return isRepository(text)
    ? { kind: 'named', repository: text }
    : wrong('a repository name such as `team/ledger`, `auto` or `off`');
}
