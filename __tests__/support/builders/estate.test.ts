/** The estate is well-formed, and both kinds of registry hold exactly it. */
import { expect, it, jest } from '@jest/globals';

import { onDisk, startDockerRegistry, storageListing } from '../servers/docker-registry.js';
import { estate, going, pushEstate, seedEstate, staying } from './estate.js';
import { startMemoryRegistry } from '../servers/memory/registry.js';
import { emptyState, type RegistryState } from '../servers/memory/state.js';
import { describeWith } from '../servers/describe-with.js';
import { findDockerRegistry } from '../servers/programs.js';

// Starting and filling a real registry has no time of its own on a busy machine.
jest.setTimeout(60_000);

const program = findDockerRegistry();

function held(state: RegistryState): Set<string> {
  return new Set(
    [...state.repositories].flatMap(([name, { manifests }]) =>
      [...manifests.keys()].map((digest) => `${name}@${digest}`),
    ),
  );
}

function tags(state: RegistryState): Map<string, ReadonlyMap<string, string>> {
  return new Map([...state.repositories].map(([name, repository]) => [name, repository.tags]));
}

it('the estate is the same whether it is seeded or pushed', async () => {
  const whole = estate(Date.now());
  const seeded = emptyState();
  seedEstate(seeded, whole);
  const registry = await startMemoryRegistry();
  try {
    await pushEstate(registry, whole);
    expect(held(registry.state)).toEqual(held(seeded));
    expect(tags(registry.state)).toEqual(tags(seeded));
    expect([...registry.state.blobs.keys()].sort()).toEqual([...seeded.blobs.keys()].sort());
  } finally {
    await registry.stop();
  }
});

it('the estate says of each manifest why it stays or goes', () => {
  const whole = estate(Date.now());
  expect(whole.expectations.filter(({ why }) => why === '')).toEqual([]);
  expect(staying(whole).size + going(whole).size).toBe(whole.expectations.length);
  expect(going(whole).size).toBeGreaterThan(20);
});

describeWith('docker-registry', program, 'the estate on docker-registry', () => {
  it('is on disk, manifest by manifest', async () => {
    if (program === undefined) {
      throw new Error('docker-registry is missing');
    }
    const whole = estate(Date.now());
    const registry = await startDockerRegistry(program);
    try {
      await pushEstate(registry, whole);
      expect(onDisk(registry.directory)).toEqual(new Set([...staying(whole), ...going(whole)]));
      expect(storageListing(registry.directory).join('\n')).toContain(
        '/_manifests/revisions/sha256/',
      );
    } finally {
      await registry.stop();
    }
  });
});
