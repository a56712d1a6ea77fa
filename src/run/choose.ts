/** The choice of the repositories of a run: from the catalog, the user's patterns and the candidates together. */
import type { Selection } from '../plan/selection.js';
import type { Registry } from '../registry/registry.js';
import { count } from '../text/words.js';
import { coded } from '../text/code.js';

export interface Choice {
  /** sorted, each once */
  readonly repositories: readonly string[];
  /** whether these are all the repositories that the registry has */
  readonly isComplete: boolean;
  /** repositories whose names the OCI spec doesn't allow, so that they can't be read */
  readonly unnameable: number;
  /** why there is nothing to read, if that may be a mistake; safe to print */
  readonly warnings: readonly string[];
}

/**
 * @param named the repositories of the candidates, which the catalog may not list
 * @throws RegistryError or TransportError when the catalog is needed and can't be read
 */
export async function chooseRepositories(
  registry: Pick<Registry, 'repositories'>,
  selection: Selection,
  named: Iterable<string>,
): Promise<Choice> {
  if (selection.names !== undefined) {
    return { repositories: selection.names, isComplete: false, unnameable: 0, warnings: [] };
  }
  const { repositories, unnameable, isPartial } = await registry.repositories();
  const known = [...new Set([...repositories, ...named])].sort();
  const chosen = known.filter((repository) => selection.includes(repository));
  const isComplete = chosen.length === known.length && unnameable === 0 && isPartial !== true;
  const warnings = chosen.length > 0 ? [] : [whyNone(known.length)];
  return { repositories: chosen, isComplete, unnameable, warnings };
}

function whyNone(known: number): string {
  return known === 0
    ? coded(
        'the catalog lists no repository: the registry has none, or these credentials may see none',
        'catalog-empty',
      )
    : coded(
        `\`repositories\` matches no repository: the catalog and the inputs name ${count(known, 'other')}`,
        'nothing-selected',
      );
}

/** The repositories of an approved plan, without those that the user leaves out. */
export function chooseApproved(approved: Iterable<string>, selection: Selection): Choice {
  const all = [...approved];
  const chosen = all.filter((repository) => selection.includes(repository));
  const isNone = chosen.length === 0 && all.length > 0;
  const why = coded('`repositories` leaves out every repository of the plan', 'nothing-selected');
  return {
    repositories: chosen.sort(),
    isComplete: false,
    unnameable: 0,
    warnings: isNone ? [why] : [],
  };
}
