/** Pulp's tasks: a change is answered with the name of one, and is done when the task says so. */
import * as v from 'valibot';

import type { Clock } from '../../../http/clock.js';
import { jsonOf } from '../../distribution/errors.js';
import { RegistryError } from '../../registry-error.js';
import type { Href, PulpApi } from './api.js';

/** Milliseconds. Tasks of one repository run one after the other, and those of others' pushes come first. */
const DEADLINE = 5 * 60_000;
/** Milliseconds: a small task takes a fifth of a second. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 3_000;
const PAUSE_GROWTH = 1.5;

/** Pulp works longer on an answer with all fields than on a small task. */
const FIELDS = { fields: 'state,error' };
const Accepted = v.object({ task: v.string() });
const Task = v.object({
  state: v.string(),
  error: v.nullish(v.object({ description: v.optional(v.string(), '') })),
});

export class Tasks {
  readonly #api: PulpApi;
  readonly #clock: Clock;

  constructor(api: PulpApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /**
   * Sends a change of a repository's content and waits until it is done.
   *
   * @param units names of content; none changes nothing
   * @param what as in "could not …"
   * @throws RequestFailure when it isn't known to be done
   */
  async change(
    repository: Href,
    action: 'add' | 'remove',
    units: readonly Href[],
    what: string,
    isLate?: () => boolean,
  ): Promise<void> {
    const route = `${this.#api.guarded('repository', repository)}${action}/`;
    const body = { content_units: units };
    const answer = await this.#api.ask('POST', route, { body, isLate });
    if (answer.status !== 202) {
      throw this.#api.refusal(answer, what);
    }
    const task = jsonOf(Accepted, answer)?.task;
    if (task === undefined || !this.#api.is('task', task)) {
      this.#api.misunderstood(what);
    }
    await this.#done(task, what);
  }

  async #done(task: Href, what: string): Promise<void> {
    const until = this.#clock.now() + DEADLINE;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * PAUSE_GROWTH, LONGEST_PAUSE)) {
      await this.#clock.sleep(pause);
      const { state, error } = await this.#api.read(
        Task,
        task,
        `${what} (its task in Pulp)`,
        FIELDS,
      );
      if (state === 'completed') {
        return;
      }
      if (!['waiting', 'running', 'canceling'].includes(state)) {
        const why = error?.description ? `: ${this.#api.quote(error.description)}` : '';
        throw new RegistryError(
          'unexpected',
          `could not ${what}: the task in Pulp ended as ${this.#api.quote(state)}${why}. ` +
            `Look at ${task} in Pulp, and run this again`,
          'server-failed',
        );
      }
      if (this.#clock.now() >= until) {
        throw new RegistryError(
          'unexpected',
          `could not ${what}: after ${String(DEADLINE / 60_000)} minutes the task in Pulp is still ` +
            `${this.#api.quote(state)}, and may be carried out later. Check that a worker runs, and run this again`,
          'server-failed',
        );
      }
    }
  }
}
