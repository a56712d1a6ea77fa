/** The stable codes that messages end with: scripts and docs/troubleshooting.md go by them, and words may change. Pure. */
import { printable } from './printable.js';

export const CODES = [
  // What came before the first request.
  'inputs-invalid',
  /** `registry-url` names a registry that no family serves */
  'registry-not-served',
  'digests-file-unusable',
  'digests-not-understood',
  'protect-files-unusable',
  'protection-empty',
  'protection-large',
  /** an entry of `protect` was found nowhere */
  'protection-unmatched',
  'apply-plan-unusable',
  'docker-config-unusable',
  'backup-unusable',
  // The connection and the login.
  'registry-unreachable',
  'certificate-refused',
  'answer-truncated',
  'answer-too-large',
  'token-missing',
  'token-realm-refused',
  'token-not-shown',
  'clocks-differ',
  // What a registry answered.
  'credentials-refused',
  'right-missing',
  'deletes-disabled',
  'registry-read-only',
  'repository-missing',
  'not-a-registry',
  /** 500 for a digest on the manifests route */
  'perhaps-a-blob',
  /** the registry denies what it has just shown */
  'answers-contradict',
  'still-referenced',
  /** no run can delete this manifest, for a reason that lies in it alone */
  'undeletable',
  /** nothing can restore what was deleted */
  'delete-final',
  'quota-used-up',
  'digest-mismatch',
  'rate-limited',
  'proxy-refused',
  'tls-expected',
  'client-certificate-wanted',
  'redirect-not-followed',
  'upload-too-large',
  /** a 5xx answer to every try */
  'server-failed',
  'unexpected-answer',
  'paging-broken',
  'answer-from-cache',
  'manifest-not-understood',
  'type-missing',
  // What became of a repository or of the run.
  'catalog-empty',
  'nothing-selected',
  'repository-empty',
  'repository-vanished',
  /** a tag points at a part of what it pointed at before */
  'tag-narrowed',
  'image-broken',
  'tag-list-shrank',
  'restored-after-push',
  'restored-from-ledger',
  'ledger-restore-failed',
  'restore-failed',
  'backup-not-saved',
  'file-not-written',
  'output-cut',
  'run-stopped',
  'internal-fault',
  'run-failed',
  'sweep-not-verified',
  /** the server deletes manifests by itself, and not only those that a run would delete */
  'server-cleans-itself',
  'no-tag-left',
  'share-over-limit',
  'count-over-limit',
  'deletes-refused',
  'delete-right-missing',
  /** a gap whose cause has no code of its own */
  'gap-found',
  'delete-failed',
  'delete-not-tried',
  // The ledger.
  'ledger-not-read',
  'ledger-not-written',
  'ledger-entry-skipped',
  'ledger-entries-stay',
] as const;

export type Code = (typeof CODES)[number];

const ANYWHERE = new RegExp(` \\[(${CODES.join('|')})\\]`, 'g');
const AT_END = new RegExp(` \\[(${CODES.join('|')})\\]$`);

/** The code that a message ends with; `undefined` when it has none. */
export function codeIn(message: string): Code | undefined {
  return AT_END.exec(message)?.[1] as Code | undefined;
}

/** Ends its message with a code: the one of a message that it quotes, or its own. */
export class CodedError extends Error {
  override name = 'CodedError';
  constructor(message: string, code: Code, options?: ErrorOptions) {
    super(coded(message, code), options);
  }
}

/** Foreign text, in which a code would be taken for ours. */
export function withoutCodes(text: string): string {
  return text.replaceAll(ANYWHERE, '');
}

/**
 * The message with one code, at its end. A code of another message that it quotes is the more exact one: it is moved
 * there, and `code` is not added.
 *
 * @param length of the result, in characters: what is longer is made printable and cut before the code
 */
export function coded(message: string, code: Code, length?: number): string {
  const [inner] = [...message.matchAll(ANYWHERE)].slice(-1);
  const end = ` [${inner?.[1] ?? code}]`;
  const text = withoutCodes(message);
  return `${length === undefined ? text : printable(text, length - end.length)}${end}`;
}
