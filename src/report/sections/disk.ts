/** How the disk space comes back on plain Distribution, which collects its garbage by hand only. */
import type { Section } from '../fit.js';
import type { Run } from '../../run/run.js';
import { isInDoubt, type Totals } from '../totals.js';

const COMMAND = 'registry garbage-collect /etc/docker/registry/config.yml';

export function diskSection(run: Run, sums: Totals): Section | undefined {
  if (isInDoubt(sums)) {
    return {
      before:
        "### To free the disk\n\nDo not collect the registry's garbage before the problems above are mended. Until " +
        'then the registry still has the layers of what broke, or may have, and a push or `restore-from` brings it back. The ' +
        'garbage collection frees them for good.\n',
    };
  }
  if (
    sums.deleted + sums.planned + (run.settings.planFile === undefined ? 0 : sums.refused) ===
    0
  ) {
    return undefined;
  }
  const when = run.settings.dryRun ? 'After a real run, deleted manifests' : 'Deleted manifests';
  return {
    before: [
      '### To free the disk',
      '',
      `${when} leave their blobs behind until the registry collects its garbage. Plain Distribution (\`registry:2\`, \`registry:3\`) does so only when told to, on its own machine, here with the path of its configuration file:`,
      '',
      '```sh',
      COMMAND,
      '```',
      '',
      'Stop the registry first, or make it read-only (`storage.maintenance.readonly`): an image that is pushed meanwhile may lose layers. Leave out `--delete-untagged` (`-m`): with it, Distribution 2.x removes the children of tagged indexes.',
      '',
    ].join('\n'),
  };
}
