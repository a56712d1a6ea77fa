/**
 * The REST API of GitHub Packages, spoken by octokit through this program's own transport. The one place that sends
 * requests to it, and that says what its refusals mean (docs.github.com, "REST API endpoints for packages").
 */
import { getOctokit } from '@actions/github';
import * as v from 'valibot';

import { createFetch, requestFailureOf } from '../../../http/fetch.js';
import type { HttpResponse, Send } from '../../../http/message.js';
import { slowDownOf } from '../../../http/slow-down.js';
import { inForm } from '../../../oci/json.js';
import type { Code } from '../../../text/code.js';
import { RegistryError, type RegistryErrorKind } from '../../registry-error.js';
import type { Connection } from '../../registry.js';

/** A page of a hundred versions with a hundred tags each is about a megabyte. */
const ANSWER_BYTES = 16 * 1024 * 1024;
const VERSION = '2022-11-28';

export interface ApiRequest {
  /** octokit's form: a method, and a path with its parameters in braces */
  readonly route: string;
  readonly parameters?: Readonly<Record<string, string | number>>;
  /** asked before each try: once it is true, none is sent */
  readonly isLate?: () => boolean;
}

/** An answer of the API, with its JSON. */
export interface ApiAnswer extends HttpResponse {
  readonly data: unknown;
}

const Refused = v.object({ response: v.object({ data: v.unknown() }) });
const Message = v.object({ message: v.string() });

const NO_TOKEN =
  'could not ask the API of GitHub: the input `github-token` is empty. Leave it out, so that it is the token of the ' +
  'job, or give a classic personal access token';

const silent = () => undefined;

export class GitHubApi {
  readonly base: URL;
  readonly #connection: Connection;
  /** absent without a token, which every request of this program needs */
  readonly #octokit: ReturnType<typeof getOctokit> | undefined;
  #scopes: ReadonlySet<string> | undefined;

  /** @throws Error when the connection has no address of the API: the inputs are checked before */
  constructor(connection: Connection) {
    const { api, githubToken } = connection;
    if (api === undefined) {
      throw new Error('there is no address of the GitHub API');
    }
    this.base = api;
    this.#connection = connection;
    const options = {
      baseUrl: api.href.replace(/\/$/, ''),
      // It would print headers of the server as they are.
      log: { debug: silent, info: silent, warn: silent, error: silent },
    };
    this.#octokit = githubToken ? getOctokit(githubToken, options) : undefined;
  }

  /** The scopes of a classic personal access token, once an answer told; other tokens have none. */
  get scopes(): ReadonlySet<string> | undefined {
    return this.#scopes;
  }

  /** Whether the token is a job's own: such a token can't list packages, and belongs to no user. */
  get isJobToken(): boolean {
    return this.#connection.githubToken?.startsWith('ghs_') === true;
  }

  /**
   * Any answer of the API, a refusal too.
   *
   * @throws RequestFailure when there was none; RegistryError without a token
   */
  async ask({ route, parameters, isLate }: ApiRequest): Promise<ApiAnswer> {
    const octokit = this.#octokit;
    if (octokit === undefined) {
      throw new RegistryError('unauthorized', NO_TOKEN, 'token-missing');
    }
    const { send } = this.#connection;
    const { origin } = this.base;
    // A restore may be asked for twice.
    const options = { origin, maxBytes: ANSWER_BYTES, repeatable: true, isLate };
    const answers: HttpResponse[] = [];
    const watched: Send = async (request) => {
      const answer = await send(request);
      answers.push(answer);
      return answer;
    };
    const fetch = createFetch(watched, options);
    const headers = { 'x-github-api-version': VERSION };
    const asked = octokit.request(route, { ...parameters, headers, request: { fetch } });
    const data = await asked.then(
      (found: { readonly data: unknown }) => found.data,
      (error: unknown) => {
        // An error of the transport comes with a status, too.
        const failure = requestFailureOf(error);
        if (failure !== undefined || answers.length === 0) {
          throw failure ?? error;
        }
        return inForm(Refused, error)?.response.data;
      },
    );
    const [answer] = answers;
    if (answer === undefined) {
      throw new Error('octokit has sent no request');
    }
    return this.#noted({ ...answer, data });
  }

  #noted(answer: ApiAnswer): ApiAnswer {
    const scopes = answer.headers['x-oauth-scopes'];
    if (typeof scopes === 'string') {
      this.#scopes = new Set(scopes.split(',').map((scope) => scope.trim()));
    }
    return answer;
  }

  /**
   * @param what as in "could not …"
   * @param rights what a missing right means there, and how to get it
   */
  refusal(answer: ApiAnswer, what: string, rights: string): RegistryError {
    const { status, data } = answer;
    const said = inForm(Message, data)?.message;
    const answered = `${String(status)}${said === undefined ? '' : ` (${this.#connection.quote(said)})`}`;
    const refused = (kind: RegistryErrorKind, advice: string, code?: Code) =>
      new RegistryError(kind, `could not ${what}: GitHub answered ${answered}. ${advice}`, code);
    const limit = slowDownOf(answer, this.#connection.clock.now());
    if (limit.kind === 'used-up') {
      const until = new Date(limit.until).toISOString().slice(11, 16);
      const advice = `The quota of this token is used up until ${until} UTC: run this again after that`;
      return refused('unexpected', advice, 'quota-used-up');
    }
    if (limit.kind === 'pause') {
      const advice = 'It takes fewer requests than were sent: run this at another time';
      return refused('unexpected', advice, 'rate-limited');
    }
    if (status === 401) {
      return refused('unauthorized', 'Check `github-token`: it may have expired');
    }
    if (status === 403) {
      return refused('forbidden', rights);
    }
    if (status === 404) {
      // GitHub hides what a token may not see behind a 404.
      return refused('hidden', `The name may be wrong, or the token lacks a right. ${rights}`);
    }
    return status >= 500
      ? refused(
          'unexpected',
          'Run this again, and check https://www.githubstatus.com',
          'server-failed',
        )
      : refused('unexpected', 'Is `api-url` right?');
  }

  /** A body that is not in GitHub's form. */
  misunderstood(what: string): RegistryError {
    return new RegistryError(
      'unexpected',
      `could not ${what}: the answer isn't in the form of the GitHub API. Is \`api-url\` right?`,
    );
  }
}
