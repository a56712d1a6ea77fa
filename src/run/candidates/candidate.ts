/** What `digests` and `digests-file` gave: the manifests that may exist, by repository. */
import type { Digest } from '../../oci/digest.js';
import { CodedError } from '../../text/code.js';
import { number } from '../../text/words.js';

/** of lines that are not understood */
export const MOST_EXAMPLES = 5;

/** What became of the lines (or JSON values) of one source, or of all. */
export interface LineCounts {
  /** those that named at least one manifest, or that a known format carries along */
  readonly understood: number;
  /** those that no format explains; blank lines and `#` comments count as neither */
  readonly notUnderstood: number;
  /** the first few that were not understood, for the summary: safe to print, cut to a readable length */
  readonly examples: readonly { readonly where: string; readonly text: string }[];
}

export interface Intake extends LineCounts {
  /** valid repository name → digests, each once */
  readonly candidates: ReadonlyMap<string, ReadonlySet<Digest>>;
}

/** A file can't be read, or too much is named. The message names the input and every such path, and says what to do. */
export class IntakeError extends CodedError {
  override name = 'IntakeError';
  constructor(message: string, options?: ErrorOptions) {
    super(message, 'digests-file-unusable', options);
  }
}

export class Candidates {
  readonly byRepository = new Map<string, Set<Digest>>();
  readonly #most: number;
  #count = 0;

  /** @param most manifests that may be named */
  constructor(most: number) {
    this.#most = most;
  }

  /** @throws IntakeError when more manifests are named than a run can hold */
  add(repository: string, digest: Digest): void {
    let digests = this.byRepository.get(repository);
    if (digests === undefined) {
      digests = new Set();
      this.byRepository.set(copyOf(repository), digests);
    }
    if (!digests.has(digest)) {
      digests.add(copyOf(digest));
      this.#count += 1;
    }
    if (this.#count > this.#most) {
      throw new IntakeError(
        `digests-file: more than ${number(this.#most)} manifests are named. Give a part of the listing at a time, such ` +
          'as that of some repositories',
      );
    }
  }
}

/** A string cut out of a chunk keeps the whole chunk in memory; a gigabyte of them would stay. */
export function copyOf<T extends string>(text: T): T {
  return Buffer.from(text).toString() as T;
}
