/** Everything that the inputs name in files, read before the first request. */
import { IntakeError } from '../run/candidates/candidate.js';
import { readIntake } from '../run/candidates/intake.js';
import { ApprovalError, readApproval, type Approval } from '../plan/approval.js';
import { readRegular } from '../run/files/regular.js';
import { UnusablePath } from '../run/files/why.js';
import { withFiles, type Protection } from '../plan/protection.js';
import { messageOf } from '../text/error.js';
import { count, number } from '../text/words.js';
import type { Log } from './log.js';
import { readPinned } from './pinned.js';
import type { Settings, Named } from '../run/settings.js';
import { coded } from '../text/code.js';

/** Half a million manifests. */
const MOST_PLAN_BYTES = 128 * 1024 * 1024;
/** From here on the digests of `protect-files` are likely to be most of what a run asks for. */
const MANY_PINNED = 1000;

/**
 * @returns what the files name, and all that is protected: by the input and by the files
 * @throws IntakeError, PinnedError, ApprovalError, or one error with the messages of several of them
 */
export async function readNamed(
  settings: Settings,
  log: Log,
): Promise<{ readonly named: Named; readonly protection: Protection }> {
  const { digests, digestsFiles, protectFiles, applyPlan, registry } = settings;
  const errors: unknown[] = [];
  const note = (error: unknown): undefined => {
    errors.push(error);
  };
  const intake = await readIntake({
    digests,
    files: digestsFiles,
    registryHost: registry.host,
    mistake: (message) => errors.push(new IntakeError(message)),
    warning: (message) => log.warning(message),
  }).catch(note);
  const files = await readPinned(protectFiles).catch(note);
  const approval = await Promise.resolve(applyPlan)
    .then((file) => readPlan(file, registry))
    .catch(note);
  if (intake === undefined || files === undefined || errors.length > 0) {
    const messages = errors.map((error) => messageOf(error));
    throw errors.length === 1 ? errors[0] : new AggregateError(errors, messages.join('\n'));
  }
  const pinned = { files: files.size, digests: new Set([...files.values()].flat()).size };
  if (files.size > 0) {
    log.info(`protect-files: ${count(pinned.digests, 'digest')} in ${count(files.size, 'file')}`);
    if (pinned.digests > MANY_PINNED) {
      const many = number(pinned.digests);
      log.warning(
        coded(
          `protect-files: ${many} digests are protected. Each of them is asked for in each repository that has orphans, ` +
            `unless it was seen there, so the run may send ${many} more requests for each such repository. Narrow the ` +
            'globs to the files that say what is deployed',
          'protection-large',
        ),
      );
    }
    if (pinned.digests === 0) {
      log.warning(
        coded(
          `protect-files: no digest in ${count(files.size, 'file')}, so it protects nothing. A digest is \`sha256:\` with 64 ` +
            'hex digits',
          'protection-empty',
        ),
      );
    }
  }
  return {
    named: { intake, pinned, approval },
    protection: withFiles(settings.protection, files),
  };
}

function readPlan(file: string | undefined, registry: URL): Approval | undefined {
  if (file === undefined) {
    return undefined;
  }
  try {
    return readApproval(readRegular(file, MOST_PLAN_BYTES).toString('utf8'), registry.origin);
  } catch (error) {
    throw error instanceof UnusablePath
      ? new ApprovalError(
          `apply-plan: "${file}" can't be read: ${error.message}. Give the path of a plan; a very large one can be made ` +
            'in parts, with `repositories`',
          { cause: error },
        )
      : error;
  }
}
