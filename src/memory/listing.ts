/**
 * The memory of a run over a registry that lists its manifests: none. Each read of a repository begins with the
 * listing, so nothing has to be remembered between runs (docs/adr/0007).
 */
import type { Memory } from './memory.js';

export const LISTING_MEMORY: Memory = {
  isItself: () => false,
  recall: () => Promise.resolve(undefined),
  saw: () => Promise.resolve(undefined),
  swept: () => Promise.resolve(),
  news: () => undefined,
};
