/**
 * The layer that ends a run which was told to stop: nothing more is sent, and what is under way is awaited for a
 * moment only. A cancelled job has 7.5 seconds until the next signal, and 2.5 more until it is killed; the
 * ledger, the report and the summary are to be written by then. What serves those is marked `closing`, and sent.
 */
import { RequestFailure, type HttpRequest, type Send } from './message.js';

/** The run was told to stop before this request was sent. */
export class NotSent extends RequestFailure {
  override name = 'NotSent';
}

/** Milliseconds after the signal: for what was under way, and for what closes the run. */
const PATIENCE = 3_000;
const PATIENCE_CLOSING = 6_000;
const LATE = 'no answer soon enough after the run was told to stop';

/** For what ends a run in good order, such as the ledger: it is still sent when the run was told to stop. */
export function closing(send: Send): Send {
  return (request) => send({ ...request, closing: true });
}

/** @param expire gives up requests that are under way, so that those which close the run have a connection */
export function createStop(
  next: Send,
  stop: AbortSignal,
  expire: (isMeant: (request: HttpRequest) => boolean, detail: string) => void,
): Send {
  let isOver = false;
  const giveUpOthers = () => {
    expire(({ closing }) => closing !== true, LATE);
  };
  const giveUpAll = () => {
    isOver = true;
    expire(() => true, LATE);
  };
  stop.addEventListener(
    'abort',
    () => {
      setTimeout(giveUpOthers, PATIENCE).unref();
      setTimeout(giveUpAll, PATIENCE_CLOSING).unref();
    },
    { once: true },
  );
  return async (request) => {
    if (isOver || (stop.aborted && request.closing !== true)) {
      throw new NotSent('not sent: the run was told to stop');
    }
    return next(request);
  };
}
