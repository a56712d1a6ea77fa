/**
 * Reads a directory of OCI image layouts (image-spec, "OCI Image Layout"), one for each repository, as
 * registries keep them that store in this form. Reads the disk only.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import * as v from 'valibot';

import { isIndexType, isManifestType } from '../../../src/oci/media-types.js';

const Index = v.object({
  manifests: v.array(
    v.object({
      mediaType: v.string(),
      digest: v.string(),
      annotations: v.optional(v.record(v.string(), v.string()), {}),
    }),
  ),
});
type Entry = v.InferOutput<typeof Index>['manifests'][number];

/**
 * `repository@digest` of every manifest that an `index.json` lists or that such a manifest contains.
 *
 * @param isOwn tells which entries of `index.json` are the registry's own: they are looked into, but
 *   nobody pushed them
 */
export function layoutManifests(root: string, isOwn: (entry: Entry) => boolean): Set<string> {
  const found = new Set<string>();
  for (const repository of repositories(root)) {
    const directory = path.join(root, repository);
    const visit = (entry: Entry, isPushed: boolean): void => {
      const name = `${repository}@${entry.digest}`;
      const file = path.join(directory, 'blobs', ...entry.digest.split(':'));
      if (found.has(name) || !isManifestType(entry.mediaType) || !existsSync(file)) {
        return;
      }
      if (isPushed) {
        found.add(name);
      }
      if (isIndexType(entry.mediaType)) {
        for (const child of entries(file)) {
          visit(child, true);
        }
      }
    };
    for (const entry of entries(path.join(directory, 'index.json'))) {
      visit(entry, !isOwn(entry));
    }
  }
  return found;
}

function repositories(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name === 'oci-layout')
    .map((entry) => path.relative(root, entry.parentPath).split(path.sep).join('/'));
}

function entries(file: string): readonly Entry[] {
  return v.parse(Index, JSON.parse(readFileSync(file, 'utf8'))).manifests;
}
