/** What a registry, or something between it and us, can do wrong with one request. */
import fc from 'fast-check';

import type { Action, SeenRequest } from '../servers/memory/script.js';

export type FaultKind =
  | 'reset'
  | 'truncate'
  | 'html'
  | 'html-404'
  | 'plain-404'
  | 'empty-404'
  | 'wrong-body'
  /** carried out, and answered with a 500 all the same */
  | 'done-500'
  | Lie
  /** the secondary limit of GitHub, which says how long to wait, or doesn't */
  | 'secondary'
  | 'secondary-unsaid'
  | 401
  | 403
  | 429
  | 500
  | 502
  | 503;

/** The answers to a DELETE that is not carried out. */
type Lie = 'lie-200' | 'lie-202' | 'lie-204' | 'lie-404' | 'lie-404-name' | 'lie-errors';

export interface Fault {
  /** the k-th new path of a run, from 1; each method counts for itself */
  readonly at: number;
  /** which requests are counted */
  readonly among: 'all' | 'deletes';
  readonly kind: FaultKind;
  /** how often that request is hit */
  readonly times: number;
}

export const KINDS: readonly FaultKind[] = [
  'reset',
  'truncate',
  'html',
  'html-404',
  'plain-404',
  'empty-404',
  'wrong-body',
  'done-500',
  401,
  403,
  429,
  500,
  502,
  503,
];

/** Of deletes alone. */
export const LIES: readonly FaultKind[] = [
  'lie-200',
  'lie-202',
  'lie-204',
  'lie-404',
  'lie-404-name',
  'lie-errors',
];

/** Faults that pass, and after which a retry gets the right answer. */
export const PASSING: readonly FaultKind[] = ['reset', 'truncate', 429, 500, 502, 503, 'done-500'];

/** The same of GitHub's API. */
export const PASSING_AT_GITHUB: readonly FaultKind[] = [
  ...PASSING,
  'secondary',
  'secondary-unsaid',
];

export function faults(
  kinds: readonly FaultKind[],
  times: readonly number[],
): fc.Arbitrary<Fault[]> {
  const at = (max: number) => fc.integer({ min: 1, max });
  const more = { kind: fc.constantFrom(...kinds), times: fc.constantFrom(...times) };
  const fault: fc.Arbitrary<Fault> = fc.oneof(
    fc.record({ ...more, at: at(30), among: fc.constant('all' as const) }),
    fc.record({ ...more, at: at(6), among: fc.constant('deletes' as const) }),
  );
  return fc.array(fault, { maxLength: 4 });
}

/** At least one, of the first few deletes. */
export function deleteFaults(kinds: readonly FaultKind[]): fc.Arbitrary<Fault[]> {
  const fault: fc.Arbitrary<Fault> = fc.record({
    kind: fc.constantFrom(...kinds),
    times: fc.constantFrom(1, 100),
    at: fc.integer({ min: 1, max: 3 }),
    among: fc.constant('deletes'),
  });
  return fc.array(fault, { minLength: 1, maxLength: 2 });
}

export function actionOf(kind: FaultKind, request: SeenRequest): Action {
  switch (kind) {
    case 'reset':
    case 'truncate':
    case 'html':
      return { kind };
    case 'html-404':
      return { kind: 'html', status: 404 };
    case 'plain-404':
      return answer(404, '404 page not found\n');
    case 'empty-404':
      return answer(404, '');
    case 'wrong-body':
      // Other bytes under the same headers. A list without the right shape is not a list.
      return {
        kind: 'rewrite',
        rewrite: (own) => ({ ...own, body: Buffer.from(`{"not":"it","n":${String(request.n)}}`) }),
      };
    case 'done-500':
      return {
        kind: 'rewrite',
        rewrite: (own) => ({ ...own, status: 500, body: Buffer.from('oops') }),
      };
    case 'lie-200':
    case 'lie-202':
    case 'lie-204':
      return answer(Number(kind.slice('lie-'.length)), '');
    case 'lie-404':
      return answer(404, '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
    case 'lie-404-name':
      return answer(404, '{"errors":[{"code":"NAME_UNKNOWN","message":"not known to registry"}]}');
    case 'lie-errors':
      return answer(200, '{"errors":[{"code":"DENIED","message":"denied"}]}');
    case 'secondary':
    case 'secondary-unsaid':
      return {
        kind: 'answer',
        status: request.n % 2 === 0 ? 403 : 429,
        headers: {
          'Content-Type': 'application/json',
          ...(kind === 'secondary' ? { 'Retry-After': '3' } : {}),
        },
        body: '{"message":"You have exceeded a secondary rate limit. Please wait a few minutes."}',
      };
    case 429:
      return {
        kind: 'answer',
        status: 429,
        headers: { 'Retry-After': '1' },
        body: '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}',
      };
    default:
      return answer(kind, `{"errors":[{"code":"ODD","message":"status ${String(kind)}"}]}`);
  }
}

function answer(status: number, body: string): Action {
  return { kind: 'answer', status, headers: { 'Content-Type': 'application/json' }, body };
}
