/** What became of the manifests of a plan, so far. Pure. */
import type { Digest } from '../oci/digest.js';
import type { KeepReason } from './reasons.js';

export type Result =
  | { readonly kind: 'deleted' | 'gone' }
  | { readonly kind: 'spared'; readonly reason: KeepReason }
  | { readonly kind: 'failed' | 'skipped'; readonly why: string };

/** What became of each manifest so far. */
export type Results = Map<Digest, Result>;

export function isGone(results: Results, digest: Digest): boolean {
  const kind = results.get(digest)?.kind;
  return kind === 'deleted' || kind === 'gone';
}

export function goneIn(results: Results): Digest[] {
  return [...results.keys()].filter((digest) => isGone(results, digest));
}

/** What is gone, or may be: a delete that failed may have been carried out all the same. */
export function triedIn(results: Results): Digest[] {
  return [...goneIn(results), ...keysOf(results, 'failed')];
}

/** Those of one kind, in the order in which they came. */
export function keysOf(results: Results, kind: Result['kind']): Digest[] {
  return [...results].flatMap(([digest, result]) => (result.kind === kind ? [digest] : []));
}

export function explained(
  results: Results,
  kind: 'failed' | 'skipped',
): { readonly digest: Digest; readonly why: string }[] {
  return [...results].flatMap(([digest, result]) =>
    result.kind === kind ? [{ digest, why: result.why }] : [],
  );
}
