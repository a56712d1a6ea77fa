/**
 * Builds the programs of the tests that are written in Go, ahead of the tests: what takes minutes the first
 * time is then seen as what it is. The build is that of the tests themselves. Exits 0 only if all are there.
 */
import {
  findAttach,
  findDistribution3,
  findGcrane,
  findOlareg,
} from '../__tests__/support/servers/go-programs.js';

const programs = {
  'Distribution 3': findDistribution3,
  olareg: findOlareg,
  gcrane: findGcrane,
  attach: findAttach,
};

for (const [name, find] of Object.entries(programs)) {
  try {
    if (find() === undefined) {
      throw new Error(`${name} is missing. Go 1.26 or later builds it.`);
    }
    console.log(`${name} is there.`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
