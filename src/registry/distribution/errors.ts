/**
 * The meaning of a registry's error answers, in words that say what to do. The only place that reads
 * error codes (distribution-spec, "Error Codes") and at the quirks behind them.
 */
import * as v from 'valibot';

import { parseChallenges } from '../../http/challenge.js';
import type { HttpResponse } from '../../http/message.js';
import { JsonLimitError, inForm, parseJson } from '../../oci/json.js';
import type { Code } from '../../text/code.js';
import { RegistryError, type RegistryErrorKind } from '../registry-error.js';
import { fromBetween } from './between.js';
import { isPage } from './page.js';
import type { Connection } from '../registry.js';

/** Only the first is looked at: there may be a million, each of them wrong. */
const ErrorBody = v.object({ errors: v.looseTuple([v.unknown()]) });
const ErrorEntry = v.object({
  code: v.fallback(v.string(), ''),
  message: v.fallback(v.optional(v.string(), ''), ''),
  detail: v.optional(v.unknown()),
});

/** An error of each blob that is missing, with a detail, are a few thousand. */
const ERROR_VALUES = 50_000;
/** A list of Google's has several values for each manifest. */
const LIST_VALUES = 2_500_000;
/** A million tags come in one page from Distribution 2.x. Parsed, more would take memory only to be refused. */
export const NAME_VALUES = 1_001_000;

type ErrorEntry = v.InferOutput<typeof ErrorEntry>;

/** The first error of a registry's JSON error body; `undefined` when the body is something else. */
export function errorOf(response: HttpResponse): ErrorEntry | undefined {
  let body: unknown;
  try {
    body = parseJson(response.body, ERROR_VALUES);
  } catch {
    return undefined;
  }
  return inForm(ErrorEntry, inForm(ErrorBody, body)?.errors[0]);
}

/** The spec leaves its form open. A larger one is of use to nobody who reads a message. */
const DETAIL = 200;

/** The detail of an error, where that is text or small; to be quoted. */
function detailOf({ detail, message }: ErrorEntry): string {
  if (typeof detail === 'string') {
    return detail === message ? '' : detail.slice(0, DETAIL);
  }
  const isEmpty = typeof detail !== 'object' || detail === null || Object.keys(detail).length === 0;
  try {
    const text = isEmpty ? '' : JSON.stringify(detail);
    return text.length > DETAIL ? '' : text;
  } catch {
    // Nested too deeply to be written.
    return '';
  }
}

/** The detail of a 401 or 403 repeats the scope, that of a 404 the name: both are in the message. */
const SAID_ANYWAY = [401, 403, 404];

function saidBy(error: ErrorEntry, status: number): string {
  const detail = SAID_ANYWAY.includes(status) ? '' : detailOf(error);
  const text = `${error.code} ${error.message}`.trim();
  return detail === '' ? text : `${text}: ${detail}`;
}

/** `NOT_FOUND` is Harbor's word for all of them. */
const UNKNOWN = ['MANIFEST_UNKNOWN', 'NAME_UNKNOWN', 'NOT_FOUND'];

/**
 * Whether a 404 on the routes of manifests and tags says that the manifest or repository does not exist. Others mean
 * something else: Distribution answers MANIFEST_UNKNOWN also for an OCI manifest that Accept left out ("accept header
 * does not support OCI manifests"), proxies and web servers answer with HTML.
 */
export function saysUnknown(response: HttpResponse): boolean {
  // The status first, since this is asked of every answer, and the others' bodies are large.
  const error = response.status === 404 ? errorOf(response) : undefined;
  return UNKNOWN.includes(error?.code ?? '') && !/accept header/i.test(error?.message ?? '');
}

const BLOB_UNKNOWN = ['BLOB_UNKNOWN', ...UNKNOWN];

/**
 * Whether a 404 says that the blob or repository does not exist. One that says something else, such as
 * DENIED, must not count as that: a young image whose config could not be read would lose its grace period.
 */
export function saysBlobUnknown(response: HttpResponse): boolean {
  return response.status === 404 && BLOB_UNKNOWN.includes(errorOf(response)?.code ?? '');
}

/** Codes that speak of the account or of the moment, and not of the route. */
const OF_OTHER_THINGS = ['DENIED', 'UNAUTHORIZED', 'TOOMANYREQUESTS', 'UNAVAILABLE'];

/**
 * Whether an answer other than the asked-for one is how a registry answers that lacks the route: Distribution with
 * a 404 in plain text, others with an empty one, a page, or a code such as NOT_FOUND or UNSUPPORTED. A proxy's page
 * looks the same, so this proves nothing.
 */
export function mayLackRoute(response: HttpResponse): boolean {
  const code = errorOf(response)?.code ?? '';
  return [200, 404, 405, 501].includes(response.status) && !OF_OTHER_THINGS.includes(code);
}

/** The request that was answered. */
export interface Doing {
  /** continues "the registry refused to …": `list the tags of team/app` */
  readonly what: string;
  /** the scope that the request asked for */
  readonly scope: string;
  /** Only of a delete does 405 speak of a switch; catalogs and other routes have reasons of their own. */
  readonly deletes?: boolean;
  /** A read-only registry has words of its own for a push, too. */
  readonly pushes?: boolean;
  /** A route that a registry may lack: olareg has no catalog, and says so by an empty 404. */
  readonly optional?: true;
}

/**
 * @param quote makes text of the registry safe to print: secrets out, control characters out, cut
 * @param allowDeletes how deletes are allowed where they are switched off
 */
export function refusal(
  response: HttpResponse,
  doing: Doing,
  quote: Connection['quote'],
  allowDeletes: string,
): RegistryError {
  const { status } = response;
  const error = errorOf(response);
  const said = `${String(status)}${error === undefined ? '' : ` (${quote(saidBy(error, status))})`}`;
  const could = (kind: RegistryErrorKind, text: string, code?: Code) =>
    new RegistryError(kind, `could not ${doing.what}: ${text}`, code);
  const refused = (kind: RegistryErrorKind, text: string) =>
    new RegistryError(kind, `the registry refused to ${doing.what}: ${said}${text}`);
  const between = fromBetween(response, doing, error !== undefined);
  if (between !== undefined) {
    return could(between.kind, quote(between.text), between.code);
  }
  // The exact words: other registries answer 403 DENIED to accounts that may only read.
  const isReadOnly = error?.code === 'DENIED' && error.detail === 'repository is read-only';
  if (status === 403 && (doing.deletes || doing.pushes) && isReadOnly) {
    const text = ', and says that its storage is read-only (`--store-ro` of olareg)';
    return refused('read-only', `${text}. Run this again when it accepts writes`);
  }
  if (status === 401 || status === 403) {
    const why = whyLacking(response, quote(missingScope(response) ?? doing.scope));
    return refused(status === 401 ? 'unauthorized' : 'forbidden', `. ${why}`);
  }
  // 405 with another code is about this manifest alone: zot's DENIED protects the child of an index.
  if (status === 405 && doing.deletes && error?.code === 'UNSUPPORTED') {
    return refused('deletes-off', `. Deleting is switched off there: ${allowDeletes}`);
  }
  if (status === 405 && doing.deletes && error === undefined) {
    const text = ' without an error code, as a registry in read-only mode answers';
    const advice = 'Run this again when it accepts writes';
    return refused('read-only', `${text} (\`storage.maintenance.readonly\`). ${advice}`);
  }
  if (status === 404 && doing.optional && response.body.length === 0) {
    return could('unexpected', '404 without a body, as a registry answers that has no such list');
  }
  if (error === undefined && (status === 404 || (status >= 200 && status < 400))) {
    return could(
      'not-a-registry',
      `${said} with a body that isn't a registry's (${quote(response.headers['content-type'] ?? 'no Content-Type')}). ` +
        'Is `registry-url` right, and does no proxy answer in its place?',
    );
  }
  const text = `the registry answered ${said}${adviceFor(response)}`;
  return status === 405 && doing.pushes
    ? could('read-only', `${text}. It takes no pushes there`)
    : could('unexpected', text, codeFor(status));
}

function whyLacking({ login }: HttpResponse, scope: string): string {
  if (login !== undefined) {
    return `${login}${scope === '' ? '' : `. This asked for the scope \`${scope}\``}`;
  }
  const lack =
    scope === ''
      ? 'The credentials were not accepted'
      : `The credentials lack the scope \`${scope}\``;
  return (
    `${lack}: give \`username\` and \`password\` of an account that may do this, or log in with ` +
    'docker/login-action before this step'
  );
}

function codeFor(status: number): Code {
  return status === 429 ? 'rate-limited' : status >= 500 ? 'server-failed' : 'unexpected-answer';
}

/** For failures that pass by themselves as a rule, and have not after every try. */
function adviceFor({ status, tries = 1, gaveUp }: HttpResponse): string {
  const advice =
    gaveUp !== undefined
      ? `It was not tried again: ${gaveUp}`
      : status === 429
        ? 'It takes fewer requests than were sent: lower `concurrency`, or run this at another time'
        : 'The registry, or a proxy before it, is overloaded, restarting or broken: see its log, and run this again';
  const times = tries > 1 ? ` to each of ${String(tries)} tries` : '';
  return gaveUp !== undefined || status === 429 || status >= 500 ? `${times}. ${advice}` : '';
}

/** The scope that the registry's challenge asks for, which may be more exact than what was asked for. */
function missingScope(response: HttpResponse): string | undefined {
  return parseChallenges(response.headers['www-authenticate'])
    .find((challenge) => challenge.scheme === 'bearer')
    ?.params.get('scope');
}

/**
 * A JSON body of this shape; `undefined` when it is something else.
 *
 * @param most how many values it may hold
 * @throws RegistryError when it holds more than any list does
 */
export function jsonOf<T>(
  schema: v.GenericSchema<unknown, T>,
  response: HttpResponse,
  most = LIST_VALUES,
): T | undefined {
  try {
    return inForm(schema, parseJson(response.body, most));
  } catch (error) {
    if (error instanceof JsonLimitError) {
      const { pathname } = response.url;
      // After a redirect the path is a foreign word.
      const where = /^\/v2\/[\w./:-]{1,400}$/.test(pathname)
        ? `the answer of ${pathname}`
        : 'the answer';
      throw new RegistryError(
        'unexpected',
        `${where} ${error.message}, which no list of a registry does. Does something ` +
          'answer in its place? Otherwise leave the repository out with `repositories`',
      );
    }
    return undefined;
  }
}

const Errors = v.object({ errors: v.pipe(v.array(v.unknown()), v.minLength(1)) });

/**
 * Whether a registry says that it did something: one of these statuses, and a body that does not speak against it. A
 * web page comes from something in between, and some gateways send a list of errors with a 200.
 */
export function isSuccess(response: HttpResponse, ...statuses: readonly number[]): boolean {
  return (
    statuses.includes(response.status) &&
    !isPage(response) &&
    jsonOf(Errors, response) === undefined
  );
}
