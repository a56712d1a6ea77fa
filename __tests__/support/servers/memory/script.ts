/**
 * What a test may make an in-memory registry do with single requests: faults, odd answers, and changes
 * of the registry in the middle of a run.
 */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';

import type { Answer } from './answer.js';
import type { Route } from './routes.js';

export interface SeenRequest {
  readonly method: string;
  /** path and query as they were sent */
  readonly path: string;
  readonly route: Route;
  readonly headers: IncomingHttpHeaders;
  /** 1 for the first request that this registry got */
  readonly n: number;
  /** 1 for the first request with this method and path, 2 for its first repetition */
  readonly attempt: number;
}

export type Action =
  /** the registry's own answer, late if `delay` (milliseconds), then `after`, before it's sent */
  | {
      readonly kind: 'pass';
      readonly delay?: number;
      readonly after?: () => void | Promise<void>;
    }
  /** something else instead: the registry's state is not touched */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Buffer;
    }
  /** the registry's own answer, changed on its way */
  | { readonly kind: 'rewrite'; readonly rewrite: (answer: Answer) => Answer }
  /** the socket is destroyed without an answer */
  | { readonly kind: 'reset' }
  /** the right Content-Length, half the body, then the socket is destroyed */
  | { readonly kind: 'truncate' }
  /** carried out, and then the socket is destroyed without an answer */
  | { readonly kind: 'lose' }
  /** no answer, ever; the socket is closed by `stop` */
  | { readonly kind: 'hang' }
  /** a page that a proxy or a login wall may send; status 200 unless told */
  | { readonly kind: 'html'; readonly status?: number };

/** Sees each request before the registry does; undefined is `pass`. It may change the state first. */
export type Interceptor = (
  request: SeenRequest,
) => Action | undefined | Promise<Action | undefined>;

const PAGE = '<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>\n';

/** Does what the action says with `own`, the registry's answer, which is made only if it's wanted. */
export async function perform(
  action: Action,
  own: () => Answer,
): Promise<Answer | 'reset' | 'hang'> {
  switch (action.kind) {
    case 'pass': {
      if (action.delay !== undefined) {
        await new Promise((resolve) => setTimeout(resolve, action.delay));
      }
      const answer = own();
      await action.after?.();
      return answer;
    }
    case 'answer':
      return {
        status: action.status,
        headers: action.headers ?? {},
        body: Buffer.from(action.body ?? ''),
      };
    case 'rewrite':
      return action.rewrite(own());
    case 'truncate':
      return own();
    case 'lose':
      own();
      return 'reset';
    case 'html':
      return {
        status: action.status ?? 200,
        headers: { 'Content-Type': 'text/html; charset=utf-8' },
        body: Buffer.from(PAGE),
      };
    case 'reset':
    case 'hang':
      return action.kind;
  }
}

/** Writes an answer; `cut` ends it in the middle of its body. HEAD carries the length and no body. */
export function write(
  response: ServerResponse,
  method: string,
  answer: Answer,
  cut: boolean,
): void {
  const { status, headers, body } = answer;
  const hasBody = status !== 304 && status !== 204;
  // What o'clock it is there is the test's to say.
  response.sendDate = false;
  response.writeHead(status, {
    'Docker-Distribution-Api-Version': 'registry/2.0',
    ...(hasBody ? { 'Content-Length': String(body.length) } : {}),
    ...headers,
  });
  if (method === 'HEAD' || !hasBody) {
    response.end();
  } else if (cut) {
    response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.destroy());
  } else {
    response.end(body);
  }
}
