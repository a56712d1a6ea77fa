/** The time, and waiting, for the layers of the transport. Passed in, so that tests need no real waiting. */
export interface Clock {
  /** milliseconds since the epoch */
  now(): number;
  /** Ends before its time, and without an error, when `stop` is aborted. */
  sleep(milliseconds: number, stop?: AbortSignal): Promise<void>;
}

/** A clock whose sleepers all wake when a run is told to stop. */
export function stoppable(clock: Clock, stop: AbortSignal): Clock {
  return {
    now: () => clock.now(),
    sleep: (milliseconds) => clock.sleep(milliseconds, stop),
  };
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds, stop) =>
    new Promise((resolve) => {
      const wake = () => {
        // A timer that is left would keep the process alive until its time has come.
        clearTimeout(timer);
        stop?.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, stop?.aborted === true ? 0 : milliseconds);
      stop?.addEventListener('abort', wake);
    }),
};
