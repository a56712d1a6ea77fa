/** The errors of Google Artifact Registry, with its own codes and words. */
import { json, type Answer } from '../memory/answer.js';

export type Action = 'pull' | 'push' | 'delete';

const PERMISSIONS = { pull: 'download', push: 'upload', delete: 'delete' } as const;

export function refusal(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Answer {
  return json(status, { errors: [{ code, message }] }, headers);
}

/** 403: an account that may not do this, or (`anonymous`) nobody's account. */
export function denied(action: Action, repository: string, anonymous = false): Answer {
  const permission = `"artifactregistry.repositories.${PERMISSIONS[action]}Artifacts"`;
  const [project = '', name = ''] = repository.split('/');
  const resource = `on resource "projects/${project}/locations/us/repositories/${name}"`;
  const who = anonymous
    ? `Unauthenticated request. Unauthenticated requests do not have permission ${permission}`
    : `Permission ${permission} denied`;
  return refusal(403, 'DENIED', `${who} ${resource} (or it may not exist)`);
}
