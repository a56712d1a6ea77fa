/** Plain Distribution, and every registry that no other family knows: it can't list untagged manifests. */
import { openDistribution } from '../distribution/distribution.js';
import type { Advice, Family } from '../registry.js';

export const ADVICE: Advice = {
  allowDeletes:
    'start Distribution with `REGISTRY_STORAGE_DELETE_ENABLED=true` (`storage.delete.enabled` in its configuration), ' +
    'olareg with `--api-delete`. If it is a pull-through cache, it never deletes: clean the registry behind it',
  freeDisk: [
    'Plain Distribution (`registry:2`, `registry:3`) does so only when told to, on its own machine, here with the path of its configuration file:',
    '',
    '```sh',
    'registry garbage-collect /etc/docker/registry/config.yml',
    '```',
    '',
    'Stop the registry first, or make it read-only (`storage.maintenance.readonly`): an image that is pushed meanwhile may lose layers. Leave out `--delete-untagged` (`-m`): with it, Distribution 2.x removes the children of tagged indexes.',
  ].join('\n'),
  keepBlobs:
    "Do not collect the registry's garbage before the problems above are solved. Until then the registry still has the " +
    'layers of what broke, or may have, and a push or `restore-from` brings it back. The garbage collection frees them ' +
    'for good.',
  restore: "as long as the registry's garbage collector has not freed their layers",
};

export const distribution: Family = {
  name: 'distribution',
  hasApi: false,
  matches: () => true,
  open: (connection) => openDistribution(connection, 'Distribution', ADVICE),
};
