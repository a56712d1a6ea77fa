/**
 * The registry's own undo, as a restore uses it. It is tried before a push, since it needs no layers, and believed only
 * when the manifest can be read again.
 */
import type { Clock } from '../http/clock.js';
import { failureMessage, RequestFailure } from '../http/message.js';
import type { Restorer } from '../registry/registry.js';

/** The most reads of a manifest that the registry has restored: what it lists and serves may lag. */
const MOST_READS = 5;
/** Milliseconds between them. */
const PAUSE = 1000;

export class ServerUndo {
  readonly #restorer: Restorer;
  readonly #repository: string;
  readonly #clock: Clock;

  constructor(restorer: Restorer, repository: string, clock: Clock) {
    this.#restorer = restorer;
    this.#repository = repository;
    this.#clock = clock;
  }

  /**
   * @param isBack reads the manifest
   * @returns why it is not back, in words that are safe to print; `undefined` when it is
   */
  async restore(id: string, isBack: () => Promise<boolean>): Promise<string | undefined> {
    let refusal: string | undefined;
    try {
      await this.#restorer.restore(this.#repository, id);
    } catch (error) {
      refusal = failureMessage(error);
    }
    // A request that failed may have been carried out.
    const most = refusal === undefined ? MOST_READS : 1;
    for (let read = 1; read <= most; read += 1) {
      if (read > 1) {
        await this.#clock.sleep(PAUSE);
      }
      if (await isSo(isBack)) {
        return undefined;
      }
    }
    return refusal ?? 'the registry took the restore, and the manifest could not be read after it';
  }

  /**
   * Finds out the same without a change.
   *
   * @returns why it can't be restored so; `undefined` when it can
   */
  async whyNot(id: string): Promise<string | undefined> {
    try {
      const isRestorable = await this.#restorer.isRestorable(this.#repository, id);
      return isRestorable ? undefined : "the registry's own restore doesn't offer it any more";
    } catch (error) {
      return failureMessage(error);
    }
  }
}

/** A read that fails is one that doesn't find it, and may be repeated. */
async function isSo(isBack: () => Promise<boolean>): Promise<boolean> {
  try {
    return await isBack();
  } catch (error) {
    if (error instanceof RequestFailure) {
      return false;
    }
    throw error;
  }
}

/** @returns `undefined` where the registry has none */
export function undoAt(
  restorer: Restorer | undefined,
  repository: string,
  clock: Clock,
): ServerUndo | undefined {
  return restorer && new ServerUndo(restorer, repository, clock);
}
