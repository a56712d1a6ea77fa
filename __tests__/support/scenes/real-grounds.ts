/** Tests on each real registry that takes manifests as Distribution does, one after the other on the same one. */
import { afterAll, beforeAll } from '@jest/globals';

import { describeWith } from '../servers/describe-with.js';
import { realRegistries } from '../servers/real-registries.js';
import { realGround, type Ground } from './estate-registry.js';

/** @param tests gets a function that gives the registry and the name of a new repository in it */
export function onRealGrounds(
  tests: (next: () => { readonly ground: Ground; readonly repository: string }) => void,
): void {
  for (const kind of realRegistries.filter((each) => each.name !== 'olareg')) {
    describeWith(kind.name, kind.found, `on ${kind.name}`, () => {
      let ground: Ground;
      let n = 0;

      beforeAll(async () => {
        ground = await realGround(kind);
      });

      afterAll(() => ground.stop());

      tests(() => {
        n += 1;
        return { ground, repository: `team/app-${String(n)}` };
      });
    });
  }
}
