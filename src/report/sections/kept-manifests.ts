/** Why manifests without a tag of their own stayed, grouped: the answer to "why wasn't mine deleted?" */
import type { KeepReason } from '../../plan/reasons.js';
import type { Digest } from '../../oci/digest.js';
import { judge, staysWithUndeletable } from '../../plan/fate.js';
import type { Section } from '../fit.js';
import { code, row, tableHead } from '../../text/markdown.js';
import { keptDetail, UNTAGGED_KINDS, whyKept, type UntaggedKind } from '../reasons.js';
import { repositoriesByName, type Run } from '../../run/run.js';
import { digits, number } from '../../text/words.js';

/** The reason of the plan, or what became of an orphan. */
type Kind = UntaggedKind | 'kept' | 'with-undeletable' | 'restored';

interface Example {
  readonly repository: string;
  readonly digest: Digest;
  /** absent where another section has it */
  readonly reason: KeepReason | undefined;
}

interface Group {
  total: number;
  example: Example;
}

export function keptManifestsSection(run: Run): Section | undefined {
  const groups = new Map<Kind, Group>();
  const add = (kind: Kind, repository: string, digest: Digest, reason?: KeepReason) => {
    const example = { repository, digest, reason };
    const group = groups.get(kind) ?? { total: 0, example };
    groups.set(kind, group);
    group.total += 1;
    // People know an image by its tags. A part of it has none.
    if (hasTags(example) && !hasTags(group.example)) {
      group.example = example;
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
    const group = groups.get(kind);
    if (group === undefined) {
      return [];
    }
    const more = group.total > 1 ? ', …' : '';
    return [row([why, number(group.total), exampleWords(group.example, run.finishedAt) + more])];
  });
  return {
    before: `### Why untagged manifests were kept\n\n${tableHead(['Why', 'Manifests>', 'For example'])}${rows.join('')}`,
  };
}

function hasTags({ reason }: Example): boolean {
  return reason?.kind === 'recently-used' && reason.tags.length > 0;
}

function exampleWords({ repository, digest, reason }: Example, now: number): string {
  const name = code(`${repository}@${digits(digest)}`);
  const detail = reason === undefined ? '' : keptDetail(reason, now);
  return detail === '' ? name : `${name} (${detail})`;
}
