/** In how many repositories nobody knows what is an orphan, in words. */
import type { Totals } from './totals.js';
import { count, number } from '../text/words.js';

/** Undefined where all were read whole. */
export function unreadRepositories(sums: Totals): string | undefined {
  const { repositories, repositoriesIncomplete: incomplete, repositoriesUnread: unread } = sums;
  const all = count(repositories + unread, 'repository', 'repositories');
  if (unread > 0) {
    const others = incomplete === 0 ? '' : `, and ${number(incomplete)} could not be read whole`;
    return `${number(unread)} of ${all} ${unread === 1 ? 'was' : 'were'} not read${others}`;
  }
  return incomplete === 0 ? undefined : `${number(incomplete)} of ${all} could not be read whole`;
}
