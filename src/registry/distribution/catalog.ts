/** The catalog: which repositories a registry has. Only reads. */
import * as v from 'valibot';

import { TransportError, type HttpResponse } from '../../http/message.js';
import { isRepository } from '../../oci/reference.js';
import { RegistryError } from '../registry-error.js';
import type { Catalog } from '../registry.js';
import type { Client } from './client.js';
import { errorOf, jsonOf } from './errors.js';

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

export async function readCatalog(client: Client): Promise<Catalog> {
  const scope = 'registry:catalog:*';
  const doing = { what: 'list the repositories (`_catalog`)', scope, optional: true } as const;
  const read = (response: HttpResponse): readonly string[] => {
    const body = response.status === 200 ? jsonOf(CatalogBody, response) : undefined;
    if (body === undefined) {
      const { kind, message } = client.refusal(response, doing);
      throw new RegistryError(kind, `${message}. ${ADVICE}`);
    }
    return body.repositories ?? [];
  };
  const names = new Set<string>();

  /** @throws PageTooLarge when the registry says so, or shows it by failing */
  async function readAll(size: number | undefined, mostTries?: number): Promise<void> {
    const n = size === undefined ? '' : `n=${String(size)}`;
    let query = n;
    for (let round = 1; ; round += 1) {
      const path = query === '' ? '_catalog' : `_catalog?${query}`;
      const readPage = (response: HttpResponse) => {
        const isRefused = errorOf(response)?.code === 'PAGINATION_NUMBER_INVALID';
        if (size !== undefined && (isRefused || (mostTries !== undefined && isSlow(response)))) {
          throw new PageTooLarge(isRefused ? undefined : SMALL_PAGE);
        }
        return read(response);
      };
      const found = await client.pages(path, scope, readPage, { mostTries });
      const before = names.size;
      found.forEach((name) => names.add(name));
      // Distribution 2.8 walks `a/0` before `a`, and takes a full page that ends there for the last one:
      // so a last page that is full is asked past. Some servers begin anew then; others have no more.
      const isFull = size !== undefined && found.length % size === 0;
      const last = isFull ? found.at(-1) : undefined;
      if (last === undefined || names.size === before) {
        return;
      }
      if (round === MOST_ROUNDS) {
        throw new RegistryError(
          'unexpected',
          `the registry's pages of /v2/_catalog do not end: there are over ${String(names.size)} names. ${ADVICE}`,
          'paging-broken',
        );
      }
      query = `${n}&last=${encodeURIComponent(last)}`;
    }
  }

  try {
    await readAll(CATALOG_PAGE, FEW_TRIES);
  } catch (error) {
    const size = smallerPage(error);
    if (size === 'as it is') {
      throw error;
    }
    await readAll(size);
  }
  const repositories = [...names].filter(isRepository).sort();
  return { repositories, unnameable: names.size - repositories.length };
}

/** What a registry, or a proxy before it, answers that had not the time for so much at once. */
function isSlow({ status }: HttpResponse): boolean {
  return [500, 502, 503, 504].includes(status);
}

/** @returns how much to ask for instead, `undefined` for what the registry gives by itself */
function smallerPage(error: unknown): number | undefined | 'as it is' {
  if (error instanceof PageTooLarge) {
    return error.size;
  }
  const isLate =
    error instanceof TransportError && ['timeout', 'reset', 'truncated'].includes(error.kind);
  return isLate ? SMALL_PAGE : 'as it is';
}

class PageTooLarge extends Error {
  /** @param size what may be asked for; `undefined` for what the registry gives by itself */
  readonly size: number | undefined;
  constructor(size: number | undefined) {
    super();
    this.size = size;
  }
}
