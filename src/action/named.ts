/** Everything that the inputs name in files, read before the first request. */
import { readFile } from 'node:fs/promises';

import { readIntake } from '../candidates/intake.js';
import { readApproval, type Approval } from '../cleanup/approval.js';
import { withFiles, type Protection } from '../protection/protection.js';
import { count } from '../report/words.js';
import type { Named } from '../stages.js';
import type { Log } from './log.js';
import { readPinned } from './pinned.js';
import type { Settings } from './settings.js';

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
  }).catch(note);
  const files = await readPinned(protectFiles).catch(note);
  const approval = await readPlan(applyPlan, registry).catch(note);
  if (intake === undefined || files === undefined || errors.length > 0) {
    throw oneOf(errors);
  }
  const pinned = {
    files: files.size,
    digests: new Set([...files.values()].flat()).size,
  };
  if (files.size > 0) {
    log.info(`protect-files: ${count(pinned.digests, 'digest')} in ${count(files.size, 'file')}`);
    if (pinned.digests === 0) {
      log.warning(
        `protect-files: no digest in ${count(files.size, 'file')}, so it protects nothing. A digest is \`sha256:\` with 64 ` +
          'hex digits behind it',
      );
    }
  }
  return {
    named: { intake, pinned, ...(approval === undefined ? {} : { approval }) },
    protection: withFiles(settings.protection, files),
  };
}

async function readPlan(file: string | undefined, registry: URL): Promise<Approval | undefined> {
  return file === undefined
    ? undefined
    : readApproval(await readFile(file, 'utf8'), registry.origin);
}

function oneOf(errors: readonly unknown[]): unknown {
  const messages = errors.map((error) => (error instanceof Error ? error.message : String(error)));
  return errors.length === 1 ? errors[0] : new AggregateError(errors, messages.join('\n'));
}
