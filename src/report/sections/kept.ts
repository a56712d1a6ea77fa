/** Why manifests without a tag of their own stayed, grouped: the answer to "why wasn't mine deleted?" */
import type { KeepReason } from '../../cleanup/plan.js';
import type { Digest } from '../../oci/digest.js';
import { judge } from '../fate.js';
import type { Section } from '../fit.js';
import { code, row, tableHead } from '../markdown.js';
import { keptDetail, UNTAGGED_KINDS, whyKept, type UntaggedKind } from '../reasons.js';
import { repositoriesByName, type Run } from '../run.js';
import { duration, number, shortDigest } from '../words.js';

const EXAMPLES = 3;

interface Group {
  total: number;
  readonly examples: string[];
}

export function keptSection(run: Run): Section | undefined {
  const groups = new Map<UntaggedKind | 'spared', Group>();
  const add = (
    kind: UntaggedKind | 'spared',
    repository: string,
    digest: Digest,
    reason: KeepReason,
  ) => {
    const group = groups.get(kind) ?? { total: 0, examples: [] };
    groups.set(kind, group);
    group.total += 1;
    if (group.examples.length < EXAMPLES) {
      const detail = keptDetail(reason, run.finishedAt);
      const name = code(`${repository}@${shortDigest(digest)}`);
      group.examples.push(detail === '' ? name : `${name} (${detail})`);
    }
  };
  for (const repository of repositoriesByName(run)) {
    const name = repository.inventory.repository;
    for (const { digest, reason } of repository.plan.keep) {
      if (reason.kind !== 'tagged') {
        add(reason.kind, name, digest, reason);
      }
    }
    for (const { orphan, fate } of judge(repository, run.dryRun)) {
      if (fate.kind === 'spared') {
        add('spared', name, orphan.digest, fate.reason);
      }
    }
  }
  if (groups.size === 0) {
    return undefined;
  }
  const spared = groups.get('spared');
  const rows = UNTAGGED_KINDS.flatMap((kind) => {
    const group = groups.get(kind);
    return group === undefined ? [] : [groupRow(whyKept(kind, duration(run.gracePeriod)), group)];
  });
  if (spared !== undefined) {
    rows.unshift(groupRow('came into use while the run was on', spared));
  }
  return {
    before: `### Why untagged manifests were kept\n\n${tableHead(['Why', 'Manifests>', 'For example'])}${rows.join('')}`,
  };
}

function groupRow(why: string, { total, examples }: Group): string {
  const more = total > examples.length ? ', …' : '';
  return row([why, number(total), examples.join(', ') + more]);
}
