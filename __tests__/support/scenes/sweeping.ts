/** Sweeps of the one repository of a scene, and what they came to. */
import { endsOf, NO_ENDS } from '../builders/fates.js';
import { sweepRepository } from '../../../src/run/sweep.js';
import { OCI_INDEX } from '../../../src/oci/media-types.js';
import { image, type Content } from '../builders/build.js';
import type { Interceptor } from '../servers/memory/script.js';
import { jsonAnswer, when } from '../clients/client.js';
import { digests, type Looking, type Scene } from './survey.js';

export const current = image('current');
export const old = image('old');
export const older = image('older');

export const NOTHING = { ...NO_ENDS, broken: [], unverified: false };

/** Sweeps, with lists in place of the map of fates, and without the numbers of what was verified. */
export async function carryOut(
  ...given: Parameters<typeof sweepRepository>
): Promise<ReturnType<typeof endsOf>> {
  const { verified: _, ...outcome } = await sweepRepository(...given);
  return endsOf(outcome);
}

/** Looks, lets the world move on, and sweeps. */
export async function sweep(
  scene: Scene,
  candidates: readonly Content[],
  meanwhile: () => void = () => undefined,
  more: Partial<Looking> = {},
): Promise<ReturnType<typeof endsOf>> {
  const survey = await scene.look(candidates, more);
  scene.registry.requests.length = 0;
  meanwhile();
  return carryOut(survey, digests(candidates), scene.options(more));
}

/** The digests of the DELETE requests, in order, each try counted. */
export function deletes({ registry }: Scene): (string | undefined)[] {
  return registry.requests
    .filter(({ method }) => method === 'DELETE')
    .map(({ path }) => path.split('/').at(-1));
}

/** A registry that lists these as referrers, of what it still has. */
export function listing(
  { app }: Scene,
  listed: ReadonlyMap<Content, readonly Content[]>,
): Interceptor {
  return when(/referrers/, ({ path: where }) => {
    const found = [...listed].find(([{ digest }]) => where.endsWith(digest))?.[1] ?? [];
    const manifests = found.filter(({ digest }) => app.manifests.has(digest));
    return jsonAnswer(
      { manifests: manifests.map(({ descriptor }) => descriptor) },
      { 'Content-Type': OCI_INDEX },
    );
  });
}
