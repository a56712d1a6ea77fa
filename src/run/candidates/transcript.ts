/**
 * What the pieces of one source say in their order: to which repository the garbage collector's lines
 * belong, which directory `ls -R` is in, and whether a single word heads something that is known.
 * Reads no files and keeps no more than the words that are still waiting for their meaning.
 */
import { tryJson } from '../../oci/json.js';
import { readLine, type LineReading } from './line.js';
import { readNotification, type Notified } from './notification.js';
import { lastWord } from './storage-path.js';
import type { Piece } from './split.js';
import { copyOf, type Tally } from './tally.js';

/** A registry may have many repositories without manifests: the collector prints their bare names. */
const WAITING_WORDS = 10_000;
/** So much of a word that waits is kept, to show to people. */
const WAITING_TEXT = 1200;
/** Longer than any file system and any store of objects allows. */
const LONGEST_PATH = 4096;

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

export class Transcript {
  readonly #tally: Tally;
  readonly #registryHost: string;
  readonly #where: (line: number) => string;
  #waiting: Waiting[] = [];
  /** of the garbage collector's lines */
  #repository: string | undefined;
  /** whose entries `ls -R` is listing */
  #directory: string | undefined;

  /** @param where names a line for people, such as `digests line 3` */
  constructor(tally: Tally, registryHost: string, where: (line: number) => string) {
    this.#tally = tally;
    this.#registryHost = registryHost;
    this.#where = where;
  }

  add(piece: Piece): void {
    switch (piece.kind) {
      case 'line':
        this.#addLine(piece.line, piece.text);
        break;
      case 'json':
        this.#settle(never);
        this.#addNotified(piece.line, piece.text, readNotification(piece.value));
        break;
      case 'too-long':
        this.#settle(never);
        this.#tally.notUnderstood(this.#where(piece.line), piece.text, 'too long');
    }
  }

  /** Must be called after the last piece. */
  end(): void {
    this.#settle(never);
  }

  #addLine(line: number, text: string): void {
    const { reading, path } = this.#read(text);
    switch (reading.kind) {
      case 'ignored':
        this.#directory = text.trim() === '' ? undefined : this.#directory;
        break;
      case 'noise':
        this.#tally.understood();
        break;
      case 'known':
        this.#settleAbove(path);
        this.#tally.understood();
        break;
      case 'manifest':
        this.#settleAbove(path);
        this.#tally.understood();
        this.#tally.candidate(reading.repository, reading.digest);
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
        this.#settle(never);
        this.#addNotified(line, text, embeddedNotification(text), reading.note);
    }
  }

  /** A line by itself, or as an entry of the directory that `ls -R` is in. */
  #read(text: string): { reading: LineReading; path: string } {
    const alone = readLine(text, this.#registryHost);
    if (alone.kind !== 'word') {
      this.#directory = directoryOf(text) ?? this.#directory;
      return { reading: alone, path: text };
    }
    if (this.#directory === undefined || alone.path.includes('/')) {
      this.#directory = directoryOf(text) ?? this.#directory;
      return { reading: alone, path: alone.path };
    }
    const path = `${this.#directory}/${alone.path}`;
    const joined = readLine(path, this.#registryHost);
    const isStorage = joined.kind === 'manifest' || joined.kind === 'known';
    return { reading: isStorage ? joined : alone, path };
  }

  #addCollected(line: number, text: string, reading: LineReading & { kind: 'collector' }): void {
    const repository = reading.repository ?? this.#repository;
    this.#repository = repository;
    if (reading.digest === undefined) {
      this.#tally.understood();
    } else if (repository === undefined) {
      this.#tally.notUnderstood(this.#where(line), text, 'no line before it names the repository');
    } else {
      this.#tally.understood();
      this.#tally.candidate(repository, reading.digest);
    }
  }

  #addNotified(line: number, text: string, notified: Notified | undefined, note?: string): void {
    for (const { repository, digest } of notified?.manifests ?? []) {
      this.#tally.candidate(repository, digest);
    }
    if (notified?.complete === true) {
      this.#tally.understood();
    } else {
      const why = notified === undefined ? note : 'an event without a valid repository or digest';
      this.#tally.notUnderstood(this.#where(line), text, why);
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
      this.#settle(never);
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
  #settle(isExplained: (word: Waiting) => boolean): void {
    if (this.#waiting.length === 0) {
      return;
    }
    for (const word of this.#waiting) {
      if (isExplained(word)) {
        this.#tally.understood();
      } else {
        this.#tally.notUnderstood(this.#where(word.line), word.text);
      }
    }
    this.#waiting = [];
  }
}

const never = (): boolean => false;

/** Log collectors put their own words in front of the JSON. */
function embeddedNotification(text: string): Notified | undefined {
  const line = text.trim().replace(/,$/, '');
  const start = line.indexOf('{');
  return start < 0 || !line.endsWith('}')
    ? undefined
    : readNotification(tryJson(line.slice(start)));
}
