/** The error of every family: the registry answered, and the answer was a refusal or made no sense. */
import { RequestFailure } from '../http/message.js';
import type { Code } from '../text/code.js';

export type RegistryErrorKind =
  | 'unauthorized'
  | 'forbidden'
  | 'deletes-off'
  | 'read-only'
  /** a push to a repository that the registry does not make by itself */
  | 'no-repository'
  /** a push of a manifest that lists a blob or a child which the registry does not have */
  | 'part-missing'
  | 'not-a-registry'
  /** 500 for a digest on the manifests route, which is how Distribution up to 2.8 answers for a blob's */
  | 'perhaps-a-blob'
  /** it denies what it has just shown: as a rule, rights that hide behind a 404 */
  | 'hidden'
  /** a delete was refused, since a tag or an index names the manifest */
  | 'referenced'
  /** no run can delete it, for a reason that lies in this manifest alone */
  | 'undeletable'
  /** a blob came whole, and is not what its digest says */
  | 'wrong-bytes'
  | 'unexpected';

const CODES: Readonly<Record<RegistryErrorKind, Code>> = {
  unauthorized: 'credentials-refused',
  forbidden: 'right-missing',
  'deletes-off': 'deletes-disabled',
  'read-only': 'registry-read-only',
  'no-repository': 'repository-missing',
  'part-missing': 'unexpected-answer',
  'not-a-registry': 'not-a-registry',
  'perhaps-a-blob': 'perhaps-a-blob',
  hidden: 'answers-contradict',
  referenced: 'still-referenced',
  undeletable: 'undeletable',
  'wrong-bytes': 'digest-mismatch',
  unexpected: 'unexpected-answer',
};

/** The registry answered, but not with what was asked for. The message is safe to print, and ends with its code. */
export class RegistryError extends RequestFailure {
  override name = 'RegistryError';
  readonly kind: RegistryErrorKind;
  /** @param code where it is more exact than what follows from the kind */
  constructor(kind: RegistryErrorKind, message: string, code: Code = CODES[kind]) {
    super(message, code);
    this.kind = kind;
  }
}
