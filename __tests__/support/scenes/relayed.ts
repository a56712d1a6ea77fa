/** A real registry behind a relay that can answer in its place. Both end with the test. */
import type { RealRegistryKind } from '../servers/real-registries.js';
import type { RealRegistry } from '../servers/real-registry.js';
import { startRelay, type Relay } from '../servers/relay.js';
import { stopAfterTest } from '../servers/stop-after-test.js';

export interface Relayed {
  readonly registry: RealRegistry;
  readonly relay: Relay;
}

export async function startRelayed({ start }: Pick<RealRegistryKind, 'start'>): Promise<Relayed> {
  const registry = stopAfterTest(await start());
  return { registry, relay: stopAfterTest(await startRelay(registry)) };
}
