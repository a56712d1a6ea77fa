/**
 * Blobs that stay when their manifests are deleted. The server frees a blob with the last version that has it, and then
 * takes no push of a manifest that names it. A mount from an image into itself puts the blob beside the versions, where
 * uploads wait for their manifest. It is freed there by the server's task `cleanup_packages` once it is a day old
 * (Gitea, services/packages/container/cleanup.go). A blob that waits there already keeps the time of its first mount.
 */
import { isDigest } from '../../../oci/digest.js';
import { isRepository } from '../../../oci/reference.js';
import { isSuccess } from '../../distribution/errors.js';
import { guarded } from '../../guard.js';
import { RegistryError } from '../../registry-error.js';
import type { Parking } from '../../registry.js';
import type { GiteaClient } from './client.js';

/** `OLDER_THAN` of the task, unless the administrator has changed it. */
const WINDOW = 24 * 60 * 60 * 1000;

export function createParking(client: GiteaClient): Parking {
  return {
    window: WINDOW,
    async park(repository, blob) {
      guarded('repository', repository, isRepository);
      const url = client.url(`${repository}/blobs/uploads/`);
      url.searchParams.set('mount', guarded('digest', blob, isDigest));
      url.searchParams.set('from', repository);
      // A second mount does nothing, and an upload that nobody goes on with is dropped.
      const answer = await client.sendTo(url, 'POST', repository, { repeatable: true });
      if (isSuccess(answer, 201)) {
        return;
      }
      const what = `keep the blob ${blob} of ${repository} beyond its manifest`;
      throw answer.status === 202
        ? new RegistryError(
            'unexpected',
            `could not ${what}: the server starts an upload where it was asked to mount the blob, so it does not have it ` +
              'there or does not mount',
          )
        : client.refusal(answer, what);
    },
  };
}
