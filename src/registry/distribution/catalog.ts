/** The catalog: which repositories a registry has. Only reads. */
import * as v from 'valibot';

import { TransportError, type HttpResponse } from '../../http/message.js';
import { isRepository } from '../../oci/reference.js';
import { RegistryError } from '../registry-error.js';
import type { Catalog } from '../registry.js';
import type { Client } from './client.js';
import { errorOf, jsonOf, NAME_VALUES } from './errors.js';

/** The most that Distribution ≥ 2.8 gives at once; with more it answers 400. */
const CATALOG_PAGE = 1000;
/** For a registry that takes too long for a whole one: Distribution walks its storage for each. */
const SMALL_PAGE = 100;
/** There is another way to ask, so it need not be waited for long. */
const FEW_TRIES = 2;
/** Each brings at least one new name; more than any registry needs. */
const MOST_ROUNDS = 1000;
const ADVICE =
  'Without the catalog, name the repositories in `repositories`: plain names need no catalog';

const CatalogBody = v.object({ repositories: v.nullable(v.array(v.string())) });

/** The registry says that it gives no pages of this size. */
class PageRefused extends Error {}
/** The registry, or a proxy before it, had not the time for a page of this size. */
class PageLate extends Error {}

export async function readCatalog(client: Client): Promise<Catalog> {
  const scope = 'registry:catalog:*';
  const doing = { what: 'list the repositories (`_catalog`)', scope, optional: true } as const;
  const names = new Set<string>();

  async function readAll(size: number | undefined, mostTries?: number): Promise<void> {
    const readPage = (response: HttpResponse) => {
      const { status } = response;
      if (size !== undefined && errorOf(response)?.code === 'PAGINATION_NUMBER_INVALID') {
        throw new PageRefused();
      }
      if (mostTries !== undefined && [500, 502, 503, 504].includes(status)) {
        throw new PageLate();
      }
      const body = status === 200 ? jsonOf(CatalogBody, response, NAME_VALUES) : undefined;
      return body && (body.repositories ?? []);
    };
    const n = size === undefined ? '' : `?n=${String(size)}`;
    let query = n;
    for (let round = 1; ; round += 1) {
      const found = await client.pages(`_catalog${query}`, doing, readPage, { mostTries });
      const before = names.size;
      found.forEach((name) => names.add(name));
      // Distribution 2.8 walks `a/0` before `a`, and takes a full page that ends there for the last one:
      // so a last page that is full is asked past. Some servers start over then; others have no more.
      const isFull = size !== undefined && found.length % size === 0;
      const last = isFull ? found.at(-1) : undefined;
      if (last === undefined || names.size === before) {
        return;
      }
      if (round === MOST_ROUNDS) {
        throw new RegistryError(
          'unexpected',
          `the registry's pages of /v2/_catalog do not end: there are over ${String(names.size)} names`,
          'paging-broken',
        );
      }
      query = `${n}&last=${encodeURIComponent(last)}`;
    }
  }

  try {
    await readAll(CATALOG_PAGE, FEW_TRIES).catch((error: unknown) => {
      if (error instanceof PageRefused) {
        return readAll(undefined);
      }
      if (error instanceof PageLate || isLate(error)) {
        return readAll(SMALL_PAGE);
      }
      throw error;
    });
  } catch (error) {
    throw error instanceof RegistryError
      ? new RegistryError(error.kind, `${error.message}. ${ADVICE}`)
      : error;
  }
  const repositories = [...names].filter(isRepository).sort();
  return { repositories, unnameable: names.size - repositories.length };
}

function isLate(error: unknown): boolean {
  return error instanceof TransportError && ['timeout', 'reset', 'truncated'].includes(error.kind);
}
