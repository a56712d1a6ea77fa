/**
 * What the pieces of one source say in their order: to which repository the garbage collector's lines
 * belong, which directory `ls -R` is in, and whether a single word heads something that is known.
 * Reads no files and keeps no more than the words that are still waiting for their meaning.
 */
import { tryJson } from '../../oci/json.js';
import { printable } from '../../text/printable.js';
import { copyOf, MOST_EXAMPLES, type Candidates, type LineCounts } from './candidate.js';
import { readLine, type LineReading } from './line.js';
import { readNotification, type Notified } from './notification.js';
import { lastWord } from './storage-path.js';
import type { Piece } from './split.js';

/** A registry may have many repositories without manifests: the collector prints their bare names. */
const WAITING_WORDS = 10_000;
/** So much of a word that waits is kept, to show to people. */
const WAITING_TEXT = 1200;
/** Longer than any file system and any store of objects allows. */
const LONGEST_PATH = 4096;
const EXAMPLE_LENGTH = 120;

/** Before the entries of each directory `ls -R` prints its path. */
function directoryOf(text: string): string | undefined {
  const line = text.trim();
  if (!line.endsWith(':') || line.length > LONGEST_PATH || /\s/.test(line)) {
    return undefined;
  }
  return line === '.:' || line.includes('/') ? line.slice(0, -1) : undefined;
}

interface Waiting {
  readonly line: number;
  readonly text: string;
  readonly path: string;
  readonly isRepository: boolean;
}

interface TranscriptOptions {
  /** takes what is named */
  readonly candidates: Candidates;
  /** `host` or `host:port` of the registry to clean */
  readonly registryHost: string;
  /** names a line for people, such as `digests line 3` */
  readonly where: (line: number) => string;
}

export class Transcript implements LineCounts {
  understood = 0;
  notUnderstood = 0;
  readonly examples: { where: string; text: string }[] = [];
  readonly #options: TranscriptOptions;
  #waiting: Waiting[] = [];
  /** of the garbage collector's lines */
  #repository: string | undefined;
  /** whose entries `ls -R` is listing */
  #directory: string | undefined;

  constructor(options: TranscriptOptions) {
    this.#options = options;
  }

  add(piece: Piece): void {
    switch (piece.kind) {
      case 'line':
        this.#addLine(piece.line, piece.text);
        break;
      case 'json':
        this.#settle();
        this.#addNotified(piece.line, piece.text, readNotification(piece.value));
        break;
      case 'too-long':
        this.#settle();
        this.#miss(piece.line, piece.text, 'too long');
    }
  }

  /** Must be called after the last piece. */
  end(): void {
    this.#settle();
  }

  #addLine(line: number, text: string): void {
    const { reading, path } = this.#read(text);
    switch (reading.kind) {
      case 'ignored':
        break;
      case 'noise':
        this.understood += 1;
        break;
      case 'known':
      case 'manifest':
        this.#settleAbove(path);
        this.understood += 1;
        if (reading.kind === 'manifest') {
          this.#options.candidates.add(reading.repository, reading.digest);
        }
        break;
      case 'collector':
        this.#settle(({ isRepository }) => isRepository);
        this.#addCollected(line, text, reading);
        break;
      case 'word':
        this.#wait({ line, text, path, isRepository: reading.repository !== undefined });
        this.#repository = reading.repository ?? this.#repository;
        break;
      case 'unknown':
        this.#settle();
        this.#addNotified(line, text, embeddedNotification(text), reading.note);
    }
  }

  /** A line by itself, or as an entry of the directory that `ls -R` is in. */
  #read(text: string): { reading: LineReading; path: string } {
    const alone = readLine(text, this.#options.registryHost);
    const directory = this.#directory;
    if (alone.kind !== 'word' || directory === undefined || alone.path.includes('/')) {
      this.#directory = directoryOf(text) ?? directory;
      return { reading: alone, path: alone.kind === 'word' ? alone.path : text };
    }
    const path = `${directory}/${alone.path}`;
    const joined = readLine(path, this.#options.registryHost);
    const isStorage = joined.kind === 'manifest' || joined.kind === 'known';
    return { reading: isStorage ? joined : alone, path };
  }

  #addCollected(line: number, text: string, reading: LineReading & { kind: 'collector' }): void {
    const repository = reading.repository ?? this.#repository;
    this.#repository = repository;
    if (reading.digest === undefined) {
      this.understood += 1;
    } else if (repository === undefined) {
      this.#miss(line, text, 'no line before it names the repository');
    } else {
      this.understood += 1;
      this.#options.candidates.add(repository, reading.digest);
    }
  }

  #addNotified(line: number, text: string, notified: Notified | undefined, note?: string): void {
    for (const { repository, digest } of notified?.manifests ?? []) {
      this.#options.candidates.add(repository, digest);
    }
    if (notified?.complete === true) {
      this.understood += 1;
    } else {
      const why = notified === undefined ? note : 'an event without a valid repository or digest';
      this.#miss(line, text, why);
    }
  }

  #settleAbove(line: string): void {
    if (this.#waiting.length > 0) {
      const path = lastWord(line.trimEnd());
      this.#settle((word) =>
        path.startsWith(word.path.endsWith('/') ? word.path : `${word.path}/`),
      );
    }
  }

  #wait(word: Waiting): void {
    if (this.#waiting.length >= WAITING_WORDS) {
      this.#settle();
    }
    // Copied: what is cut out of a line keeps the whole line, and ten thousand of a megabyte each are too many.
    this.#waiting.push({
      ...word,
      text: copyOf(word.text.slice(0, WAITING_TEXT)),
      path: copyOf(word.path),
    });
  }

  /**
   * Decides about the words before a line: a repository's name is the collector's heading when a line of
   * the collector follows, and any word is a directory when a path below it follows.
   */
  #settle(isExplained = (_: Waiting) => false): void {
    for (const word of this.#waiting) {
      if (isExplained(word)) {
        this.understood += 1;
      } else {
        this.#miss(word.line, word.text);
      }
    }
    this.#waiting = [];
  }

  /** The texts come from files that anyone may have written, and are made safe to print here. */
  #miss(line: number, text: string, note?: string): void {
    this.notUnderstood += 1;
    if (this.examples.length < MOST_EXAMPLES) {
      const end = note === undefined ? '' : ` (${printable(note, EXAMPLE_LENGTH / 2)})`;
      this.examples.push({
        where: printable(this.#options.where(line)),
        text: printable(text, EXAMPLE_LENGTH - end.length) + end,
      });
    }
  }
}

/** Log collectors put their own words in front of the JSON. */
function embeddedNotification(text: string): Notified | undefined {
  const line = text.trim().replace(/,$/, '');
  const start = line.indexOf('{');
  return start < 0 || !line.endsWith('}')
    ? undefined
    : readNotification(tryJson(line.slice(start)));
}
