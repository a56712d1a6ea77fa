/** Contents with odd descriptors, and what runs of the field cases have in common. */
import { digestOf } from '../../../src/oci/digest.js';
import { OCI_INDEX } from '../../../src/oci/media-types.js';
import { runAction, type ActionRun } from '../clients/run-action.js';
import { manifest, opaque, type Content } from './build.js';
import { LEDGER } from '../clients/ledger.js';
import type { RealRegistry } from '../servers/real-registry.js';

export const APP = 'team/app';

/** An index that names these as it is told to; `undefined` leaves the media type out. */
export function oddIndex(children: readonly Content[], mediaType: unknown): Content {
  const body = {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: children.map(({ digest, bytes }) => ({
      ...(mediaType === undefined ? {} : { mediaType }),
      digest,
      size: bytes.length,
    })),
  };
  return { ...opaque(OCI_INDEX, body), children };
}

/** An artifact with the bytes of these as layers, as `oras push` of the files of an OCI layout makes it. */
export function layoutArtifact(name: string, files: readonly Content[]): Content {
  return manifest({
    config: { mediaType: 'application/vnd.oci.empty.v1+json', bytes: Buffer.from('{}') },
    artifactType: `application/vnd.example.${name}`,
    layers: files.map(({ bytes }) => ({ mediaType: 'application/octet-stream', bytes })),
  });
}

/** A real run over everything, without waiting. */
export function clean(
  registry: { readonly url: string },
  inputs: Readonly<Record<string, string>> = {},
): Promise<ActionRun> {
  return runAction({ 'registry-url': registry.url, 'grace-period': '0', ...inputs });
}

/** Of the users' manifests, those that are still in the registry's storage. */
export function left(registry: RealRegistry): Set<string> {
  return new Set([...registry.manifests()].filter((name) => !name.startsWith(`${LEDGER}@`)));
}

export function names(...contents: readonly Content[]): Set<string> {
  return new Set(contents.map(({ digest }) => `${APP}@${digest}`));
}

/** By digest, what is not a digest of these bytes is a mistake of the test. */
export function lastBlob({ blobs }: Content): string {
  const [digest, bytes] = [...blobs].at(-1) ?? [];
  if (digest === undefined || bytes === undefined || digestOf(bytes) !== digest) {
    throw new Error('no blob');
  }
  return digest;
}
