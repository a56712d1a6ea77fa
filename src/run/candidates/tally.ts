/**
 * Gathers what the input names, and counts what was understood. The texts that it keeps for the summary
 * come from files that anyone may have written: they are made safe to print here, once.
 */
import type { Digest } from '../../oci/digest.js';
import { printable } from '../../text/printable.js';
import type { Intake } from './candidate.js';

const EXAMPLES = 5;
const EXAMPLE_LENGTH = 120;

/** What they need stays below half a GiB; so many manifests a run could not read in a day either. */
const MOST_CANDIDATES = 2_000_000;

/** More manifests are named than a run can hold. */
export class TooManyCandidates extends Error {
  override name = 'TooManyCandidates';
}

/** What came of one source: the input, or one file. */
export interface SourceTally {
  understood: number;
  notUnderstood: number;
  readonly examples: { where: string; text: string }[];
}

export class Tally {
  readonly #candidates = new Map<string, Set<Digest>>();
  readonly #examples: { where: string; text: string }[] = [];
  #understood = 0;
  #notUnderstood = 0;
  readonly #most: number;
  #count = 0;
  #source: SourceTally = { understood: 0, notUnderstood: 0, examples: [] };

  /** @param most manifests that may be named */
  constructor(most = MOST_CANDIDATES) {
    this.#most = most;
  }

  /** @returns what is counted from here on, as it goes on */
  begin(): SourceTally {
    this.#source = { understood: 0, notUnderstood: 0, examples: [] };
    return this.#source;
  }

  candidate(repository: string, digest: Digest): void {
    let digests = this.#candidates.get(repository);
    if (digests === undefined) {
      digests = new Set();
      this.#candidates.set(copyOf(repository), digests);
    }
    if (!digests.has(digest)) {
      digests.add(copyOf(digest));
      this.#count += 1;
      if (this.#count > this.#most) {
        throw new TooManyCandidates(
          `more than ${this.#most.toLocaleString('en')} manifests are named`,
        );
      }
    }
  }

  understood(): void {
    this.#understood += 1;
    this.#source.understood += 1;
  }

  notUnderstood(where: string, text: string, note?: string): void {
    this.#notUnderstood += 1;
    this.#source.notUnderstood += 1;
    for (const examples of [this.#examples, this.#source.examples]) {
      if (examples.length < EXAMPLES) {
        examples.push({ where: printable(where), text: example(text, note) });
      }
    }
  }

  intake(): Intake {
    return {
      candidates: this.#candidates,
      understood: this.#understood,
      notUnderstood: this.#notUnderstood,
      examples: this.#examples,
    };
  }
}

/** A string cut out of a chunk keeps the whole chunk in memory; a gigabyte of them would stay. */
export function copyOf<T extends string>(text: T): T {
  return Buffer.from(text).toString() as T;
}

function example(text: string, note: string | undefined): string {
  const end = note === undefined ? '' : ` (${printable(note, EXAMPLE_LENGTH / 2)})`;
  return printable(text, EXAMPLE_LENGTH - end.length) + end;
}
