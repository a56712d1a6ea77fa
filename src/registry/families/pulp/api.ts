/**
 * The REST API of Pulp: its addresses, and what its refusals mean. The one place that sends requests to it. It never
 * follows an address that the server gives: what it names must be a resource of this API, in Pulp's own form.
 */
import * as v from 'valibot';

import type { HttpResponse } from '../../../http/message.js';
import type { Code } from '../../../text/code.js';
import { jsonOf } from '../../distribution/errors.js';
import { guarded } from '../../guard.js';
import { RegistryError, type RegistryErrorKind } from '../../registry-error.js';
import type { Connection } from '../../registry.js';

/** A page of a thousand rows is some 200 kB. */
const ANSWER_BYTES = 16 * 1024 * 1024;
/** Pulp's `API_ROOT`, unless somebody changed it. */
const API_ROOT = '/pulp/api/v3/';
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

/** By kind of resource, what comes after the root of the API. */
const FORMS = {
  manifest: `content/container/manifests/${UUID}/`,
  tag: `content/container/tags/${UUID}/`,
  repository: `repositories/container/container/${UUID}/`,
  version: `repositories/container/container/${UUID}/versions/\\d{1,9}/`,
  namespace: `pulp_container/namespaces/${UUID}/`,
  task: `tasks/${UUID}/`,
} as const;

/** The name that Pulp has for a resource: the path of its address. */
export type Href = string;

interface Asked {
  readonly query?: Readonly<Record<string, string>>;
  /** in a POST; it must do no harm when it is sent twice */
  readonly body?: unknown;
  /** asked before each try: once it is true, none is sent */
  readonly isLate?: () => boolean;
}

const Detail = v.object({ detail: v.string() });
const Said = v.union([
  v.pipe(
    v.array(v.string()),
    v.transform((all) => all.join(' ')),
  ),
  v.pipe(
    Detail,
    v.transform(({ detail }) => detail),
  ),
]);

export class PulpApi {
  readonly #connection: Connection;
  readonly #origin: URL;
  readonly #root: string;

  constructor(connection: Connection) {
    const { api, base } = connection;
    this.#connection = connection;
    this.#origin = api ?? base;
    const { pathname } = this.#origin;
    this.#root = pathname === '/' ? API_ROOT : pathname.replace(/\/*$/, '/');
  }

  /** Whether this is the name of such a resource here. A backup, or the server, may say anything. */
  is(kind: keyof typeof FORMS, href: string): boolean {
    const path = href.startsWith(this.#root) ? href.slice(this.#root.length) : '';
    return new RegExp(`^${FORMS[kind]}$`).test(path);
  }

  /**
   * @returns the name, of this kind
   * @throws RegistryError otherwise: `remove/` takes `*` for all content of a repository
   */
  guarded(kind: keyof typeof FORMS, href: string): Href {
    return guarded(`name of a ${kind}`, href, (text) => this.is(kind, text));
  }

  /** The name of a route that is no resource, such as `status/`. */
  route(path: string): Href {
    return `${this.#root}${path}`;
  }

  /** Any answer, a refusal too. @throws RequestFailure when there was none */
  async ask(
    method: 'GET' | 'POST',
    href: Href,
    { query = {}, body, isLate }: Asked = {},
  ): Promise<HttpResponse> {
    const url = new URL(href, this.#origin);
    url.search = new URLSearchParams(query).toString();
    const { send, basic } = this.#connection;
    return send({
      method,
      url,
      maxBytes: ANSWER_BYTES,
      isLate,
      // The registry asks for a token; the API takes user and password.
      ...(basic === undefined ? {} : { authorization: basic }),
      ...(body === undefined
        ? {}
        : {
            body: JSON.stringify(body),
            headers: { 'content-type': 'application/json' },
            repeatable: true,
          }),
    });
  }

  /**
   * @param what as in "could not …"
   * @returns the body of a GET
   * @throws RequestFailure when the answer isn't 200 with a body in this form
   */
  async read<T>(
    schema: v.GenericSchema<unknown, T>,
    href: Href,
    what: string,
    query?: Asked['query'],
  ): Promise<T> {
    const answer = await this.ask('GET', href, { query });
    if (answer.status !== 200) {
      throw this.refusal(answer, what);
    }
    return jsonOf(schema, answer) ?? this.misunderstood(what);
  }

  /** @param what as in "could not …" */
  refusal(answer: HttpResponse, what: string): RegistryError {
    const { status } = answer;
    const said = jsonOf(Said, answer);
    const answered = `${String(status)}${said === undefined ? '' : ` (${this.quote(said)})`}`;
    const refused = (kind: RegistryErrorKind, advice: string, code?: Code) =>
      new RegistryError(kind, `could not ${what}: Pulp answered ${answered}. ${advice}`, code);
    if (status === 401) {
      return refused(
        'unauthorized',
        'Its API takes a user and a password: give `username` and `password`',
      );
    }
    if (status === 403) {
      return refused('forbidden', RIGHTS);
    }
    if (status === 404) {
      // Pulp answers the same for a resource that the user may not see.
      return refused('hidden', `It may be gone, or the user lacks a right. ${RIGHTS}`);
    }
    return status >= 500 || status === 429
      ? refused(
          'unexpected',
          "See the server's log, and run this again",
          status === 429 ? 'rate-limited' : 'server-failed',
        )
      : refused('unexpected', 'Is `api-url` right?');
  }

  /** A body that isn't in Pulp's form. @throws RegistryError always */
  misunderstood(what: string): never {
    throw new RegistryError(
      'unexpected',
      `could not ${what}: the answer isn't in the form of Pulp's API. Is \`api-url\` right?`,
    );
  }

  quote(text: string): string {
    return this.#connection.quote(text);
  }
}

/** The rights that a run needs, by Pulp's own names. */
export const RIGHTS =
  'The user needs the role `container.containerrepository_content_manager` or `container.containerrepository_owner` on the ' +
  'repository, or `container.containernamespace_owner` on its namespace';
