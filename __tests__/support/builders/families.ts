/** Families as values, for what reads only their description: none of them can be opened. */
import type { Family } from '../../../src/registry/registry.js';

function open(): never {
  throw new Error('this family is only a description');
}

/** A registry of the GitHub that runs the workflow, with an API beside it. */
export const OF_GITHUB: Family = {
  name: 'of-github',
  hasApi: true,
  isOfGitHub: true,
  concurrency: 64,
  matches: () => true,
  api: (_registry, github) => github?.api,
  open,
};

/** Any other registry with an API beside it. */
export const OTHER: Family = {
  name: 'other',
  hasApi: true,
  matches: () => true,
  api: () => new URL('https://api.example.com'),
  open,
};
