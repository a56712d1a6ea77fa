/**
 * The rights to delete. The token that `/v2/token` gives for an access token tells its scopes. Only a write tells
 * whether the account may write the packages of an owner. The packages API looks for the version first, and so
 * tells nothing of rights by a version that isn't there; `/v2/` asks for the rights first.
 */
import { randomBytes } from 'node:crypto';

import { RequestFailure } from '../../../http/message.js';
import { digestOf } from '../../../oci/digest.js';
import { scopeOf } from '../../distribution/client.js';
import { RegistryError } from '../../registry-error.js';
import type { Connection, Deleter, Rights } from '../../registry.js';
import { imageOf, RIGHTS } from './api.js';

/** The most owners that are asked for: each question is a request that would write. */
const MOST_ASKED = 3;

/** @param deleter by `/v2/` */
export function createOwnerRights(deleter: Deleter, granted: Connection['granted']): Rights {
  /** @returns the refusal; `undefined` when the account may delete there, or nobody says */
  async function whyRefused(repository: string): Promise<string | undefined> {
    const what = `delete a manifest (asked in ${repository}, with a digest that no manifest has)`;
    try {
      await deleter.deleteManifest(repository, digestOf(randomBytes(32)), { what });
      return undefined;
    } catch (error) {
      if (!(error instanceof RequestFailure)) {
        throw error;
      }
      const isRefused = error instanceof RegistryError && error.kind === 'forbidden';
      return isRefused ? error.message : undefined;
    }
  }

  return {
    async lacksDelete(repository) {
      const grant = await granted(scopeOf(repository, 'pull,delete'));
      return grant.kind === 'lacking'
        ? `this access token can't delete in ${repository}: it lacks the scope \`write:package\`. ${RIGHTS}`
        : undefined;
    },

    /** An owner that refuses says nothing of the others. */
    async probeDeletes(repositories) {
      const owners = new Map(repositories.map((each) => [imageOf(each).owner, each]));
      if (owners.size > MOST_ASKED) {
        return undefined;
      }
      let why: string | undefined;
      for (const repository of owners.values()) {
        why = await whyRefused(repository);
        if (why === undefined) {
          return undefined;
        }
      }
      return why;
    },
  };
}
