/** Single manifests of a registry, asked for with the tests' own client. */
import { MANIFEST_ACCEPT } from '../../../src/oci/media-types.js';
import { send, type Destination } from './push.js';

/** The digest that a tag or digest stands for; undefined where there is no such manifest. */
export async function digestAt(
  at: Destination,
  repository: string,
  reference: string,
): Promise<string | undefined> {
  const path = `/v2/${repository}/manifests/${reference}`;
  const { status, headers } = await send(at, {
    method: 'GET',
    path,
    headers: { accept: MANIFEST_ACCEPT },
  });
  const digest = headers['docker-content-digest'];
  return status === 200 && typeof digest === 'string' ? digest : undefined;
}

/** Deletes a manifest as somebody else would. @returns the status of the answer */
export async function deleteManifest(
  at: Destination,
  repository: string,
  digest: string,
): Promise<number> {
  const path = `/v2/${repository}/manifests/${digest}`;
  return (await send(at, { method: 'DELETE', path })).status;
}
