/**
 * Google Artifact Registry, simulated: the in-memory registry with Google's tags/list, deletes and
 * authentication. Repositories are named `project/repository/image`. It listens on 127.0.0.1 only.
 *
 * Nobody tried it beside the real one. Its answers are those of public reports, of Google's own client
 * `gcrane`, and of others who recorded them; where these are silent, Distribution's answer stands.
 */
import { digestOf, isDigest } from '../../../../src/oci/digest.js';
import { isIndexType } from '../../../../src/oci/media-types.js';
import { OLD } from '../../builders/build.js';
import { empty, failure, type Answer } from '../memory/answer.js';
import type { Dialect, MemoryRegistryOptions } from '../memory/options.js';
import { startMemoryRegistry, type MemoryRegistry } from '../memory/registry.js';
import {
  emptyState,
  parseBody,
  type RegistryState,
  type RepositoryState,
} from '../memory/state.js';
import { googleGate, type GoogleAuth } from './auth.js';
import { refusal } from './refusal.js';
import { answerList, tagListOf, type ListEdit } from './tag-list.js';

export interface GoogleRegistryOptions extends Pick<
  MemoryRegistryOptions,
  'tls' | 'referrersApi' | 'catalogPageSize'
> {
  /** default: open to everybody */
  readonly auth?: GoogleAuth;
  /** manifests, and tags, in a page of tags/list; default: all in one page */
  readonly pageSize?: number;
  /** when what is pushed was uploaded, in milliseconds since 1970; default the clock */
  readonly now?: () => number;
}

export interface GoogleRegistry extends MemoryRegistry {
  /** Milliseconds since 1970. What a test puts into the state without a push is old (`OLD`) until told. */
  setUploadTime(repository: string, digest: string, time: number): void;
  /** Sends something else in place of every list; without an argument lists are true again. */
  editList(edit?: ListEdit): void;
  /** what is really there, as `repository@digest` */
  manifests(): Set<string>;
}

export async function startGoogleRegistry(
  options: GoogleRegistryOptions = {},
  state: RegistryState = emptyState(),
): Promise<GoogleRegistry> {
  const { auth, pageSize, now = Date.now, ...others } = options;
  /** `repository@digest` → milliseconds */
  const uploads = new Map<string, number>();
  let edit: ListEdit = (list) => list;

  const dialect: Dialect = (route, { method, url, body }, own) => {
    if (!('repository' in route)) {
      return own();
    }
    const name = route.repository;
    const repository = state.repositories.get(name);
    if (!name.includes('/')) {
      return refusal(400, 'NAME_INVALID', 'invalid number of path components: 1');
    }
    if (route.kind === 'tags' && method === 'GET') {
      const list = tagListOf(
        state,
        name,
        (digest) => uploads.get(`${name}@${digest}`) ?? Date.parse(OLD),
      );
      return list === undefined
        ? failure({ code: 'NAME_UNKNOWN', detail: { name } })
        : answerList(list, edit, url.searchParams, pageSize);
    }
    if (route.kind === 'manifest' && method === 'DELETE') {
      return deleteReference(repository, route.reference);
    }
    if (route.kind === 'manifest' && method === 'PUT') {
      const digest = digestOf(body);
      if (repository?.manifests.has(digest) !== true) {
        uploads.set(`${name}@${digest}`, now());
      }
    }
    return own();
  };

  const registry = await startMemoryRegistry(
    {
      ...others,
      dialect,
      ...(auth === undefined ? {} : { auth: { kind: 'own', gate: googleGate(auth) } }),
    },
    state,
  );
  return {
    ...registry,
    setUploadTime: (repository, digest, time) => {
      uploads.set(`${repository}@${digest}`, time);
    },
    editList: (other = (list) => list) => {
      edit = other;
    },
    manifests: () =>
      new Set(
        [...state.repositories].flatMap(([name, { manifests }]) =>
          [...manifests.keys()].map((digest) => `${name}@${digest}`),
        ),
      ),
  };
}

/** A tag goes alone. A manifest goes only when no tag points at it and no index lists it. */
function deleteReference(repository: RepositoryState | undefined, reference: string): Answer {
  const gone = empty(202, { 'Content-Length': '0' });
  if (!isDigest(reference)) {
    return repository?.tags.delete(reference) === true
      ? gone
      : failure({ code: 'MANIFEST_UNKNOWN', detail: { Tag: reference } });
  }
  if (repository?.manifests.has(reference) !== true) {
    return failure({ code: 'MANIFEST_UNKNOWN' });
  }
  const tag = [...repository.tags].find(([, digest]) => digest === reference)?.[0];
  if (tag !== undefined) {
    return refusal(
      400,
      'GOOGLE_MANIFEST_DANGLING_TAG',
      `Manifest is still referenced by tag: ${tag}`,
    );
  }
  const parents = parentsOf(repository, reference);
  if (parents.length > 0) {
    return refusal(
      400,
      'GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE',
      `Manifest is still referenced by one or more parent images: ${parents.join(', ')}`,
    );
  }
  repository.manifests.delete(reference);
  return gone;
}

function parentsOf({ manifests }: RepositoryState, child: string): string[] {
  return [...manifests].flatMap(([digest, { mediaType, bytes }]) =>
    isIndexType(mediaType) &&
    (parseBody(bytes).manifests ?? []).some((listed) => listed.digest === child)
      ? [digest]
      : [],
  );
}
