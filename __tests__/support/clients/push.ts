/**
 * Puts contents into registries: over HTTP into any (its own small client, so that the code under test
 * doesn't vouch for itself), or straight into an in-memory registry's state.
 */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';

import type { Content } from '../builders/build.js';
import { linkBlob, repositoryOf, setTag, type RegistryState } from '../servers/memory/state.js';

export interface Destination {
  /** `http://127.0.0.1:5000` */
  readonly url: string;
  /** the Authorization header's value, or how to get one for a scope such as `repository:a:pull,push` */
  readonly authorization?: string | ((scope: string) => string | Promise<string>);
  /** PEM of the CA that signed the registry's certificate */
  readonly ca?: string;
  /** PEM, where the registry wants a client's certificate */
  readonly client?: { readonly cert: string; readonly key: string } | undefined;
  /** whether it takes a blob in one request; by default that is not tried, as others then wait for a second one */
  readonly takesWholeBlobs?: boolean;
  /** `repository@digest` of what it got: as with other clients, it gets no blob and no child of an index twice */
  readonly sent?: Set<string>;
}

export interface Exchange {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Outgoing {
  readonly method: string;
  /** path and query, or a whole URL as a Location header gives it */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** asked for when `authorization` is a function */
  readonly scope?: string;
}

/** One request; any status is an answer, only a broken connection rejects. */
export async function send(to: Destination, outgoing: Outgoing): Promise<Exchange> {
  const { method, path, headers, body, scope = '' } = outgoing;
  const url = new URL(path, to.url);
  const authorization =
    typeof to.authorization === 'function' ? await to.authorization(scope) : to.authorization;
  const options = {
    method,
    headers: {
      ...headers,
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined ? {} : { 'content-length': String(body.length) }),
    },
    ...(to.ca === undefined ? {} : { ca: to.ca }),
    ...to.client,
  };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options);
    request.once('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        });
      });
    });
    request.end(body);
  });
}

/** The content with its blobs and children, under these tags, or by digest when there is none. */
export async function push(
  to: Destination,
  repository: string,
  content: Content,
  ...tags: readonly string[]
): Promise<void> {
  const isNew = (digest: string): boolean => {
    const name = `${repository}@${digest}`;
    const known = to.sent?.has(name) ?? false;
    to.sent?.add(name);
    return !known;
  };
  for (const child of content.children.filter(({ digest }) => isNew(digest))) {
    await push(to, repository, child);
  }
  await Promise.all(
    [...content.blobs]
      .filter(([digest]) => isNew(digest))
      .map(([digest, blob]) => pushBlob(to, repository, digest, blob)),
  );
  for (const reference of tags.length === 0 ? [content.digest] : tags) {
    await putManifest(to, repository, content, reference);
  }
}

/** Only the manifest: what it needs must be there already. Moves the tag if it exists. */
export async function putManifest(
  to: Destination,
  repository: string,
  content: Pick<Content, 'mediaType' | 'bytes'>,
  reference: string,
): Promise<void> {
  await expect(to, 201, {
    method: 'PUT',
    path: `/v2/${repository}/manifests/${reference}`,
    headers: { 'content-type': content.mediaType },
    body: content.bytes,
    scope: `repository:${repository}:pull,push`,
  });
}

export async function pushBlob(
  to: Destination,
  repository: string,
  digest: string,
  blob: Buffer,
): Promise<void> {
  const scope = `repository:${repository}:pull,push`;
  const path = `/v2/${repository}/blobs/uploads/`;
  const headers = { 'content-type': 'application/octet-stream' };
  if (to.takesWholeBlobs === true) {
    const whole = `${path}?digest=${encodeURIComponent(digest)}`;
    await expect(to, 201, { method: 'POST', path: whole, headers, body: blob, scope });
    return;
  }
  const started = await expect(to, 202, { method: 'POST', path, scope });
  const location = new URL(started.headers.location ?? '', new URL(path, to.url));
  location.searchParams.set('digest', digest);
  await expect(to, 201, { method: 'PUT', path: location.href, headers, body: blob, scope });
}

/** What `push` does, straight into the state of an in-memory registry and without its checks. */
export function seed(
  state: RegistryState,
  repository: string,
  content: Content,
  ...tags: readonly string[]
): void {
  for (const child of content.children) {
    seed(state, repository, child);
  }
  for (const [digest, blob] of content.blobs) {
    linkBlob(state, repository, digest, blob);
  }
  const target = repositoryOf(state, repository);
  const { digest, mediaType, bytes } = content;
  target.manifests.set(digest, { mediaType, bytes });
  for (const tag of tags) {
    setTag(target, tag, digest);
  }
}

/** The most times that one request of a push is sent. */
const MOST_SENDS = 3;

async function expect(to: Destination, status: number, outgoing: Outgoing): Promise<Exchange> {
  let answer = await send(to, outgoing);
  // As other clients do. Gitea fails to take one of two pushes of the same bytes that come at the same moment.
  for (let sends = 1; answer.status === 500 && sends < MOST_SENDS; sends += 1) {
    answer = await send(to, outgoing);
  }
  if (answer.status !== status) {
    const { method, path } = outgoing;
    throw new Error(
      `${method} ${path}: ${String(answer.status)} instead of ${String(status)}: ` +
        answer.body.toString('utf8').slice(0, 300),
    );
  }
  return answer;
}
