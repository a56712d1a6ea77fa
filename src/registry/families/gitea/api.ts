/**
 * The packages API of Gitea and Forgejo (`/api/v1/packages`). The one place that sends requests to it, and that says
 * what its refusals mean. It answers nobody who doesn't log in, and takes a user name with a password or an access
 * token.
 */
import * as v from 'valibot';

import type { HttpResponse, Method } from '../../../http/message.js';
import { inForm, tryJson } from '../../../oci/json.js';
import { isRepository } from '../../../oci/reference.js';
import { refusal } from '../../distribution/errors.js';
import { guarded } from '../../guard.js';
import { RegistryError } from '../../registry-error.js';
import type { Connection } from '../../registry.js';

/** A page of fifty versions is about a hundred kilobytes, of which most describes their owner. */
const ANSWER_BYTES = 4 * 1024 * 1024;

/** Continues a message about a missing right. */
export const RIGHTS =
  'It needs `username` and `password` of an account that may write the packages of this owner. As the password give an ' +
  'access token with the scope `write:package`; for a dry-run `read:package` suffices';

const NO_LOGIN =
  'the packages API of Gitea answers nobody who does not log in by name and password, and there are none. Give ' +
  '`username` and `password`, which may be an access token with the scope `write:package`';

/** In the form of every refusal (Gitea, services/context/api.go, APIError). */
const Refused = v.object({ message: v.string() });

/** An image of the registry, which is a package of its owner. */
export interface Image {
  readonly owner: string;
  /** without the owner; may hold slashes */
  readonly name: string;
}

/** @throws RegistryError for anything but `owner/name`: the address would be that of something larger */
export function imageOf(repository: string): Image {
  guarded('repository', repository, isRepository);
  const [owner = '', ...rest] = repository.split('/');
  if (rest.length === 0) {
    throw new RegistryError(
      'unexpected',
      `${repository} isn't an image of Gitea: \`repositories\` takes \`owner/name\``,
    );
  }
  return { owner, name: rest.join('/') };
}

interface AskOptions {
  readonly method?: Method;
  readonly query?: Readonly<Record<string, string>>;
  readonly isLate?: () => boolean;
}

/** The address of a route of the API, which is at the registry's own address unless the user says otherwise. */
export function routeAt({ api, base }: Pick<Connection, 'api' | 'base'>, route: string): URL {
  const url = new URL(api ?? base);
  const root = url.pathname.replace(/\/+$/, '').replace(/\/api\/v1$/, '');
  url.pathname = `${root}/api/${route}`;
  return url;
}

export class GiteaApi {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Any answer of the API, a refusal too.
   *
   * @param path below `/api/v1/packages/`, its parts encoded
   * @param what as in "could not …"
   * @throws RequestFailure when there was none; RegistryError without a login
   */
  async ask(path: string, what: string, options: AskOptions = {}): Promise<HttpResponse> {
    const { method = 'GET', query = {}, isLate } = options;
    const { basic, send } = this.#connection;
    if (basic === undefined) {
      throw new RegistryError('unauthorized', `could not ${what}: ${NO_LOGIN}`, 'token-missing');
    }
    const url = routeAt(this.#connection, `v1/packages/${path}`);
    Object.entries(query).forEach(([name, value]) => url.searchParams.set(name, value));
    const headers = { accept: 'application/json' };
    return send({ method, url, headers, authorization: basic, maxBytes: ANSWER_BYTES, isLate });
  }

  /** The message of a refusal; `undefined` for an answer that isn't the API's. */
  messageOf({ body }: HttpResponse): string | undefined {
    return inForm(Refused, tryJson(body.toString('utf8')))?.message;
  }

  /** @param what as in "could not …" */
  refusal(response: HttpResponse, owner: string, what: string): RegistryError {
    const { status } = response;
    const { quote } = this.#connection;
    const message = this.messageOf(response);
    const said = `could not ${what}: the server answered ${String(status)} (${quote(message ?? '')})`;
    if (message !== undefined && status === 401) {
      return new RegistryError('unauthorized', `${said}. Check \`username\` and \`password\``);
    }
    if (message !== undefined && status === 403) {
      return new RegistryError('forbidden', `${said}. ${RIGHTS}`);
    }
    if (message !== undefined && status === 404) {
      return /\buser/i.test(message)
        ? unknownOwner(what, owner)
        : new RegistryError('hidden', `${said}. Check the name, and the login. ${RIGHTS}`);
    }
    return refusal(response, { what, scope: '' }, quote, '');
  }

  /** An answer that is not in the API's form. */
  misunderstood(what: string): RegistryError {
    return new RegistryError(
      'unexpected',
      `could not ${what}: the answer isn't in the form of Gitea's packages API. Are \`registry-type\` and \`api-url\` right?`,
    );
  }
}

/** Gitea hides no owner: it answers 403 for one whose packages the account may not see. */
export function unknownOwner(what: string, owner: string): RegistryError {
  return new RegistryError(
    'unexpected',
    `could not ${what}: the server knows no user or organization \`${owner}\`. Check the name in \`repositories\`: it is ` +
      '`owner/name`',
    'repository-missing',
  );
}
