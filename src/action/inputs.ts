/**
 * The only reader of inputs. Collects every mistake before it complains, sends no request, and masks
 * what is secret before anything else can print it.
 */
import { tmpdir } from 'node:os';
import path from 'node:path';

import * as core from '@actions/core';

import { DEFAULT_MAX_DELETES, type MaxDeletes } from '../plan/brakes.js';
import { patternMistake, selectRepositories } from '../plan/selection.js';
import { isRepository } from '../oci/reference.js';
import { readProtect } from '../plan/protection.js';
import { parseDuration } from '../text/duration.js';
import { printable, type Printable } from '../text/printable.js';
import { checkPath, checkPlaces, readCaFile, type Mistake } from './paths.js';
import { FAMILIES, familyOf } from '../registry/families/families.js';
import type { LedgerChoice, Settings } from '../run/settings.js';
import { CodedError } from '../text/code.js';

const MOST_CONCURRENCY = 128;
const MOST_KEPT = 1_000_000;
/** How much of a wrong input is shown. */
const SHOWN = 80;

/** The two spellings of booleans beside these, `yes` and `on`, are strings in YAML 1.2. */
const TRUE = ['true', 'True', 'TRUE'];
const FALSE = ['false', 'False', 'FALSE'];

/** @throws CodedError that names every input that is wrong, what it got and what it takes */
export function readSettings(): Settings {
  const mistakes: string[] = [];
  const { registry, ...rest } = readInputs(mistakes, (input, takes, got, why) => {
    const given = got === undefined ? ':' : got === '' ? ' is empty' : ` is "${shorten(got)}"`;
    const wrong = (why === undefined ? '' : `: ${why}`) + (got === undefined ? '' : ';');
    mistakes.push(`${input}${given}${wrong} it takes ${takes}`);
    return undefined;
  });
  if (mistakes.length > 0 || registry === undefined) {
    const many =
      mistakes.length === 1 ? 'There is a mistake' : `${String(mistakes.length)} mistakes`;
    throw new CodedError(
      `${many} in the inputs, and nothing was done:\n` +
        mistakes.map((text) => `- ${text}`).join('\n'),
      'inputs-invalid',
    );
  }
  return { registry, ...rest };
}

/** What is mistaken has a value that nobody may use. */
function readInputs(
  mistakes: string[],
  mistake: Mistake,
): Omit<Settings, 'registry'> & { readonly registry: URL | undefined } {
  const login = readLogin(mistake);
  const registry = readRegistryUrl(core.getInput('registry-url'), mistake);
  const kind = readRegistryType(registry, mistake);
  const insecure = readFlag('insecure', 'false', mistake);
  const dryRun = readFlag('dry-run', 'false', mistake);
  const ca = readCaFile(core.getInput('ca-file'), mistake);
  const selection = readPatterns(core.getInput('repositories'), mistake);
  const digestsFiles = lines(core.getInput('digests-file'));
  digestsFiles.forEach((path) => {
    checkPath('digests-file', path, 'paths of files, one per line', mistake);
  });
  const gracePeriod = readDuration(core.getInput('grace-period') || '24h', mistake);
  const danglingReferrers = readDanglingReferrers(mistake);
  const ledger = readLedger(core.getInput('ledger-repository'), mistake);
  const concurrency = readCount('concurrency', '16', [1, MOST_CONCURRENCY], mistake);
  const keepUntagged = readCount('keep-untagged', '0', [0, MOST_KEPT], mistake);
  const protection = readProtected(registry?.host ?? '', mistake);
  const verify = readFlag('verify', 'true', mistake);
  const modes = readModes(dryRun, mistake, mistakes);
  const maxDeletes = readMaxDeletes(core.getInput('max-deletes'), mistake);
  const reportFile = core.getInput('report-file') || undefined;
  const backupDirectory = core.getInput('backup-dir') || defaultBackupDirectory();
  if (modes.restoreFrom === undefined) {
    checkPlaces(
      {
        backupDirectory: dryRun ? undefined : backupDirectory,
        planFile: dryRun ? modes.planFile : undefined,
        reportFile,
      },
      { 'apply-plan': modes.applyPlan, 'ca-file': core.getInput('ca-file') || undefined },
      digestsFiles,
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
    // A plan is no surprise: it can't delete more than somebody has seen, unless that was limited, too.
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
  return text
    .split(separator)
    .map((line) => line.trim())
    .filter((line) => line !== '');
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

function readFlag(input: string, otherwise: 'true' | 'false', mistake: Mistake): boolean {
  const text = core.getInput(input) || otherwise;
  if (!TRUE.includes(text) && !FALSE.includes(text)) {
    mistake(input, '`true` or `false`', text);
  }
  return TRUE.includes(text);
}

function readDanglingReferrers(mistake: Mistake): Settings['danglingReferrers'] {
  const text = core.getInput('dangling-referrers') || 'keep';
  if (text !== 'keep' && text !== 'delete') {
    mistake('dangling-referrers', '`keep` or `delete`', text);
  }
  return text === 'delete' ? 'delete' : 'keep';
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
  if (text === '') {
    return mistake('registry-url', takes, text);
  }
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const candidate = hasScheme ? text : `https://${text}`;
  if (text.includes('@')) {
    // Not quoted, whatever else is wrong: what stands before the @ may be a password.
    return mistake('registry-url', `${takes}. Credentials go into \`username\` and \`password\``);
  }
  if (!URL.canParse(candidate)) {
    return mistake('registry-url', takes, text);
  }
  const url = new URL(candidate);
  const path = url.pathname.replace(/^\/v2\/?$/, '/');
  if (!['http:', 'https:'].includes(url.protocol) || path !== '/' || url.search + url.hash !== '') {
    return mistake('registry-url', takes, text);
  }
  // Docker's rule: registries on this very machine speak http unless told otherwise.
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

/** What a run does instead of the usual; each of them goes alone. */
function readModes(dryRun: boolean, mistake: Mistake, mistakes: string[]): Modes {
  const given = ['plan-file', 'apply-plan', 'restore-from'].filter((name) => core.getInput(name));
  if (given.length > 1) {
    const [last, ...others] = given.map((name) => `\`${name}\``).reverse();
    const names = `${others.reverse().join(', ')} and ${String(last)}`;
    mistakes.push(`${names} exclude each other: give one of them`);
    return {};
  }
  const planFile = core.getInput('plan-file');
  if (planFile !== '') {
    if (!dryRun) {
      const takes = 'a path together with `dry-run: true`, since only a dry-run writes a plan';
      mistake('plan-file', takes, planFile);
    }
    return { planFile };
  }
  const applyPlan = core.getInput('apply-plan');
  if (applyPlan !== '') {
    const takes = 'the path of a plan that a dry-run wrote as its `plan-file`';
    checkPath('apply-plan', applyPlan, takes, mistake);
    return { applyPlan };
  }
  const restoreFrom = core.getInput('restore-from');
  if (restoreFrom !== '') {
    const takes = 'a directory that a run of this action left as its `backup-dir`';
    checkPath('restore-from', restoreFrom, takes, mistake, 'directory');
    return { restoreFrom };
  }
  return {};
}

function readCount(
  input: string,
  otherwise: string,
  [least, most]: readonly [number, number],
  mistake: Mistake,
): number {
  const text = core.getInput(input) || otherwise;
  const count = /^\d{1,7}$/.test(text) ? Number(text) : -1;
  if (count < least || count > most) {
    mistake(input, `a whole number from ${String(least)} to ${String(most)}`, text);
  }
  return count;
}

function readMaxDeletes(text: string, mistake: Mistake): MaxDeletes | undefined {
  if (text === '') {
    return undefined;
  }
  const [, amount = '', percent] = /^(\d{1,9}|\d{1,3}(?:\.\d{1,6})?(?=%))(%)?$/.exec(text) ?? [];
  const number = amount === '' ? Number.NaN : Number(amount);
  if (percent === undefined && Number.isSafeInteger(number)) {
    return { kind: 'count', count: number };
  }
  return number <= 100
    ? { kind: 'share', percent: number, exempt: 0 }
    : mistake(
        'max-deletes',
        'a whole number of manifests for the run, or a share of each repository such as `30%`, up to `100%`',
        text,
      );
}

/** Emptied by GitHub's runner after the job; elsewhere there is no such place. */
function defaultBackupDirectory(): string {
  return path.join(process.env['RUNNER_TEMP'] || tmpdir(), 'registry-manifest-cleanup-backup');
}

function readDuration(text: string, mistake: Mistake): number {
  const takes =
    'a duration with its unit, such as `90m`, `24h` or `7d` (`m`, `h`, `d`, `w`, `y`, or words such as `2 weeks`), ' +
    'or `0` to switch it off';
  const duration = parseDuration(text);
  if (typeof duration !== 'number') {
    mistake('grace-period', takes, text, duration.why || undefined);
    return 0;
  }
  return duration;
}

function readLedger(text: string, mistake: Mistake): LedgerChoice {
  if (text === 'off' || text === 'auto' || text === '') {
    return { kind: text || 'auto' };
  }
  if (!isRepository(text)) {
    mistake('ledger-repository', 'a repository name such as `team/ledger`, `auto` or `off`', text);
  }
  return { kind: 'named', repository: text };
}
