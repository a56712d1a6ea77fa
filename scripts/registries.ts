/**
 * Builds the programs of the tests that are written in Go, installs Pulp, and prepares the databases of Gitea and Pulp,
 * ahead of the tests: what takes minutes the first time is then seen as what it is. The code is that of the tests
 * themselves. Exits 0 only if all are there.
 */
import {
  findAttach,
  findDistribution3,
  findGcrane,
  findOlareg,
} from '../__tests__/support/servers/go-programs.js';
import { findGitea } from '../__tests__/support/servers/gitea.js';
import { findPulp } from '../__tests__/support/servers/pulp.js';

const FROM_GO = 'Go 1.26 or later builds it.';
const programs = {
  'Distribution 3': [findDistribution3, FROM_GO],
  olareg: [findOlareg, FROM_GO],
  gcrane: [findGcrane, FROM_GO],
  attach: [findAttach, FROM_GO],
  Gitea: [findGitea, `${FROM_GO} It needs PostgreSQL (apt-get install postgresql).`],
  Pulp: [
    findPulp,
    'Python 3.11 or later and PostgreSQL run it (apt-get install python3-venv postgresql).',
  ],
} as const;

for (const [name, [find, remedy]] of Object.entries(programs)) {
  try {
    if (find() === undefined) {
      throw new Error(`${name} is missing. ${remedy}`);
    }
    console.log(`${name} is there.`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
