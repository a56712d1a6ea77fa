/** Everything that the inputs name in files, read before the first request. */
import { readFile } from 'node:fs/promises';

import { readIntake } from '../candidates/intake.js';
import { readApproval } from '../cleanup/approval.js';
import { withFiles, type Protection } from '../protection/protection.js';
import { count } from '../report/words.js';
import type { Named } from '../stages.js';
import type { Log } from './log.js';
import { readPinned } from './pinned.js';
import type { Settings } from './settings.js';

/**
 * @returns what the files name, and all that is protected: by the input and by the files
 * @throws IntakeError, PinnedError, ApprovalError
 */
export async function readNamed(
  settings: Settings,
  log: Log,
): Promise<{ readonly named: Named; readonly protection: Protection }> {
  const intake = await readIntake({
    digests: settings.digests,
    files: settings.digestsFiles,
    registryHost: settings.registry.host,
  });
  const files = await readPinned(settings.protectFiles);
  const pinned = {
    files: files.size,
    digests: new Set([...files.values()].flat()).size,
  };
  if (files.size > 0) {
    log.info(`protect-files: ${count(pinned.digests, 'digest')} in ${count(files.size, 'file')}`);
  }
  const { applyPlan, registry } = settings;
  const approval =
    applyPlan === undefined
      ? undefined
      : readApproval(await readFile(applyPlan, 'utf8'), registry.origin);
  return {
    named: { intake, pinned, ...(approval === undefined ? {} : { approval }) },
    protection: withFiles(settings.protection, files),
  };
}
