/**
 * The read half of a registry's client: the OCI distribution API, as plain Distribution speaks it.
 * Sends GET and HEAD only. Checks names, sizes and digests; decides nothing.
 */
import * as v from 'valibot';

import type { HttpResponse, Send } from '../../http/message.js';
import { algorithmOf, digestOf, isDigest, type Digest } from '../../oci/digest.js';
import { factsOf, type ImageFacts } from '../../oci/image-config.js';
import { JsonLimitError } from '../../oci/json.js';
import {
  ManifestError,
  SCHEMA_1,
  readManifest,
  type ImageManifest,
  type Manifest,
} from '../../oci/manifest.js';
import { MANIFEST_ACCEPT, OCI_INDEX, isSchema1Type, mediaTypeOf } from '../../oci/media-types.js';
import { isTag } from '../../oci/reference.js';
import { RegistryError, jsonOf, mayLackRoute, refusal, saysUnknown, type Doing } from './answer.js';
import {
  createBlobCheck,
  createBlobReader,
  rethrowWithoutConfigs,
  type HasBlob,
  type ReadBlob,
} from './blobs.js';
import { readCatalog, type Catalog } from './catalog.js';
import { FRESH, whyStale } from './freshness.js';
import { serverTime } from './server-time.js';
import { isPage } from './page.js';
import { readPages } from './paging.js';

/** "Registries … SHOULD support manifests of at least 4 MiB", which Distribution makes its limit. */
const MANIFEST_BYTES = 4 * 1024 * 1024;
const CONFIG_BYTES = 4 * 1024 * 1024;
/** Pages of them are indexes, so larger ones than manifests may be are not sent (distribution-spec). */
const REFERRERS_BYTES = 2 * MANIFEST_BYTES;
const MOST_ROUNDS = 3;
const PING_BYTES = 1024 * 1024;

export type ManifestAnswer =
  | {
      readonly kind: 'found';
      readonly manifest: Manifest;
      /** its bytes as text: encoded as UTF-8 they have the manifest's digest */
      readonly body: string;
      /** when the answer's Content-Type did not tell what it is */
      readonly isUntyped?: true;
    }
  /** the registry says that it has no such manifest */
  | { readonly kind: 'absent' };

/**
 * Every function rejects with RequestFailure (RegistryError when there was an answer). Names
 * that go in must have passed `isRepository`, `isTag` or `isDigest`.
 */
export interface RegistryReader {
  /**
   * Finds out whether this is a registry at all, and how it authenticates.
   *
   * @returns what o'clock it is there, where it says so
   */
  ping(): Promise<number | undefined>;
  catalog(): Promise<Catalog>;
  /** Empty for a repository that the registry doesn't know: one without tags looks the same. */
  tags(repository: string): Promise<string[]>;
  /**
   * One GET; the manifest's digest is computed from its bytes and agrees with all that was said of it. Where
   * nothing is said of a tag's digest, a HEAD besides.
   */
  manifest(repository: string, reference: string): Promise<ManifestAnswer>;
  /**
   * One HEAD. `undefined` when the answer alone does not settle it (no digest header, or a 404, which
   * without a body doesn't say what is unknown): ask with `manifest`.
   */
  resolve(repository: string, reference: string): Promise<Digest | undefined>;
  /**
   * The manifests that the registry lists as referrers of this one. `undefined` when it answers as one does that has
   * no referrers API, and none of this reader's questions has shown that it has.
   */
  referrers(repository: string, digest: Digest): Promise<readonly Digest[] | undefined>;
  /**
   * One GET; the bytes have this digest. `undefined` when the registry says that it has no such blob.
   *
   * @param maxBytes a larger blob is not read: the promise rejects
   */
  blob: ReadBlob;
  hasBlob: HasBlob;
  /** What an image's config says; empty when the config is missing or no config. */
  imageFacts(repository: string, manifest: ImageManifest): Promise<ImageFacts>;
}

// The field has to be there, null or not: JSON without it is some other answer, and no empty list.
const TagsBody = v.object({ tags: v.nullable(v.array(v.string())) });
const ReferrersBody = v.object({
  manifests: v.nullable(v.array(v.object({ digest: v.string() }))),
});

/**
 * @param base scheme, host and port of the registry
 * @param quote makes text of the registry safe to print
 */
export function createReader(
  send: Send,
  base: URL,
  quote: (text: string) => string,
): RegistryReader {
  const pull = (repository: string) => `repository:${repository}:pull`;
  const refused = (response: HttpResponse, doing: Doing) => refusal(response, doing, quote);

  /** @throws RegistryError when the answer may be an old one */
  function expectFresh(response: HttpResponse, what: string): void {
    const why = whyStale(response, base);
    if (why !== undefined) {
      throw new RegistryError('unexpected', `could not ${what}: ${why}`);
    }
  }

  async function tags(repository: string): Promise<string[]> {
    const scope = pull(repository);
    const doing = { what: `list the tags of ${repository}`, scope };
    const url = new URL(`/v2/${repository}/tags/list`, base);
    const names = await readPages(send, url, scope, (response, page) => {
      expectFresh(response, doing.what);
      // A repository whose manifests never had a tag is unknown to tags/list, though not to the catalog.
      if (page === 1 && saysUnknown(response)) {
        return [];
      }
      const body = response.status === 200 ? jsonOf(TagsBody, response) : undefined;
      if (body === undefined) {
        throw refused(response, doing);
      }
      return body.tags ?? [];
    });
    // A digest in the list is seen of some registries (skopeo#2542). It can be read as one, and is kept.
    const impossible = names.find((name) => !isTag(name) && !isDigest(name));
    if (impossible !== undefined) {
      throw new RegistryError(
        'unexpected',
        `the list of tags of ${repository} holds the name "${quote(impossible)}", which the OCI spec does not allow, ` +
          'and what such a tag keeps alive cannot be read. Remove that tag in the registry, or leave the repository ' +
          'out with `repositories`',
      );
    }
    return [...new Set(names)].sort();
  }

  /** What has a digest never changes, so a cache may serve it; whether it is there has to be the registry's word. */
  async function request(method: 'GET' | 'HEAD', repository: string, reference: string) {
    const isContent = method === 'GET' && isDigest(reference);
    const response = await send({
      method,
      url: new URL(`/v2/${repository}/manifests/${reference}`, base),
      headers: { accept: MANIFEST_ACCEPT, ...(isContent ? {} : FRESH) },
      scope: pull(repository),
      maxBytes: MANIFEST_BYTES,
    });
    if (!isDigest(reference)) {
      expectFresh(response, `read ${repository}:${reference}`);
    }
    return response;
  }

  async function manifest(
    repository: string,
    reference: string,
    round = 1,
  ): Promise<ManifestAnswer> {
    const response = await request('GET', repository, reference);
    if (saysUnknown(response)) {
      return { kind: 'absent' };
    }
    const what = `read ${repository}${isDigest(reference) ? '@' : ':'}${reference}`;
    if (response.status !== 200 || isPage(response)) {
      const { kind, message } = refused(response, { what, scope: pull(repository) });
      // Measured on 2.7 and 2.8, whose manifest store finds the blob and can't read it as a manifest.
      if (response.status === 500 && isDigest(reference)) {
        const hint =
          '. Distribution up to 2.8 answers so for the digest of a layer or config, and for a manifest that is ' +
          "damaged: the registry's log says more";
        throw new RegistryError('perhaps-a-blob', message + hint);
      }
      throw new RegistryError(kind, message);
    }
    const contentType = response.headers['content-type'];
    if (isSchema1Type(mediaTypeOf(contentType))) {
      // Its digest is that of a part of it, so the check below would blame the network.
      throw new RegistryError('unexpected', `could not ${what}: ${SCHEMA_1}`);
    }
    const digest = verifiedDigest(response, reference, what);
    // Otherwise any bytes would do, and an index that came without its children would leave them unprotected.
    const isNamed = isDigest(reference) || response.headers['docker-content-digest'] !== undefined;
    if (!isNamed && !(await isKnown(repository, digest))) {
      if (round < MOST_ROUNDS) {
        // It may have gone between the two questions.
        return manifest(repository, reference, round + 1);
      }
      throw new RegistryError(
        'unexpected',
        `could not ${what}: the registry did not say which digest it has, and does not know what it sent by the ` +
          `digest of that (${digest}). Does something change its answers on the way?`,
      );
    }
    try {
      const { manifest, isUntyped } = readManifest(response.body, contentType, digest);
      const body = response.body.toString('utf8');
      return { kind: 'found', manifest, body, ...(isUntyped ? { isUntyped: true } : {}) };
    } catch (error) {
      if (error instanceof ManifestError) {
        const advice = 'Push the image again, or delete its tag';
        throw new RegistryError('unexpected', `could not ${what}: ${error.message}. ${advice}`);
      }
      throw error;
    }
  }

  /** Where nothing says of which digest a tag's manifest is, the registry has to know the bytes by theirs. */
  async function isKnown(repository: string, digest: Digest): Promise<boolean> {
    const response = await request('HEAD', repository, digest);
    return response.status === 200 && !isPage(response);
  }

  function verifiedDigest(response: HttpResponse, reference: string, what: string): Digest {
    const header = response.headers['docker-content-digest'];
    const said = typeof header === 'string' ? header : undefined;
    // A tag has no colon, so what is left of the two is a digest, or should be.
    for (const claim of [reference, said].filter((each) => each?.includes(':'))) {
      if (
        claim === undefined ||
        !isDigest(claim) ||
        digestOf(response.body, algorithmOf(claim)) !== claim
      ) {
        throw new RegistryError(
          'unexpected',
          `could not ${what}: the body's digest is not the one that was ${claim === said ? 'announced' : 'asked for'} ` +
            `(got ${digestOf(response.body)}). Something between here and the registry changes its answers, or its ` +
            'files are damaged: then push the image again',
        );
      }
    }
    if (isDigest(reference)) {
      return reference;
    }
    return said !== undefined && isDigest(said) ? said : digestOf(response.body);
  }

  async function resolve(repository: string, reference: string): Promise<Digest | undefined> {
    const response = await request('HEAD', repository, reference);
    const header = response.headers['docker-content-digest'];
    return response.status === 200 && typeof header === 'string' && isDigest(header)
      ? header
      : undefined;
  }

  // Only what an OCI index has proved is remembered. That there is no such API is never more than the look of one
  // answer, and may be a proxy's page that passes: it must not speak for other repositories, nor for a second look.
  let hasReferrersApi = false;

  /** distribution-spec, "Listing Referrers": a registry that has the API never answers 404. */
  async function referrers(
    repository: string,
    digest: Digest,
  ): Promise<readonly Digest[] | undefined> {
    const what = `list the referrers of ${repository}@${digest}`;
    const url = new URL(`/v2/${repository}/referrers/${digest}`, base);
    try {
      return await readPages(
        send,
        url,
        pull(repository),
        (response) => {
          expectFresh(response, what);
          // Servers without the API answer in many ways; only an OCI index is an answer.
          const isIndex =
            response.status === 200 && mediaTypeOf(response.headers['content-type']) === OCI_INDEX;
          // Looked at now: while this question was under way, another one may have been answered.
          if (!isIndex && !hasReferrersApi && mayLackRoute(response)) {
            throw new NoReferrersApi();
          }
          const body = isIndex ? jsonOf(ReferrersBody, response) : undefined;
          if (body === undefined) {
            throw refused(response, { what, scope: pull(repository) });
          }
          hasReferrersApi = true;
          return (body.manifests ?? []).map((entry) => {
            if (!isDigest(entry.digest)) {
              throw new RegistryError(
                'unexpected',
                `could not ${what}: one of them has a digest of an algorithm that can't be verified`,
              );
            }
            return entry.digest;
          });
        },
        { maxBytes: REFERRERS_BYTES },
      );
    } catch (error) {
      if (error instanceof NoReferrersApi) {
        return undefined;
      }
      throw error;
    }
  }

  const blob = createBlobReader(send, base, quote);

  async function imageFacts(repository: string, { config }: ImageManifest): Promise<ImageFacts> {
    const bytes = isDigest(config.digest)
      ? await blob(repository, config.digest, CONFIG_BYTES).catch(rethrowWithoutConfigs)
      : undefined;
    try {
      return bytes === undefined ? {} : factsOf(bytes);
    } catch (error) {
      throw error instanceof JsonLimitError
        ? new RegistryError(
            'unexpected',
            `the config ${config.digest} of ${repository} ${error.message}, which no image's does. If nobody needs ` +
              'the image, delete it with another tool, or leave its repository out with `repositories`',
          )
        : error;
    }
  }

  return {
    async ping() {
      const response = await send({
        method: 'GET',
        url: new URL('/v2/', base),
        maxBytes: PING_BYTES,
      });
      if (response.url.origin !== base.origin) {
        throw new RegistryError(
          'not-a-registry',
          `could not speak with ${base.origin}/v2/: it redirects to ${response.url.origin}, and only reads may follow. ` +
            `Put \`${response.url.origin}\` into \`registry-url\``,
        );
      }
      // Some web servers answer every path with a page.
      if (response.status !== 200 || isPage(response)) {
        throw refused(response, { what: `speak with ${base.origin}/v2/`, scope: '' });
      }
      return serverTime(response.headers);
    },
    catalog: () => readCatalog(send, base, quote),
    tags,
    manifest: (repository, reference) => manifest(repository, reference),
    resolve,
    referrers,
    blob,
    hasBlob: createBlobCheck(send, base, quote),
    imageFacts,
  };
}

class NoReferrersApi extends Error {}
