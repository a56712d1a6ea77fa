/**
 * The only reader of inputs. Collects every mistake before it reports them, sends no request, and masks
 * what is secret before anything else can print it.
 */
import { tmpdir } from 'node:os';
import path from 'node:path';

import * as core from '@actions/core';

import { DEFAULT_MAX_DELETES, type MaxDeletes } from '../plan/brakes.js';
import { patternMistake, selectRepositories } from '../plan/selection.js';
import { isRepository } from '../oci/reference.js';
import { readProtect } from '../plan/protection.js';
import { CodedError } from '../text/code.js';
import { parseDuration } from '../text/duration.js';
import { printable, type Printable } from '../text/printable.js';
import { count } from '../text/words.js';
import { checkPath, checkPlaces, readCaFile, type Mistake } from './paths.js';
import { FAMILIES, familyOf } from '../registry/families/families.js';
import type { Settings } from '../run/settings.js';

const MOST_CONCURRENCY = 128;
const MOST_KEPT = 1_000_000;
/** How much of a wrong input is shown. */
const SHOWN = 80;

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
  const registry = readRegistryUrl(core.getInput('registry-url'), mistake);
  const kind = readRegistryType(registry, mistake);
  const insecure = read('insecure', 'false', flagOf);
  const dryRun = read('dry-run', 'false', flagOf);
  const ca = readCaFile(core.getInput('ca-file'), mistake);
  const selection = readPatterns(core.getInput('repositories'), mistake);
  const digestsFiles = lines(core.getInput('digests-file'));
  for (const file of digestsFiles) {
    checkPath('digests-file', file, 'paths of files, one per line', mistake);
  }
  const gracePeriod = read('grace-period', '24h', durationOf);
  const danglingReferrers = read('dangling-referrers', 'keep', (text, wrong) =>
    text === 'keep' || text === 'delete' ? text : wrong('`keep` or `delete`'),
  );
  const ledger = read('ledger-repository', 'auto', ledgerOf);
  const concurrency = read('concurrency', '16', countFrom(1, MOST_CONCURRENCY));
  const keepUntagged = read('keep-untagged', '0', countFrom(0, MOST_KEPT));
  const protection = readProtected(registry?.host ?? '', mistake);
  const verify = read('verify', 'true', flagOf);
  const modes = readModes(dryRun === true, mistake, mistakes);
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
    registry,
    ...kind,
    login,
    insecure,
    ca,
    selection,
    digests: core.getInput('digests'),
    digestsFiles,
    dryRun,
    gracePeriod,
    danglingReferrers,
    keepUntagged,
    protection,
    protectFiles: lines(core.getInput('protect-files')).filter((line) => !line.startsWith('#')),
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

function shorten(text: string): Printable {
  return printable(text, SHOWN);
}

function lines(text: string, separator: string | RegExp = '\n'): string[] {
  const all = text.split(separator).map((line) => line.trim());
  return all.filter((line) => line !== '');
}

function readLogin(mistake: Mistake): Settings['login'] {
  const username = core.getInput('username');
  const password = core.getInput('password');
  if (password !== '') {
    core.setSecret(password);
  }
  const alone = 'neither of them works alone';
  if (username !== '' && password === '') {
    mistake('password', `the password or token that goes with \`username\`; ${alone}`, '');
  }
  if (password !== '' && username === '') {
    mistake('username', `the account that \`password\` belongs to; ${alone}`, '');
  }
  if (username.includes(':')) {
    // Not quoted: what stands after the colon is likely a password.
    mistake('username', 'a name without a colon (RFC 7617 gives it another meaning)');
  }
  return password === '' ? undefined : { username, password };
}

function flagOf(text: string, wrong: Wrong): boolean | undefined {
  return FLAGS.get(text) ?? wrong('`true` or `false`');
}

/** @param host of the registry, with its port */
function readProtected(host: string, mistake: Mistake): Settings['protection'] {
  return readProtect(core.getInput('protect'), host, (entry, behindHost) => {
    const takes =
      behindHost === undefined
        ? 'digests, `repository@sha256:…` and repository names or globs such as `team/**`, without exclusions'
        : `the host of this registry with its port or not at all: \`${host}/${shorten(behindHost)}\` or ` +
          `\`${shorten(behindHost)}\`, and \`${host}/${shorten(entry)}\` for a repository whose name begins so`;
    mistake('protect', takes, entry);
  });
}

function readRegistryUrl(text: string, mistake: Mistake): URL | undefined {
  const takes =
    'a registry as `host`, `host:port` or `https://host:port`, without a path, user name or query';
  if (text.includes('@')) {
    // Not quoted, even if something else is wrong, too: what stands before the @ may be a password.
    return mistake('registry-url', `${takes}. Credentials go into \`username\` and \`password\``);
  }
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const whole = hasScheme ? text : `https://${text}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (
    url === undefined ||
    !['http:', 'https:'].includes(url.protocol) ||
    !/^\/(?:v2\/?)?$/.test(url.pathname) ||
    url.search + url.hash !== ''
  ) {
    return mistake('registry-url', takes, text);
  }
  // Docker's rule: registries on the same machine use http by default.
  return new URL(!hasScheme && isLoopback(url.hostname) ? `http://${url.host}` : url.origin);
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

/** Which family the registry belongs to, and where that family's own API is. */
function readRegistryType(
  registry: URL | undefined,
  mistake: Mistake,
): Pick<Settings, 'registryType' | 'apiUrl'> {
  const registryType = core.getInput('registry-type') || 'auto';
  const names = FAMILIES.map(({ name }) => `\`${name}\``).join(', ');
  const family = registry && familyOf({ registry, registryType });
  if (registry !== undefined && family === undefined) {
    mistake('registry-type', `\`auto\` or one of ${names}`, registryType);
  }
  const text = core.getInput('api-url');
  if (text === '') {
    return { registryType };
  }
  const apiUrl = URL.canParse(text) ? new URL(text) : undefined;
  if (family?.hasApi === false) {
    mistake(
      'api-url',
      `nothing: a registry of the type \`${family.name}\` has no API beside \`/v2/\``,
      text,
    );
  } else if (apiUrl === undefined || !/^https?:$/.test(apiUrl.protocol) || apiUrl.username !== '') {
    mistake('api-url', 'an address such as `https://api.example.com`, without a user name', text);
  }
  return { registryType, apiUrl };
}

function readPatterns(text: string, mistake: Mistake) {
  const good = lines(text, /[\n,]/).filter((pattern) => {
    const wrong = patternMistake(pattern);
    if (wrong !== undefined) {
      mistake(
        'repositories',
        `repository names and globs such as \`team/app\`, \`team/**\` or \`!team/legacy-*\`, in lower case; this one is ${wrong}`,
        pattern,
      );
    }
    return wrong === undefined;
  });
  return selectRepositories(good);
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
