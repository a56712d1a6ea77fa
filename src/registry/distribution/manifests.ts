/**
 * Manifests by tag and by digest (distribution-spec, "Pulling manifests"). Only reads. Checks names, sizes and
 * digests; decides nothing.
 */
import type { HttpResponse } from '../../http/message.js';
import { algorithmOf, digestOf, isDigest, type Digest } from '../../oci/digest.js';
import { ManifestError, SCHEMA_1, readManifest } from '../../oci/manifest.js';
import { MANIFEST_ACCEPT, isSchema1Type, mediaTypeOf } from '../../oci/media-types.js';
import { withoutCodes } from '../../text/code.js';
import { RegistryError } from '../registry-error.js';
import type { ManifestAnswer } from '../registry.js';
import type { Answer, Client } from './client.js';
import { isSuccess, saysUnknown } from './errors.js';
import { FRESH } from './freshness.js';
import { isPage } from './page.js';

/** "Registries … SHOULD support manifests of at least 4 MiB", which Distribution makes its limit. */
export const MANIFEST_BYTES = 4 * 1024 * 1024;
const MOST_ROUNDS = 3;
/** A registry that has no HEAD on this route, or a 404 that comes from something in between. */
const UNCLEAR = [404, 405, 501];

function nameOf(repository: string, reference: string): string {
  return `${repository}${isDigest(reference) ? '@' : ':'}${reference}`;
}

export class Manifests {
  readonly #client: Client;
  /** Content-Types of 404s to HEAD that a GET has shown to be the registry's: olareg sends its errors as text/plain */
  readonly #believed = new Set<string>();

  constructor(client: Client) {
    this.#client = client;
  }

  async read(repository: string, reference: string, round = 1): Promise<ManifestAnswer> {
    const response = await this.#send('GET', repository, reference);
    if (saysUnknown(response)) {
      return { kind: 'absent' };
    }
    const what = `read ${nameOf(repository, reference)}`;
    if (response.status !== 200 || isPage(response)) {
      throw this.#refusal(response, what, reference);
    }
    const contentType = response.headers['content-type'];
    if (isSchema1Type(mediaTypeOf(contentType))) {
      // Its digest is that of a part of it, so the check below would blame the network.
      throw new RegistryError(
        'unexpected',
        `could not ${what}: ${SCHEMA_1}`,
        'manifest-not-understood',
      );
    }
    const digest = verifiedDigest(response, reference, what);
    // Where no digest is said, the registry has to know the bytes by theirs. Otherwise any would do, and an index that came without its children would leave them unprotected.
    const isNamed = isDigest(reference) || response.headers['docker-content-digest'] !== undefined;
    if (!isNamed && !isSuccess(await this.#send('HEAD', repository, digest), 200)) {
      if (round < MOST_ROUNDS) {
        // It may have gone between the two questions.
        return this.read(repository, reference, round + 1);
      }
      throw new RegistryError(
        'unexpected',
        `could not ${what}: the registry did not say which digest it has, and does not know what it sent by the ` +
          `digest of that (${digest}). Does something change its answers on the way?`,
        'digest-mismatch',
      );
    }
    try {
      const { manifest, isUntyped } = readManifest(response.body, contentType, digest);
      const body = response.body.toString('utf8');
      return { kind: 'found', manifest, body, ...(isUntyped ? { isUntyped: true } : {}) };
    } catch (error) {
      if (error instanceof ManifestError) {
        const advice = 'Push the image again, or delete its tag';
        throw new RegistryError(
          'unexpected',
          `could not ${what}: ${error.message}. ${advice}`,
          'manifest-not-understood',
        );
      }
      throw error;
    }
  }

  async resolve(repository: string, reference: string): Promise<Digest | undefined> {
    const response = await this.#send('HEAD', repository, reference);
    const said = saidDigest(response);
    return response.status === 200 && isDigest(said) ? said : undefined;
  }

  /**
   * One HEAD; and a GET where its answer settles nothing: a 404 to HEAD can't name its code, so one that isn't even
   * JSON may be a web server's. Where a GET has shown what such a 404 means, others like it are believed.
   */
  async isThere(repository: string, digest: Digest): Promise<boolean> {
    const head = await this.#ask('HEAD', repository, digest, FRESH);
    if (isSuccess(head, 200)) {
      return true;
    }
    const type = head.headers['content-type'] ?? '';
    const isJson = /^application\/(?:json|.*\+json)$/.test(mediaTypeOf(type));
    if (head.status === 404 && (isJson || this.#believed.has(type))) {
      return false;
    }
    const answer = UNCLEAR.includes(head.status)
      ? await this.#ask('GET', repository, digest, FRESH)
      : head;
    if (saysUnknown(answer)) {
      if (head.status === 404) {
        this.#believed.add(type);
      }
      return false;
    }
    if (isSuccess(answer, 200)) {
      return true;
    }
    throw this.#client.refusal(answer, `check whether ${repository}@${digest} is still there`);
  }

  /** Content with a digest never changes, so a cache may serve it; only the registry can say whether it is there. */
  async #send(method: 'GET' | 'HEAD', repository: string, reference: string): Promise<Answer> {
    const isContent = method === 'GET' && isDigest(reference);
    const response = await this.#ask(method, repository, reference, isContent ? {} : FRESH);
    if (!isDigest(reference)) {
      this.#client.expectFresh(response, `read ${nameOf(repository, reference)}`);
    }
    return response;
  }

  #ask(method: 'GET' | 'HEAD', repository: string, reference: string, headers: object) {
    return this.#client.send(method, repository, `manifests/${reference}`, {
      headers: { accept: MANIFEST_ACCEPT, ...headers },
      maxBytes: MANIFEST_BYTES,
    });
  }

  #refusal(response: Answer, what: string, reference: string) {
    const error = this.#client.refusal(response, what);
    // Measured on 2.7 and 2.8, whose manifest store finds the blob and can't read it as a manifest.
    return response.status === 500 && isDigest(reference)
      ? new RegistryError(
          'perhaps-a-blob',
          `${withoutCodes(error.message)}. Distribution up to 2.8 answers so for the digest of a layer or config, and for a manifest ` +
            "that is damaged: the registry's log says more",
        )
      : error;
  }
}

function verifiedDigest(response: HttpResponse, reference: string, what: string): Digest {
  const said = saidDigest(response);
  // A tag has no colon, so what is left of the two is a digest, or should be.
  for (const claim of [reference, said].filter((each) => each.includes(':'))) {
    if (!isDigest(claim) || digestOf(response.body, algorithmOf(claim)) !== claim) {
      throw new RegistryError(
        'unexpected',
        `could not ${what}: the body's digest is not the one that was ${claim === said ? 'announced' : 'asked for'} ` +
          `(got ${digestOf(response.body)}). Something between here and the registry changes its answers, or its ` +
          'files are damaged: then push the image again',
        'digest-mismatch',
      );
    }
  }
  return [reference, said].find(isDigest) ?? digestOf(response.body);
}

/** `''` where nothing is said. */
function saidDigest({ headers }: HttpResponse): string {
  return String(headers['docker-content-digest'] ?? '');
}
