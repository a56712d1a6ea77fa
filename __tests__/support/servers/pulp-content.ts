/** The tests' own requests to the API of a real Pulp, as its administrator. */
import { send } from '../clients/push.js';
import type { Pulp } from './pulp.js';

export const API = '/pulp/api/v3/';
export const MANIFESTS = `${API}content/container/manifests/`;

/** @returns the body of the answer. @throws Error unless that is JSON */
export async function ask(
  server: Pulp,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const answer = await send(server, {
    method,
    path,
    headers: { 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }),
  });
  return JSON.parse(answer.body.toString('utf8')) as unknown;
}

/** @returns the name of the resource behind a repository of the registry */
export async function placeOf(server: Pulp, repository: string): Promise<string> {
  const query = `base_path=${encodeURIComponent(repository)}&fields=repository`;
  const found = await ask(server, 'GET', `${API}distributions/container/container/?${query}`);
  const { results } = found as { readonly results: readonly { readonly repository: string }[] };
  return results[0]?.repository ?? '';
}

/** Takes what was pushed by digest alone into the versions of these repositories, as the push of a tag does. */
export async function adopt(server: Pulp, ...repositories: readonly string[]): Promise<void> {
  const pending = await server.pending();
  for (const repository of repositories) {
    const digests = within(pending, repository);
    if (digests.size > 0) {
      // With all fields, Pulp would ask its database several times for each manifest.
      const query = `digest__in=${encodeURIComponent([...digests].join(','))}&fields=pulp_href`;
      const found = await ask(server, 'GET', `${MANIFESTS}?${query}`);
      const { results } = found as { readonly results: readonly { readonly pulp_href: string }[] };
      await ask(server, 'POST', `${await placeOf(server, repository)}add/`, {
        content_units: results.map(({ pulp_href }) => pulp_href),
      });
    }
  }
  await server.settled();
}

/** The digests of one repository among names such as `repository@digest`. */
export function within(names: ReadonlySet<string>, repository: string): Set<string> {
  const prefix = `${repository}@`;
  return new Set(
    [...names].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)),
  );
}
