/**
 * The signals of a cancelled job: SIGINT, SIGTERM 7.5 seconds later, and a kill after 2.5 more. Which of the two
 * comes first makes no difference: the run ends in good order, and is never green.
 */
import type { Log } from './log.js';
import { coded } from '../text/code.js';

/**
 * Until it is called, a signal ends the process at once, which is right as long as nothing was sent.
 *
 * @param controller aborted by the first signal, with its name as the reason
 */
export function stopOnSignals(controller: AbortController, log: Log): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // Also when all is done: the run may have been at its last line.
      process.exitCode = 1;
      if (!controller.signal.aborted) {
        log.warning(
          coded(
            `told to stop (${signal}): nothing more is deleted or restored, and the report says what was done`,
            'run-stopped',
          ),
        );
        controller.abort(signal);
      }
    });
  }
}
