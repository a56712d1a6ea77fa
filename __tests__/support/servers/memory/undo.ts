/**
 * A registry in memory that restores by itself what was deleted, as GHCR does: each manifest has an id, and comes back
 * by it with its blobs, and with its tags or without. It remembers all that there was when it was made.
 */
import { distribution } from '../../../../src/registry/families/distribution.js';
import { FAMILIES } from '../../../../src/registry/families/families.js';
import type { Family, Restorer } from '../../../../src/registry/registry.js';
import { RegistryError } from '../../../../src/registry/registry-error.js';
import type { MemoryRegistry } from './registry.js';
import type { Interceptor } from './script.js';
import { linkBlob, repositoryOf, setTag, type StoredManifest } from './state.js';

export interface UndoOptions {
  /** whether tags that point at nothing come back with their manifest; default: they do */
  readonly withTags?: boolean;
  /** reads of a restored manifest that don't find it yet; Infinity: it never comes. Default 0 */
  readonly lag?: number;
  /** what it doesn't restore, by digest */
  readonly refuses?: (digest: string) => boolean;
  /** whether it does so without an answer: restored, and the request fails; default: never */
  readonly loses?: (digest: string) => boolean;
}

interface Version {
  readonly digest: string;
  readonly stored: StoredManifest;
  readonly tags: readonly string[];
}

export interface Undo {
  readonly restorer: Restorer;
  /** the digests that it was asked to restore, in order */
  readonly asked: string[];
  idOf(digest: string): string;
  /** to be asked with each request where it lags */
  readonly interceptor: Interceptor;
}

export function undoOf(
  { state }: Pick<MemoryRegistry, 'state'>,
  repository: string,
  { withTags = true, lag = 0, refuses = () => false, loses = () => false }: UndoOptions = {},
): Undo {
  const now = repositoryOf(state, repository);
  const versions = new Map<string, Version>();
  for (const [digest, stored] of now.manifests) {
    const tags = [...now.tags].flatMap(([tag, named]) => (named === digest ? [tag] : []));
    versions.set(String(45_000 + versions.size), { digest, stored, tags });
  }
  const blobs = new Map([...now.blobs].map((digest) => [digest, state.blobs.get(digest)]));
  /** digest → reads until it is there */
  const coming = new Map<string, { left: number; version: Version }>();
  const asked: string[] = [];

  function arrive({ digest, stored, tags }: Version): void {
    now.manifests.set(digest, stored);
    // It keeps the layers of what it can restore.
    blobs.forEach((bytes, blob) => {
      if (bytes !== undefined && stored.bytes.includes(blob)) {
        linkBlob(state, repository, blob, bytes);
      }
    });
    tags
      .filter((tag) => withTags && !now.tags.has(tag))
      .forEach((tag) => {
        setTag(now, tag, digest);
      });
  }

  const refused = (id: string, why: string) =>
    new RegistryError('unexpected', `the registry refused to restore version ${id}: ${why}`);
  const isDeleted = ({ digest }: Version) => !now.manifests.has(digest);

  return {
    asked,
    idOf: (digest) => [...versions].find(([, each]) => each.digest === digest)?.[0] ?? '404',
    restorer: {
      window: 30 * 24 * 60 * 60 * 1000,
      isRestorable: (name, id) => {
        const version = versions.get(id);
        const isOwn = name === repository && version !== undefined;
        return Promise.resolve(isOwn && isDeleted(version) && !refuses(version.digest));
      },
      restore: async (name, id) => {
        const version = versions.get(id);
        asked.push(version?.digest ?? id);
        if (name !== repository || version === undefined || !isDeleted(version)) {
          throw refused(id, '404');
        }
        if (refuses(version.digest)) {
          throw refused(id, 'its time is over');
        }
        if (lag > 0) {
          coming.set(version.digest, { left: lag, version });
        } else {
          arrive(version);
        }
        if (loses(version.digest)) {
          throw refused(id, 'no answer');
        }
      },
    },
    interceptor: ({ method, path }) => {
      const found = coming.get(path.split('/').at(-1) ?? '');
      if (found !== undefined && method === 'GET') {
        found.left -= 1;
        if (found.left < 0) {
          coming.delete(found.version.digest);
          arrive(found.version);
        }
      }
      return undefined;
    },
  };
}

/** Has the program find this undo at a registry. @returns ends that */
export function withUndo(url: string, undo: () => Restorer): () => void {
  const families = FAMILIES as Family[];
  const family: Family = {
    name: 'undoing',
    hasApi: false,
    matches: ({ origin }) => origin === url,
    open: (connection) => ({ ...distribution.open(connection), restorer: undo() }),
  };
  families.unshift(family);
  return () => {
    families.splice(families.indexOf(family), 1);
  };
}
