/**
 * What every route of the OCI distribution API is asked through: it owns the registry's address, the scopes of
 * tokens, the words of refusals, and the check that an answer is the registry's own of this moment.
 */
import type { HttpRequest, HttpResponse } from '../../http/message.js';
import { RegistryError } from '../registry-error.js';
import type { Advice, Connection } from '../registry.js';
import { refusal, type Doing } from './errors.js';
import { whyStale } from './freshness.js';
import { readPages, type PagingOptions } from './paging.js';

export type RouteRequest = Omit<HttpRequest, 'url' | 'authorization'> & {
  /** behind `/v2/`, with its query if there is one */
  readonly path: string;
};

/** @param actions separated by commas: `pull`, `push`, `delete` */
export function scopeOf(repository: string, actions: string): string {
  return `repository:${repository}:${actions}`;
}

export class Client {
  /** scheme, host and port of the registry */
  readonly base: URL;
  /** makes text of the registry safe to print */
  readonly quote: Connection['quote'];
  readonly #send: Connection['send'];
  readonly #advice: Advice;

  constructor({ send, base, quote }: Connection, advice: Advice) {
    this.base = base;
    this.quote = quote;
    this.#send = send;
    this.#advice = advice;
  }

  url(path: string): URL {
    return new URL(`/v2/${path}`, this.base);
  }

  send({ path, ...request }: RouteRequest): Promise<HttpResponse> {
    return this.#send({ ...request, url: this.url(path) });
  }

  /** To an address that the registry gave, such as that of an upload. */
  sendTo(url: URL, request: Omit<HttpRequest, 'url' | 'authorization'>): Promise<HttpResponse> {
    return this.#send({ ...request, url });
  }

  /** All items of a list that comes in pages. @param read as `readPages` takes it */
  pages<T>(
    path: string,
    scope: string,
    read: (response: HttpResponse, page: number) => readonly T[],
    options?: PagingOptions,
  ): Promise<T[]> {
    return readPages(this.#send, this.url(path), scope, read, options);
  }

  /** What an answer other than the expected one means. */
  refusal(response: HttpResponse, doing: Doing): RegistryError {
    return refusal(response, doing, this.quote, this.#advice.allowDeletes);
  }

  /** @throws RegistryError when the answer may be an old one */
  expectFresh(response: HttpResponse, what: string): void {
    const why = whyStale(response, this.base);
    if (why !== undefined) {
      throw new RegistryError('unexpected', `could not ${what}: ${why}`, 'answer-from-cache');
    }
  }
}
