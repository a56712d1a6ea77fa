/** How the ledger's own manifests are told from those of users. Pure. */
import type { Manifest } from '../oci/manifest.js';
import { mediaTypeOf } from '../oci/media-types.js';

export const ARTIFACT_TYPE = 'application/vnd.registry-manifest-cleanup.ledger.v1';

/** True for every version: the ledger may lie in a repository that is cleaned, and does not remember itself. */
export function isLedgerArtifact(manifest: Manifest): boolean {
  return (
    manifest.kind === 'image' &&
    /^application\/vnd\.registry-manifest-cleanup\.ledger\.v\d+$/.test(
      mediaTypeOf(manifest.artifactType),
    )
  );
}
