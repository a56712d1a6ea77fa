/** Protections for tests. */
import type { Protection } from '../../../src/plan/protection.js';

export const NO_PROTECTION: Protection = {
  digests: new Map(),
  pinned: new Map(),
  repositories: [],
};
