/** Sets tags again that were deleted with their manifest. It never moves a tag that names something else. */
import { RequestFailure } from '../http/message.js';
import type { Digest } from '../oci/digest.js';
import { RegistryError } from '../registry/registry-error.js';
import type { ManifestAnswer, Pusher, Reader } from '../registry/registry.js';
import type { RestoreResult } from './parts.js';
import type { ParsedCopy } from './saved-copy.js';

interface TagRestorationOptions {
  readonly reader: Pick<Reader, 'manifest'>;
  /** absent: only find out what could be restored */
  readonly pusher?: Pick<Pusher, 'pushManifest'>;
  /** what became of the manifest */
  readonly resultOf: (digest: Digest) => RestoreResult | undefined;
  /** why the manifest can't be pushed, as far as questions tell; `undefined` when it can */
  readonly whyIncomplete: (copy: ParsedCopy) => Promise<string | undefined>;
  /** why a push was refused for a part that is missing */
  readonly whyRefused: (copy: ParsedCopy, error: RegistryError) => Promise<string>;
}

/** A push of a tag is sent once, and after each failure the tag is read again. */
const MOST_PUSHES = 3;

export class TagRestoration {
  readonly #repository: string;
  readonly #options: TagRestorationOptions;

  constructor(repository: string, options: TagRestorationOptions) {
    this.#repository = repository;
    this.#options = options;
  }

  async restore(tag: string, copy: ParsedCopy): Promise<RestoreResult> {
    const { digest } = copy;
    const { resultOf, whyIncomplete, pusher } = this.#options;
    const result = resultOf(digest);
    if (typeof result === 'object') {
      return withoutIts(digest);
    }
    const before = this.#setTag(digest, await this.#read(tag));
    if (before !== undefined) {
      return before;
    }
    if (pusher !== undefined) {
      return this.#push(tag, copy, pusher);
    }
    // A manifest that stood all the time may lack a part. What would be restored has just been found whole.
    const why = result === 'standing' ? await whyIncomplete(copy) : undefined;
    return why === undefined ? 'restored' : { why };
  }

  /** A former tag that points at something else now is left there. */
  async restoreFormer(tag: string, copy: ParsedCopy): Promise<RestoreResult> {
    const { kind } = await this.#read(tag);
    return kind === 'absent' ? this.restore(tag, copy) : 'standing';
  }

  async #push(
    tag: string,
    copy: ParsedCopy,
    pusher: Pick<Pusher, 'pushManifest'>,
  ): Promise<RestoreResult> {
    const { digest, mediaType, bytes } = copy;
    for (let push = 1; ; push += 1) {
      // The tag is read right before each push, which would move a tag that somebody has set since.
      const meanwhile = this.#setTag(digest, await this.#read(tag));
      if (meanwhile !== undefined) {
        return meanwhile;
      }
      try {
        // Before a retry the tag has to be read again.
        let sent = 0;
        const isLate = () => (sent += 1) > 1;
        await pusher.pushManifest(this.#repository, tag, { mediaType, bytes }, { isLate });
        break;
      } catch (error) {
        if (error instanceof RegistryError && error.kind === 'part-missing') {
          return { why: await this.#options.whyRefused(copy, error) };
        }
        const isFinal = error instanceof RegistryError && error.kind !== 'unexpected';
        if (isFinal || push === MOST_PUSHES || !(error instanceof RequestFailure)) {
          throw error;
        }
      }
    }
    return pushedTag(digest, await this.#read(tag));
  }

  #read(tag: string): Promise<ManifestAnswer> {
    return this.#options.reader.manifest(this.#repository, tag);
  }

  /** @returns the result for a tag that points at something, and so is not pushed */
  #setTag(digest: Digest, now: ManifestAnswer): RestoreResult | undefined {
    if (now.kind === 'absent') {
      return undefined;
    }
    if (now.manifest.digest === digest) {
      // A tag may have been left behind by the delete of its manifest.
      return this.#options.resultOf(digest) === 'restored' ? 'restored' : 'standing';
    }
    return { why: `it names ${now.manifest.digest} now, and was left there` };
  }
}

/** The result for a tag after its push. */
function pushedTag(digest: Digest, after: ManifestAnswer): RestoreResult {
  if (after.kind === 'absent') {
    return { why: `the registry took the push, and does not say that the tag names ${digest}` };
  }
  const now = after.manifest.digest;
  return now === digest
    ? 'restored'
    : { why: `somebody set it to ${now} during the restore, and it was left there` };
}

/** The result for a tag whose manifest can't be restored. */
export function withoutIts(digest: Digest): RestoreResult {
  return { why: `${digest} could not be restored` };
}
