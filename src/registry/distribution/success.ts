/** What counts as a registry's word that it did something: more than the status of an answer. */
import * as v from 'valibot';

import type { HttpResponse } from '../../http/message.js';
import { jsonOf } from './errors.js';
import { isPage } from './page.js';

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
