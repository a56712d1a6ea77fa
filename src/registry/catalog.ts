/** The catalog: which repositories a registry has. Only reads. */
import * as v from 'valibot';

import type { HttpResponse, Send } from '../http/message.js';
import { isRepository } from '../oci/reference.js';
import { RegistryError, errorOf, jsonOf, refusal } from './answer.js';
import { readPages } from './paging.js';

/** The most that Distribution ≥ 2.8 gives at once; with more it answers 400. */
const CATALOG_PAGE = 1000;

export interface Catalog {
  readonly repositories: readonly string[];
  /** how many names were dropped because the spec's grammar does not allow them */
  readonly unnameable: number;
}

const CatalogBody = v.object({ repositories: v.nullable(v.array(v.string())) });

/**
 * @param quote makes text of the registry safe to print
 * @throws RequestFailure (RegistryError when there was an answer)
 */
export async function readCatalog(
  send: Send,
  base: URL,
  quote: (text: string) => string,
): Promise<Catalog> {
  const scope = 'registry:catalog:*';
  const doing = { what: 'list the repositories (`_catalog`)', scope, optional: true } as const;
  const read = (response: HttpResponse): readonly string[] => {
    const body = response.status === 200 ? jsonOf(CatalogBody, response) : undefined;
    if (body === undefined) {
      const { kind, message } = refusal(response, doing, quote);
      throw new RegistryError(
        kind,
        `${message}. Without the catalog, name the repositories in \`repositories\`: plain names need no catalog`,
      );
    }
    return body.repositories ?? [];
  };
  const names = new Set<string>();
  let first = `/v2/_catalog?n=${String(CATALOG_PAGE)}`;
  try {
    for (;;) {
      const found = await readPages(send, new URL(first, base), scope, (response) => {
        if (errorOf(response)?.code === 'PAGINATION_NUMBER_INVALID') {
          throw new PageTooLarge();
        }
        return read(response);
      });
      const before = names.size;
      found.forEach((name) => names.add(name));
      // Distribution 2.8 walks `a/0` before `a`, and takes a full page that ends there for the last one:
      // so a last page that is full is asked past. Some servers begin anew then; others have no more.
      const last = found.length % CATALOG_PAGE === 0 ? found.at(-1) : undefined;
      if (last === undefined || names.size === before) {
        break;
      }
      first = `/v2/_catalog?n=${String(CATALOG_PAGE)}&last=${encodeURIComponent(last)}`;
    }
  } catch (error) {
    if (!(error instanceof PageTooLarge)) {
      throw error;
    }
    // An operator may have set a smaller `catalog.maxentries`.
    const found = await readPages(send, new URL('/v2/_catalog', base), scope, read);
    found.forEach((name) => names.add(name));
  }
  const repositories = [...names].filter(isRepository).sort();
  return { repositories, unnameable: names.size - repositories.length };
}

class PageTooLarge extends Error {}
