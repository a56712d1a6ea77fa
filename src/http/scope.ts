/**
 * Token scopes as the Docker token specification writes them: `type:name:action,action`, several of them
 * separated by spaces. Pure.
 */

/**
 * All scopes of `lists` in order of first appearance, the actions of one resource joined: what a request
 * is known to need, together with what the registry asked for.
 */
export function mergeScopes(...lists: readonly string[]): string {
  const actions = new Map<string, Set<string>>();
  for (const scope of lists.flatMap(splitScopes)) {
    // A name may hold a colon of its own (a host with a port), so the actions follow the last one.
    const colon = scope.lastIndexOf(':');
    const resource = scope.slice(0, colon + 1);
    const known = actions.get(resource) ?? new Set();
    actions.set(resource, known);
    for (const action of scope.slice(colon + 1).split(',')) {
      known.add(action);
    }
  }
  return [...actions].map(([resource, set]) => `${resource}${[...set].join(',')}`).join(' ');
}

export function splitScopes(list: string): string[] {
  return list.split(' ').filter((scope) => scope !== '');
}
