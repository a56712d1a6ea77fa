/** Why manifests without a tag of their own stayed, grouped: the answer to "why wasn't mine deleted?" */
import type { KeepReason } from '../../plan/reasons.js';
import type { Digest } from '../../oci/digest.js';
import { judge, staysWithUndeletable } from '../../plan/fate.js';
import type { Section } from '../fit.js';
import { code, row, tableHead } from '../../text/markdown.js';
import { keptDetail, UNTAGGED_KINDS, whyKept, type UntaggedKind } from '../reasons.js';
import { repositoriesByName, type Run } from '../../run/run.js';
import { digits, number } from '../../text/words.js';

const EXAMPLES = 1;

/** The reason of the plan, or what became of an orphan. */
type Kind = UntaggedKind | 'kept' | 'with-undeletable' | 'restored';

interface Group {
  total: number;
  readonly examples: string[];
}

export function keptManifestsSection(run: Run): Section | undefined {
  const groups = new Map<Kind, Group>();
  const add = (kind: Kind, repository: string, digest: Digest, reason?: KeepReason) => {
    const group = groups.get(kind) ?? { total: 0, examples: [] };
    groups.set(kind, group);
    group.total += 1;
    if (group.examples.length < EXAMPLES) {
      const detail = reason === undefined ? '' : keptDetail(reason, run.finishedAt);
      const name = code(`${repository}@${digits(digest)}`);
      group.examples.push(detail === '' ? name : `${name} (${detail})`);
    }
  };
  for (const repository of repositoriesByName(run)) {
    const name = repository.inventory.repository;
    for (const { digest, reason } of repository.plan.keep) {
      if (reason.kind !== 'tagged') {
        // Who protects it stands in a section of its own.
        add(reason.kind, name, digest, reason.kind === 'protected' ? undefined : reason);
      }
    }
    for (const { orphan, fate } of judge(repository)) {
      if (fate.kind === 'kept') {
        const isPart = staysWithUndeletable(repository.fates, fate);
        add(isPart ? 'with-undeletable' : 'kept', name, orphan.digest, fate.reason);
      } else if (fate.kind === 'restored') {
        add('restored', name, orphan.digest);
      }
    }
  }
  if (groups.size === 0) {
    return undefined;
  }
  const words: readonly (readonly [Kind, string])[] = [
    ['restored', 'deleted, and restored because a push began to use it'],
    ['kept', 'came into use while the run was on'],
    ['with-undeletable', "part of an orphan that can't be deleted"],
    ...UNTAGGED_KINDS.map((kind) => [kind, whyKept(kind, run.settings)] as const),
  ];
  const rows = words.flatMap(([kind, why]) => {
    const { total, examples } = groups.get(kind) ?? { total: 0, examples: [] };
    const more = total > examples.length ? ', …' : '';
    return total === 0 ? [] : [row([why, number(total), examples.join(', ') + more])];
  });
  return {
    before: `### Why untagged manifests were kept\n\n${tableHead(['Why', 'Manifests>', 'For example'])}${rows.join('')}`,
  };
}
