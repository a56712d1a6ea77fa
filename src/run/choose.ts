/** Which repositories a run looks at: the catalog, the user's patterns and the candidates together. */
import type { Selection } from '../plan/selection.js';
import { number } from '../text/words.js';
import type { Registry } from '../registry/registry.js';
import { coded } from '../text/code.js';

export interface Choice {
  /** sorted, each once */
  readonly repositories: readonly string[];
  /** whether these are all the repositories that the registry has */
  readonly isComplete: boolean;
  /** repositories whose names the OCI spec does not allow, and which can't be looked at */
  readonly unnameable: number;
  /** why there is nothing to look at, where that may be a mistake; safe to print */
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
  const { repositories, unnameable } = await registry.repositories();
  const known = [...new Set([...repositories, ...named])].sort();
  const chosen = known.filter((repository) => selection.includes(repository));
  return {
    repositories: chosen,
    isComplete: chosen.length === known.length && unnameable === 0,
    unnameable,
    warnings: chosen.length > 0 ? [] : [whyNone(known.length)],
  };
}

function whyNone(known: number): string {
  if (known === 0) {
    return coded(
      'the catalog lists no repository: the registry has none, or these credentials may see none',
      'catalog-empty',
    );
  }
  if (known === 1) {
    return coded(
      '`repositories` does not match the one repository that the catalog lists or an input names',
      'nothing-selected',
    );
  }
  return coded(
    `\`repositories\` matches none of the ${number(known)} repositories that the catalog lists or an ` +
      'input names',
    'nothing-selected',
  );
}

/** The repositories of a plan that is carried out, as far as the run is to look at them at all. */
export function chooseApproved(approved: Iterable<string>, selection: Selection): Choice {
  const all = [...approved];
  const chosen = all.filter((repository) => selection.includes(repository));
  const isNone = chosen.length === 0 && all.length > 0;
  return {
    repositories: chosen.sort(),
    isComplete: false,
    unnameable: 0,
    warnings: isNone
      ? [coded('`repositories` leaves out every repository of the plan', 'nothing-selected')]
      : [],
  };
}
