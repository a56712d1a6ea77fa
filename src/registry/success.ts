/** What counts as a registry's word that it did something: more than the status of an answer. */
import * as v from 'valibot';

import type { HttpResponse } from '../http/message.js';
import { mediaTypeOf } from '../oci/media-types.js';
import { jsonOf } from './answer.js';

/** Bytes: enough to see whether a body is a page. */
const START = 64;
const PAGES = ['text/html', 'application/xhtml+xml'];
const Errors = v.object({ errors: v.pipe(v.array(v.unknown()), v.minLength(1)) });

/**
 * Whether this answer has one of these statuses, and a body that does not speak against it: a web page, which
 * something in between sends, or a list of errors, which some gateways send with a 200.
 */
export function isSuccess(response: HttpResponse, ...statuses: readonly number[]): boolean {
  return (
    statuses.includes(response.status) &&
    !isPage(response) &&
    jsonOf(Errors, response) === undefined
  );
}

/** Whether this is a web page, which no registry answers with. */
function isPage({ headers, body }: HttpResponse): boolean {
  const start = body.subarray(0, START).toString('utf8').replace('\uFEFF', '');
  return PAGES.includes(mediaTypeOf(headers['content-type'])) || /^\s*</.test(start);
}
