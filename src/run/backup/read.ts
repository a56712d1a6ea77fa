/**
 * Reads a backup, which anyone may have made: all that is read is bounded, and no link is followed. Only digests are
 * trusted: the bytes of a manifest must have the digest that its file is named after.
 */
import path from 'node:path';

import { streamRegular } from '../files/regular.js';
import { UnusablePath } from '../files/why.js';
import { algorithmOf, digestOf, type Digest } from '../../oci/digest.js';
import { number } from '../../text/words.js';
import { BackupError, fileOf, INDEX } from './backup.js';
import { readManifestFile } from './folder.js';
import { parseIndexLine, type ReadEntry } from './index-line.js';
import { readLines } from './lines.js';

/** The index of a backup with two million lines. */
const MOST_INDEX_BYTES = 1024 * 1024 * 1024;
/** What they need stays below half a GiB. */
export const MOST_MANIFESTS = 300_000;
const MOST_TAGS = MOST_MANIFESTS;

export interface ReadBackup {
  /**
   * Each manifest of a repository of this registry once, with all tags that it ever had. A tag that several had
   * belongs to the one that was saved with it last. A former tag belongs to the one that was in use last, unless it is
   * a tag of another.
   */
  readonly entries: readonly ReadEntry[];
  /** lines that aren't valid JSON: a run that was killed leaves half a line, and deleted nothing of it */
  readonly cutOffLines: number;
  /** lines of valid JSON that could not be understood: what they are about may have been deleted */
  readonly unknownLines: number;
  /** entries of other registries */
  readonly elsewhere: number;
  /** files that `bytesOf` found and did not read, with the reason: links, devices, what is larger than a manifest */
  readonly refused: ReadonlyMap<Digest, string>;
  /** `undefined` when the file is missing or damaged */
  bytesOf(digest: Digest): Promise<Buffer | undefined>;
}

/**
 * @param registry scheme, host and port: entries of others are left out
 * @throws BackupError when there is no index
 */
export async function readBackup(directory: string, registry: string): Promise<ReadBackup> {
  const root = path.resolve(directory);
  const found = new Findings(registry);
  const refused = new Map<Digest, string>();
  try {
    const pieces = streamRegular(path.join(root, INDEX), {
      followsLinks: false,
      most: MOST_INDEX_BYTES,
    });
    await readLines(pieces, (line) => found.add(line));
  } catch (cause) {
    if (cause instanceof BackupError) {
      throw cause;
    }
    const { message } = cause as Error;
    const where = cause instanceof UnusablePath ? `${INDEX}: ` : '';
    throw new BackupError(
      `there is no backup to restore from: ${where}${message}. \`restore-from\` takes a directory that a run of this ` +
        `action left as its \`backup-dir\`, with the file ${INDEX} in it`,
      'backup-unusable',
      { cause },
    );
  }
  const { cutOffLines, unknownLines, elsewhere } = found;
  return {
    entries: found.entries(),
    cutOffLines,
    unknownLines,
    elsewhere,
    refused,
    bytesOf(digest) {
      try {
        const bytes = readManifestFile(root, fileOf(root, digest));
        return Promise.resolve(digestOf(bytes, algorithmOf(digest)) === digest ? bytes : undefined);
      } catch (error) {
        if (error instanceof UnusablePath) {
          refused.set(digest, error.message);
        }
        return Promise.resolve(undefined);
      }
    },
  };
}

interface Found {
  /** the last of its lines */
  entry: ReadEntry;
  readonly tags: string[];
  readonly formerTags: string[];
}

/** Which manifest has a tag: the one that had it when it was saved, and of several the last. */
interface Claim {
  readonly found: Found;
  /** the line that says so */
  readonly entry: ReadEntry;
  readonly tag: string;
  readonly isFormer: boolean;
}

function isStronger(one: Claim, other: Claim): boolean {
  const since = ({ entry }: Claim) => entry.unusedSince ?? 0;
  return (
    (Number(other.isFormer) - Number(one.isFormer) ||
      one.entry.savedAt - other.entry.savedAt ||
      since(one) - since(other)) >= 0
  );
}

/** Holds each text once: a great many lines have the same repositories and types. */
class Findings {
  cutOffLines = 0;
  unknownLines = 0;
  elsewhere = 0;
  readonly #registry: string;
  readonly #entries = new Map<string, Found>();
  readonly #claims = new Map<string, Claim>();
  readonly #texts = new Map<string, string>();

  constructor(registry: string) {
    this.#registry = registry;
  }

  /** @param text `undefined` for a line that is too long */
  add(text: string | undefined): void {
    const line = text === undefined ? ({ kind: 'unknown' } as const) : parseIndexLine(text);
    if (line.kind === 'cut-off') {
      this.cutOffLines += 1;
    } else if (line.kind === 'unknown') {
      this.unknownLines += 1;
    } else if (line.entry.registry !== this.#registry) {
      this.elsewhere += 1;
    } else {
      this.#addEntry(line.entry);
    }
  }

  #addEntry({ tags, formerTags = [], ...said }: ReadEntry): void {
    const repository = this.#once(said.repository);
    const mediaType = this.#once(said.mediaType);
    const entry = { ...said, registry: this.#registry, repository, mediaType, tags: [] };
    const key = `${repository}@${entry.digest}`;
    const found = this.#entries.get(key) ?? { entry, tags: [], formerTags: [] };
    found.entry = entry;
    this.#entries.set(key, found);
    const claims = [
      ...tags.map((tag) => ({ found, entry, tag, isFormer: false })),
      ...formerTags.map((tag) => ({ found, entry, tag, isFormer: true })),
    ];
    for (const claim of claims) {
      const name = `${repository}:${claim.tag}`;
      const before = this.#claims.get(name);
      if (before === undefined || isStronger(claim, before)) {
        this.#claims.set(name, claim);
      }
    }
    if (this.#entries.size > MOST_MANIFESTS || this.#claims.size > MOST_TAGS) {
      throw new BackupError(
        `the backup is too large to restore from: its ${INDEX} names more than ${number(MOST_MANIFESTS)} manifests or ` +
          'tags of this registry. Use the backup as the run left it, or a part of its lines at a time',
      );
    }
  }

  #once(text: string): string {
    const known = this.#texts.get(text) ?? text;
    this.#texts.set(known, known);
    return known;
  }

  /** Each manifest with the tags that nothing else claims. To be called once, after the last line. */
  entries(): readonly ReadEntry[] {
    for (const { found, tag, isFormer } of this.#claims.values()) {
      (isFormer ? found.formerTags : found.tags).push(tag);
    }
    return [...this.#entries.values()].map(({ entry, tags, formerTags }) => ({
      ...entry,
      tags: tags.sort(),
      formerTags: formerTags.length === 0 ? undefined : formerTags.sort(),
    }));
  }
}
