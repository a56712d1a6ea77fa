/**
 * The last layer before the wire: what is late by its sender's word is not sent. When a run is told to stop,
 * nothing more is, and what is under way is awaited for a moment only. A cancelled job has 7.5 seconds until the next
 * signal, and 2.5 more until it is killed. Ledger, report and summary are written by then: what serves those is marked
 * `closing`, and sent.
 */
import { RequestFailure, type HttpRequest, type Send } from './message.js';

/** The run was told to stop before this request was sent. */
export class NotSent extends RequestFailure {
  override name = 'NotSent';
  constructor(message = 'not sent: the run was told to stop') {
    super(message, 'run-stopped');
  }
}

/** Its `isLate` was true before the request was sent. */
export class TooLate extends NotSent {
  override name = 'TooLate';
  /** @param status of the answer to all tries before, which says that they had no effect */
  constructor(status?: number) {
    super(
      status === undefined
        ? 'not sent: it was too late'
        : `not sent again after status ${String(status)}: it was too late`,
    );
  }
}

/** Milliseconds after the signal: for what was under way, and for what closes the run. */
const PATIENCE = 3_000;
const PATIENCE_CLOSING = 6_000;
const LATE = 'no answer soon enough after the run was told to stop';

/** For what ends a run in good order, such as the ledger: it is still sent when the run was told to stop. */
export function closing(send: Send): Send {
  return (request) => send({ ...request, closing: true });
}

/**
 * Gives up requests: those on the wire with a timeout and this detail, others as NotSent.
 *
 * @param isMeant also told whether anything of it may have been sent
 */
export type GiveUp = (
  isMeant: (request: HttpRequest, isOnTheWire: boolean) => boolean,
  detail: string,
) => void;

/** @param giveUp so that requests which close the run have a connection, and no other gets one late */
export function createStop(next: Send, stop: AbortSignal, giveUp: GiveUp): Send {
  let isOver = false;
  const giveUpAll = () => {
    isOver = true;
    giveUp(() => true, LATE);
  };
  const onStop = () => {
    giveUp(({ closing }, isOnTheWire) => closing !== true && !isOnTheWire, LATE);
    setTimeout(giveUp, PATIENCE, ({ closing }: HttpRequest) => closing !== true, LATE).unref();
    setTimeout(giveUpAll, PATIENCE_CLOSING).unref();
  };
  stop.addEventListener('abort', onStop, { once: true });
  return async (request) => {
    if (isOver || (stop.aborted && request.closing !== true)) {
      throw new NotSent();
    }
    if (request.isLate?.() === true) {
      throw new TooLate();
    }
    return next(request);
  };
}
