import { expect, it } from '@jest/globals';

import { repositoriesByName } from '../../src/run/run.js';
import { inventory, plan, run, unswept } from '../support/builders/examples.js';

it('the repositories of a run are sorted by the code units of their names', () => {
  const repositories = ['b', 'a/z', 'a', 'a-b'].map((name) =>
    unswept({ inventory: inventory(name), plan: plan(name), warnings: [] }),
  );
  const sorted = repositoriesByName(run(repositories));
  expect(sorted.map((each) => each.inventory.repository)).toEqual(['a', 'a-b', 'a/z', 'b']);
});
