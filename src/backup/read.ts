/** Reads a backup. Trusts it no further than its digests: the bytes of a manifest must have the one they stand under. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { algorithmOf, digestOf, type Digest } from '../oci/digest.js';
import { BackupError, fileOf, INDEX } from './backup.js';
import { parseIndexLine, type ReadEntry } from './index-line.js';

export interface ReadBackup {
  /**
   * Of this registry, each manifest of a repository once, with all tags that it ever had, but for those that
   * another one was saved with later: no two have the same tag.
   */
  readonly entries: readonly ReadEntry[];
  /** lines that are no JSON: a run that was killed leaves half a line, and deleted nothing of it */
  readonly cutOffLines: number;
  /** lines that are, and could not be understood: what they are about may have been deleted */
  readonly unknownLines: number;
  /** entries of other registries */
  readonly elsewhere: number;
  /** `undefined` when the file is missing or damaged */
  bytesOf(digest: Digest): Promise<Buffer | undefined>;
}

/**
 * @param registry scheme, host and port: entries of others are left out
 * @throws BackupError when there is no index
 */
export async function readBackup(directory: string, registry: string): Promise<ReadBackup> {
  const root = path.resolve(directory);
  const text = await readFile(path.join(root, INDEX), 'utf8').catch((cause: unknown) => {
    const { message } = cause as Error;
    throw new BackupError(
      `there is no backup to restore from: ${message}. \`restore-from\` takes a directory that a run of this ` +
        `action left as its \`backup-dir\`, with the file ${INDEX} in it`,
      { cause },
    );
  });
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const parsed = lines.map(parseIndexLine);
  const read = parsed.flatMap((line) => (line.kind === 'entry' ? [line.entry] : []));
  const here = read.filter((entry) => entry.registry === registry);
  const entries = new Map<string, ReadEntry>();
  const latest = new Map<string, ReadEntry>();
  for (const entry of here) {
    const { repository, digest, tags, savedAt } = entry;
    const key = `${repository}@${digest}`;
    entries.set(key, { ...entry, tags: [...(entries.get(key)?.tags ?? []), ...tags] });
    for (const tag of tags) {
      const before = latest.get(`${repository}:${tag}`);
      if (before === undefined || before.savedAt <= savedAt) {
        latest.set(`${repository}:${tag}`, entry);
      }
    }
  }
  const own = ({ repository, digest, tags }: ReadEntry) =>
    [...new Set(tags)]
      .filter((tag) => latest.get(`${repository}:${tag}`)?.digest === digest)
      .sort();
  return {
    entries: [...entries.values()].map((entry) => ({ ...entry, tags: own(entry) })),
    cutOffLines: parsed.filter(({ kind }) => kind === 'cut-off').length,
    unknownLines: parsed.filter(({ kind }) => kind === 'unknown').length,
    elsewhere: read.length - here.length,
    async bytesOf(digest) {
      const bytes = await readFile(fileOf(root, digest)).catch(() => undefined);
      return bytes !== undefined && digestOf(bytes, algorithmOf(digest)) === digest
        ? bytes
        : undefined;
    },
  };
}
