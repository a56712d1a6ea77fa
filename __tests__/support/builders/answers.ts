/** A `Send` that plays prepared answers, for layers whose subject is what they do with them. */
import { failure } from '../../../src/http/failure.js';
import type {
  HttpRequest,
  HttpResponse,
  Send,
  TransportFailure,
} from '../../../src/http/message.js';

export interface Answer {
  readonly status?: number;
  readonly headers?: HttpResponse['headers'];
  readonly body?: string;
  readonly fails?: TransportFailure;
  readonly code?: string;
}

export interface Played {
  readonly send: Send;
  readonly requests: HttpRequest[];
}

/** @param answers one for each request; the last is given again for all that follow */
export function play(...answers: readonly Answer[]): Played {
  const requests: HttpRequest[] = [];
  return {
    requests,
    send: async (request) => {
      const answer = answers[Math.min(requests.length, answers.length - 1)] ?? {};
      requests.push(request);
      if (answer.fails !== undefined) {
        const cause = Object.assign(new Error('cause'), { code: answer.code ?? '' });
        throw failure(request, answer.fails, 'as prepared', cause);
      }
      return respond(request, answer);
    },
  };
}

export function respond(request: HttpRequest, answer: Answer = {}): HttpResponse {
  return {
    status: answer.status ?? 200,
    headers: answer.headers ?? {},
    body: Buffer.from(answer.body ?? ''),
    url: request.url,
  };
}
