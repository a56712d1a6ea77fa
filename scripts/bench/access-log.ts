/** The registry's own word on what it was asked: its access log, in Apache's combined format. */
import type { DockerRegistry } from '../../__tests__/support/servers/docker-registry.js';

export interface Asked {
  readonly method: string;
  /** path and query */
  readonly path: string;
  readonly status: string;
}

/** Each call of the returned function gives what was asked since the one before, in order. */
export function followAccessLog(registry: Pick<DockerRegistry, 'log'>): () => Asked[] {
  let read = 0;
  return () => {
    const log = registry.log();
    const lines = log.slice(read).matchAll(/"([A-Z]+) (\/v2\/\S*) HTTP\/1\.1" (\d+)/g);
    read = log.length;
    return [...lines].map(([, method = '', path = '', status = '']) => ({ method, path, status }));
  };
}

export function countBy<T>(items: readonly T[], key: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) {
    counts[key(item)] = (counts[key(item)] ?? 0) + 1;
  }
  return counts;
}
