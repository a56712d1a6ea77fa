/** The settings of a run that cleans all of a registry, and keeps nothing for its age. */
import { selectRepositories } from '../../../src/plan/selection.js';
import type { CleanSettings } from '../../../src/run/settings.js';
import { NO_PROTECTION } from './protections.js';

export function cleanSettings(
  registry: string,
  backupDirectory: string,
  more: Partial<CleanSettings> = {},
): CleanSettings {
  return {
    registry: new URL(registry),
    registryType: 'auto',
    ledger: { kind: 'off' },
    selection: selectRepositories([]),
    concurrency: 1,
    dryRun: false,
    gracePeriod: 0,
    unusedFor: 0,
    danglingReferrers: 'keep',
    keepUntagged: 0,
    protection: NO_PROTECTION,
    verify: true,
    backupDirectory,
    ...more,
  };
}
