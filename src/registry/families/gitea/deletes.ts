/**
 * Deletes of versions by the packages API, each by its own name. `/v2/` would delete all tags of a manifest with it,
 * those too that came after the recheck. Without a version the address is that of the whole package, which a DELETE
 * removes.
 */
import { isDigest } from '../../../oci/digest.js';
import { isTag } from '../../../oci/reference.js';
import { guarded } from '../../guard.js';
import type { Deleter, Reader } from '../../registry.js';
import { imageOf, type GiteaApi } from './api.js';

/** The message of a 404 for a version that isn't there (Gitea, models/packages/package.go). */
const GONE = /package does not exist/i;

export function createVersionDeleter(api: GiteaApi, reader: Pick<Reader, 'resolve'>): Deleter {
  return {
    /** The digest goes first: a run that is killed then leaves a manifest that its tags still name, as pushes do. */
    async deleteManifest(repository, digest, options = {}) {
      const { tags = [], isLate, what = `delete ${repository}@${digest}` } = options;
      guarded('digest', digest, isDigest);
      tags.forEach((tag) => guarded('tag', tag, isTag));
      const remove = (version: string) => removeVersion(api, repository, version, what, isLate);
      let isDeleted = await remove(digest);
      for (const tag of tags) {
        // Right before the delete: it may point elsewhere now, at a manifest in use.
        if ((await reader.resolve(repository, tag)) === digest) {
          isDeleted = (await remove(tag)) || isDeleted;
        }
      }
      return isDeleted ? 'deleted' : 'gone';
    },
  };
}

/** @returns whether there was such a version */
async function removeVersion(
  api: GiteaApi,
  repository: string,
  version: string,
  what: string,
  isLate?: () => boolean,
): Promise<boolean> {
  const { owner, name } = imageOf(repository);
  const parts = [owner, 'container', name, guarded('version', version, isVersion)];
  const path = parts.map(encodeURIComponent).join('/');
  const answer = await api.ask(path, what, { method: 'DELETE', isLate });
  if (answer.status === 204) {
    return true;
  }
  if (answer.status === 404 && GONE.test(api.messageOf(answer) ?? '')) {
    return false;
  }
  throw api.refusal(answer, owner, what);
}

function isVersion(text: string): boolean {
  return isDigest(text) || isTag(text);
}
