/**
 * A process of its own with an in-memory registry of very many small repositories, so that its memory is not
 * mistaken for the action's. The parent tells it over IPC what to do next.
 */
import { image } from '../../__tests__/support/builders/build.js';
import { startMemoryRegistry } from '../../__tests__/support/servers/memory/registry.js';
import { linkBlob } from '../../__tests__/support/servers/memory/state.js';
import { seed } from '../../__tests__/support/clients/push.js';
import { digestOf } from '../../src/oci/digest.js';

export type Order =
  | { readonly kind: 'fill'; readonly repositories: number; readonly tags: number }
  /** a tag moves to a new image, in every `every`th repository */
  | { readonly kind: 'move'; readonly every: number }
  /** what was asked since the last time */
  | { readonly kind: 'tally' };

export interface Answer {
  readonly url: string;
  /** by method */
  readonly requests: Readonly<Record<string, number>>;
  readonly manifests: number;
  /** of the ledger: entries, and bytes of their blobs */
  readonly ledger: { readonly entries: number; readonly bytes: number };
}

const LEDGER = 'manifest-cleanup-ledger';
/** Layers that all images of a repository share, as those of an application do, and such of their own. */
const SHARED = ['base 1', 'base 2', 'base 3', 'base 4', 'base 5'];
const OWN = 3;
const EMPTY = digestOf(Buffer.from('{}'));

if (process.send !== undefined) {
  const registry = await startMemoryRegistry();
  const { state } = registry;
  const names: string[] = [];

  const fill = (repository: string, tag: string, version: string): void => {
    const base = SHARED.map((layer) => `${repository} ${layer}`);
    const content = image(`${repository} ${tag} ${version}`, { base, layers: OWN });
    // No run reads a layer: only what is read takes memory.
    seed(state, repository, { ...content, blobs: new Map() }, tag);
    // A repository without any blob is in no catalog of Distribution's.
    linkBlob(state, repository, EMPTY, Buffer.from('{}'));
  };
  const perform = (order: Order): void => {
    if (order.kind === 'fill') {
      for (let n = 0; n < order.repositories; n += 1) {
        const name = `team-${String(n % 100)}/app-${String(n)}`;
        names.push(name);
        for (let tag = 0; tag < order.tags; tag += 1) {
          fill(name, `v${String(tag)}`, 'first');
        }
      }
    } else if (order.kind === 'move') {
      names
        .filter((_, n) => n % order.every === 0)
        .forEach((name) => {
          fill(name, 'v0', 'second');
        });
    }
  };

  process.on('message', (order: Order) => {
    perform(order);
    const requests: Record<string, number> = {};
    for (const { method } of registry.requests) {
      requests[method] = (requests[method] ?? 0) + 1;
    }
    registry.requests.length = 0;
    const entries = state.repositories.get(LEDGER);
    const bytes = [...(entries?.manifests.values() ?? [])].flatMap((manifest) =>
      (JSON.parse(manifest.bytes.toString()) as { layers: { size: number }[] }).layers.map(
        ({ size }) => size,
      ),
    );
    const answer: Answer = {
      url: registry.url,
      requests,
      manifests: names.reduce(
        (sum, name) => sum + (state.repositories.get(name)?.manifests.size ?? 0),
        0,
      ),
      ledger: { entries: bytes.length, bytes: bytes.reduce((sum, size) => sum + size, 0) },
    };
    process.send?.(answer);
  });
}
