/** Keeps the ledger's own tags out of what is cleaned, where it lies in a repository of users. */
import type { Reader } from '../../registry/registry.js';
import { parseEntryTag } from './artifact.js';

/**
 * The tags of the ledger's entries come and go with every run, and keep nothing that users pushed. In a
 * repository that is cleaned and has the ledger in it, they are left out of what is read and verified.
 */
export function withoutEntries(reader: Reader, ledger: string | undefined): Reader {
  return {
    ...reader,
    async tags(repository) {
      const tags = await reader.tags(repository);
      return repository === ledger ? tags.filter((tag) => parseEntryTag(tag) === undefined) : tags;
    },
  };
}
