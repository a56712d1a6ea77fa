/** The routes of blobs and of uploads in progress. */
import { randomUUID } from 'node:crypto';

import { digestOf, isDigest } from '../../../../src/oci/digest.js';
import { empty, failure, type Answer } from './answer.js';
import { linkBlob, repositoryOf, type RegistryState } from './state.js';

/** uuid → what was uploaded so far */
export type Uploads = Map<string, Buffer>;

export function getBlob(state: RegistryState, name: string, digest: string): Answer {
  if (!isDigest(digest)) {
    return failure({ code: 'DIGEST_INVALID', detail: {} });
  }
  const content = linked(state, name, digest);
  if (content === undefined) {
    return failure({ code: 'BLOB_UNKNOWN', detail: digest });
  }
  const headers = {
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'max-age=31536000',
    'Content-Type': 'application/octet-stream',
    'Docker-Content-Digest': digest,
    Etag: `"${digest}"`,
  };
  return { status: 200, headers, body: content };
}

export function deleteBlob(state: RegistryState, name: string, digest: string): Answer {
  if (!isDigest(digest)) {
    return failure({ code: 'DIGEST_INVALID', detail: {} });
  }
  if (linked(state, name, digest) === undefined) {
    return failure({ code: 'BLOB_UNKNOWN' });
  }
  state.repositories.get(name)?.blobs.delete(digest);
  return empty(202, { 'Content-Length': '0' });
}

export interface UploadRequest {
  readonly name: string;
  /** absolute: Distribution's Location headers are */
  readonly origin: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

/** POST: a new upload, or at once a link to a blob of another repository (`mount`, `from`). */
export function startUpload(
  state: RegistryState,
  uploads: Uploads,
  { name, origin, query }: UploadRequest,
): Answer {
  const mount = query.get('mount');
  const content = mount === null ? undefined : linked(state, query.get('from') ?? '', mount);
  if (mount !== null && content !== undefined) {
    linkBlob(state, name, mount, content);
    return empty(201, blobHeaders(origin, name, mount));
  }
  // The upload's directory makes the repository's, which the catalog walks through.
  repositoryOf(state, name);
  const uuid = randomUUID();
  uploads.set(uuid, Buffer.alloc(0));
  return empty(202, uploadHeaders(origin, name, uuid, 0));
}

/** PATCH and PUT: PUT ends the upload and checks its digest. Other methods are not played here. */
export function continueUpload(
  state: RegistryState,
  uploads: Uploads,
  uuid: string,
  method: string,
  { name, origin, query, body }: UploadRequest,
): Answer {
  if (uuid === '') {
    return failure({ code: 'BLOB_UPLOAD_UNKNOWN' });
  }
  const before = uploads.get(uuid);
  if (before === undefined) {
    return failure({ code: 'BLOB_UPLOAD_INVALID', detail: {} });
  }
  const content = Buffer.concat([before, body]);
  if (method !== 'PUT') {
    uploads.set(uuid, content);
    return empty(202, uploadHeaders(origin, name, uuid, content.length));
  }
  const digest = query.get('digest') ?? '';
  if (!isDigest(digest)) {
    const detail = digest === '' ? 'digest missing' : 'digest parsing failed';
    return failure({ code: 'DIGEST_INVALID', detail });
  }
  uploads.delete(uuid);
  if (digestOf(content, digest.startsWith('sha512:') ? 'sha512' : 'sha256') !== digest) {
    return failure({ code: 'DIGEST_INVALID', detail: { Digest: digest, Reason: {} } });
  }
  linkBlob(state, name, digest, content);
  return empty(201, blobHeaders(origin, name, digest));
}

/** The blob's content, if this repository links to it. */
function linked(state: RegistryState, name: string, digest: string): Buffer | undefined {
  return state.repositories.get(name)?.blobs.has(digest) === true
    ? state.blobs.get(digest)
    : undefined;
}

function blobHeaders(origin: string, name: string, digest: string): Record<string, string> {
  return {
    'Content-Length': '0',
    'Docker-Content-Digest': digest,
    Location: `${origin}/v2/${name}/blobs/${digest}`,
  };
}

function uploadHeaders(
  origin: string,
  name: string,
  uuid: string,
  length: number,
): Record<string, string> {
  return {
    'Content-Length': '0',
    'Docker-Upload-Uuid': uuid,
    Location: `${origin}/v2/${name}/blobs/uploads/${uuid}?_state=memory`,
    Range: `0-${String(Math.max(0, length - 1))}`,
  };
}
