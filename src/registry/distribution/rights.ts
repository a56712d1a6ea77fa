/**
 * Finds out, before the first change, whether deletes would be taken: of a dry-run by what a token would grant,
 * of a real run by deleting what can't be there.
 */
import { randomBytes } from 'node:crypto';

import type { Grant } from '../../http/grant.js';
import { RequestFailure } from '../../http/message.js';
import { digestOf } from '../../oci/digest.js';
import { RegistryError, type RegistryErrorKind } from '../registry-error.js';
import type { Deleter, Rights } from '../registry.js';
import { scopeOf } from './client.js';

/** Answers that hold for every repository; what an account may do can differ between them. */
const EVERYWHERE: readonly RegistryErrorKind[] = ['deletes-off', 'read-only'];

/** So many repositories are asked, where the first answers say nothing. */
const MOST_ASKED = 3;

export function createRights(deleter: Deleter, granted: (scope: string) => Promise<Grant>): Rights {
  return {
    /**
     * Where the registry denies the repository itself, that says nothing of deletes, and the next one is asked:
     * some registries hide missing rights behind a 404.
     */
    async probeDeletes(repositories) {
      for (const repository of repositories.slice(0, MOST_ASKED)) {
        try {
          // The digest itself would only be looked for, in vain.
          const what = `delete a manifest (asked in ${repository}, with a digest that no manifest has)`;
          const digest = digestOf(randomBytes(32));
          await deleter.deleteManifest(repository, digest, { what, isHere: true });
          return undefined;
        } catch (error) {
          if (!(error instanceof RequestFailure)) {
            throw error;
          }
          const kind = error instanceof RegistryError ? error.kind : undefined;
          if (kind !== 'hidden') {
            return kind !== undefined && EVERYWHERE.includes(kind) ? error.message : undefined;
          }
        }
      }
      return undefined;
    },

    async lacksDelete(repository) {
      const scope = scopeOf(repository, 'pull,delete');
      const grant = await granted(scope);
      // Reads were granted before, so only the deletes are in question.
      if (grant.kind !== 'lacking' || grant.actions.includes('delete')) {
        return undefined;
      }
      const known = grant.actions.filter((action) => ['pull', 'push'].includes(action));
      const got = known.length === 0 ? 'nothing there' : `only \`${known.join(',')}\` there`;
      return (
        `these credentials can't delete in ${repository}: asked for \`${scope}\`, the token server grants ${got}. ` +
        'Give `username` and `password` of an account that may delete'
      );
    },
  };
}
