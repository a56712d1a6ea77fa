/**
 * What a registry's error answers mean, in words that say what to do. The only place that looks at
 * error codes (distribution-spec, "Error Codes") and at the quirks behind them.
 */
import * as v from 'valibot';

import { parseChallenges } from '../../http/challenge.js';
import type { HttpResponse } from '../../http/message.js';
import { JsonLimitError, inForm, parseJson } from '../../oci/json.js';
import type { Code } from '../../text/code.js';
import { RegistryError } from '../registry-error.js';
import { fromBetween } from './between.js';

/** Only the first is looked at: there may be a million, each of them wrong. */
const ErrorBody = v.object({ errors: v.looseTuple([v.unknown()]) });
const ErrorEntry = v.object({
  code: v.fallback(v.string(), ''),
  message: v.fallback(v.optional(v.string(), ''), ''),
  detail: v.optional(v.unknown()),
});

/** An error of each blob that is missing, with a detail, are a few thousand. */
const ERROR_VALUES = 50_000;
/** A million tags come in one page from Distribution 2.x. */
const LIST_VALUES = 2_500_000;

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

/** The spec leaves its form open. What is larger is of use to nobody who reads a message. */
const DETAIL = 200;

/** What an error says beside its message, where that is text or small; to be quoted. */
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

/** Of 401 and 403 the detail repeats the scope, of 404 the name: both are in the message. */
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
  // First of all, since it is asked of every answer, and the others' bodies are large.
  if (response.status !== 404) {
    return false;
  }
  const error = errorOf(response);
  return (
    error !== undefined && UNKNOWN.includes(error.code) && !/accept header/i.test(error.message)
  );
}

const BLOB_UNKNOWN = ['BLOB_UNKNOWN', ...UNKNOWN];

/**
 * Whether a 404 says that the blob or repository does not exist. One that says something else, such as
 * DENIED, must not count as that: a young image whose config could not be read would lose its grace period.
 */
export function saysBlobUnknown(response: HttpResponse): boolean {
  return response.status === 404 && BLOB_UNKNOWN.includes(errorOf(response)?.code ?? '');
}

/** Codes that speak of the account or of the moment, whatever route was asked. */
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

/** What was being done when the answer came. */
export interface Doing {
  /** continues "the registry refused to …": `list the tags of team/app` */
  readonly what: string;
  /** the scope that the request asked for */
  readonly scope: string;
  /** Only of a delete does 405 speak of a switch; catalogs and other routes have reasons of their own. */
  readonly deletes?: true;
  /** Of a push, too, a read-only registry speaks in words of its own. */
  readonly pushes?: true;
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
  quote: (text: string) => string,
  allowDeletes: string,
): RegistryError {
  const { status } = response;
  const error = errorOf(response);
  const said = error === undefined ? '' : ` (${quote(saidBy(error, status))})`;
  const between = fromBetween(response, doing, error !== undefined);
  if (between !== undefined) {
    const { kind, code, text } = between;
    return new RegistryError(kind, `could not ${doing.what}: ${quote(text)}`, code);
  }
  // The exact words: other registries answer 403 DENIED to accounts that may only read.
  const isReadOnly = error?.code === 'DENIED' && error.detail === 'repository is read-only';
  if (status === 403 && (doing.deletes ?? doing.pushes) && isReadOnly) {
    return new RegistryError(
      'read-only',
      `the registry refused to ${doing.what}: 403${said}, and says that its storage is read-only ` +
        '(`--store-ro` of olareg). Run this again when it accepts writes',
    );
  }
  if (status === 401 || status === 403) {
    const scope = quote(missingScope(response) ?? doing.scope);
    const lack =
      scope === ''
        ? 'The credentials were not accepted'
        : `The credentials lack the scope \`${scope}\``;
    const asked = scope === '' ? '' : `. This asked for the scope \`${scope}\``;
    const why =
      response.login === undefined
        ? `${lack}: give \`username\` and \`password\` of an account that may do this, or log in with ` +
          'docker/login-action before this step'
        : `${response.login}${asked}`;
    return new RegistryError(
      status === 401 ? 'unauthorized' : 'forbidden',
      `the registry refused to ${doing.what}: ${String(status)}${said}. ${why}`,
    );
  }
  // 405 with another code is about this manifest alone: zot's DENIED protects the child of an index.
  if (status === 405 && doing.deletes && (error === undefined || error.code === 'UNSUPPORTED')) {
    return error !== undefined
      ? new RegistryError(
          'deletes-off',
          `the registry refused to ${doing.what}: 405${said}. Deleting is switched off there: ${allowDeletes}`,
        )
      : new RegistryError(
          'read-only',
          `the registry refused to ${doing.what}: 405 without an error code, as a registry in read-only ` +
            'mode answers (`storage.maintenance.readonly`). Run this again when it accepts writes',
        );
  }
  if (status === 404 && doing.optional && response.body.length === 0) {
    return new RegistryError(
      'unexpected',
      `could not ${doing.what}: 404 without a body, as a registry answers that has no such list`,
    );
  }
  if (error === undefined && (status === 404 || (status >= 200 && status < 400))) {
    return new RegistryError(
      'not-a-registry',
      `could not ${doing.what}: ${String(status)} with a body that is no registry's ` +
        `(${quote(response.headers['content-type'] ?? 'no Content-Type')}). Is \`registry-url\` right, ` +
        'and does no proxy answer in its place?',
    );
  }
  const takesNoPushes = status === 405 && doing.pushes;
  return new RegistryError(
    takesNoPushes ? 'read-only' : 'unexpected',
    `could not ${doing.what}: the registry answered ${String(status)}${said}${adviceFor(response)}` +
      (takesNoPushes ? '. It takes no pushes there' : ''),
    codeFor(status),
  );
}

function codeFor(status: number): Code {
  return status === 429 ? 'rate-limited' : status >= 500 ? 'server-failed' : 'unexpected-answer';
}

/** What passes by itself as a rule, and has not after every try. */
function adviceFor({ status, tries = 1, gaveUp }: HttpResponse): string {
  const times = tries > 1 ? ` to each of ${String(tries)} tries` : '';
  if (gaveUp !== undefined) {
    return `${times}. It was not tried again: ${gaveUp}`;
  }
  if (status === 429) {
    return `${times}. It takes fewer requests than were sent: lower \`concurrency\`, or run this at another time`;
  }
  if (status < 500) {
    return '';
  }
  return `${times}. The registry, or a proxy before it, is overloaded, restarting or broken: see its log, and run this again`;
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
 * @throws RegistryError when it holds more than any list does
 */
export function jsonOf<T>(
  schema: v.GenericSchema<unknown, T>,
  response: HttpResponse,
): T | undefined {
  try {
    return inForm(schema, parseJson(response.body, LIST_VALUES));
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
