/**
 * The client that sends every request of the OCI distribution API: it owns the registry's address, the scopes of
 * tokens, the words of refusals, and the check that an answer is the registry's own of this moment.
 */
import type { HttpRequest, HttpResponse, Method } from '../../http/message.js';
import { RegistryError } from '../registry-error.js';
import type { Advice, Connection } from '../registry.js';
import { refusal, type Doing } from './errors.js';
import { whyStale } from './freshness.js';
import { readPages, type PagingOptions } from './paging.js';

type Options = Partial<Omit<HttpRequest, 'method' | 'url' | 'authorization' | 'scope'>>;

/** An answer, and what a refusal has to know of the request. */
export interface Answer extends HttpResponse {
  readonly doing: Omit<Doing, 'what'>;
}

/** Bytes that the body may have, unless a route says otherwise. */
const ANSWER_BYTES = 1024 * 1024;

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

  /** @param route of the repository, such as `tags/list` */
  send(method: Method, repository: string, route: string, options?: Options): Promise<Answer> {
    return this.sendTo(this.url(`${repository}/${route}`), method, repository, options);
  }

  /**
   * @param url may be one that the registry gave, such as that of an upload
   * @param repository absent for routes that belong to none
   */
  async sendTo(url: URL, method: Method, repository?: string, options?: Options): Promise<Answer> {
    const deletes = method === 'DELETE';
    const pushes = method === 'PUT' || method === 'POST';
    // Distribution's own challenge for DELETE asks for `delete` alone; others want `pull` beside it.
    const actions = deletes ? 'pull,delete' : pushes ? 'pull,push' : 'pull';
    const scope = repository === undefined ? undefined : scopeOf(repository, actions);
    const response = await this.#send({ method, url, scope, maxBytes: ANSWER_BYTES, ...options });
    return { ...response, doing: { scope: scope ?? '', deletes, pushes } };
  }

  /**
   * All items of a list that comes in pages.
   *
   * @param read as `readPages` takes it, `undefined` for an answer that isn't the list
   */
  pages<T>(
    path: string,
    doing: Doing,
    read: (response: HttpResponse, page: number) => readonly T[] | undefined,
    options?: PagingOptions,
  ): Promise<T[]> {
    const readPage = (response: HttpResponse, page: number) => {
      const items = read(response, page);
      if (items === undefined) {
        throw this.refused(response, doing);
      }
      return items;
    };
    return readPages(this.#send, this.url(path), doing.scope, readPage, options);
  }

  /** @param what as in "could not …" */
  refusal(answer: Answer, what: string): RegistryError {
    return this.refused(answer, { ...answer.doing, what });
  }

  /** Where every refusal gets its words. A family that knows more of its server's answers says more. */
  protected refused(response: HttpResponse, doing: Doing): RegistryError {
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
