import { describe, expect, it } from '@jest/globals';

import type { KeepReason } from '../../src/plan/reasons.js';
import { PROTECT } from '../../src/plan/protection.js';
import { outdatedEntries, whyOutdated } from '../../src/report/outdated.js';
import { repositoryLines } from '../../src/report/lines.js';
import {
  appliedRun,
  cleanRun,
  d,
  DAY,
  HOUR,
  inventory,
  kept,
  NOW,
  orphan,
  outcome,
  plan,
  run,
} from '../support/builders/examples.js';

/** What is left of a plan that lists these, in a repository where these are kept. */
function left(approved: readonly string[], keep: readonly [string, KeepReason][] = []) {
  return outdatedEntries({
    inventory: inventory('a', { absent: new Set([d('absent')]) }),
    plan: plan('a', {
      keep: keep.map(([name, reason]) => kept(name, reason)),
      orphans: [orphan('orphan')],
    }),
    ...outcome(),
    approved: new Set(approved.map(d)),
    warnings: [],
  });
}

describe('the rest of a plan', () => {
  it('is what is no orphan any more, sorted, with the reason', () => {
    const found = left(
      ['orphan', 'kept', 'absent', 'unread'],
      [
        ['kept', { kind: 'tagged', tags: ['v1'] }],
        ['never in the plan', { kind: 'not-in-plan' }],
      ],
    );
    expect(found).toEqual(
      [
        { digest: d('kept'), why: { kind: 'tagged', tags: ['v1'] } },
        { digest: d('absent'), why: { kind: 'absent' } },
        { digest: d('unread'), why: { kind: 'unread' } },
      ].sort((a, b) => (a.digest < b.digest ? -1 : 1)),
    );
  });

  it('is nothing where no plan is carried out, or none of it has changed', () => {
    expect(cleanRun().repositories.flatMap(outdatedEntries)).toEqual([]);
    expect(left(['orphan'])).toEqual([]);
  });

  const tag = `sha256-${'0123456789abcdef'.repeat(4)}.sig`;
  const short = `\`${d('s').slice(0, 19)}\``;
  it.each<[KeepReason, string]>([
    [{ kind: 'tagged', tags: ['a', 'b', 'c'] }, 'has a tag: `a`, `b`, `c`'],
    [{ kind: 'tagged', tags: ['a', 'b', 'c', 'd'] }, 'has a tag: `a`, `b`, `c` and 1 more'],
    [{ kind: 'protected', by: ['k8s/a.yaml'] }, 'protected by `k8s/a.yaml`'],
    [{ kind: 'protected', by: [PROTECT] }, 'protected by `protect`'],
    [
      { kind: 'young', created: NOW - HOUR },
      'pushed or built within the grace period of 1 day (1 hour ago)',
    ],
    [{ kind: 'recent' }, 'one of the newest orphans, which `keep-untagged` keeps'],
    [{ kind: 'child', of: d('s') }, `part of a kept index (of ${short})`],
    [
      { kind: 'digest-tag', tag, of: d('s') },
      'its digest tag names a kept manifest (tag `sha256-0123456789ab….sig`)',
    ],
    [{ kind: 'gap' }, "nothing refers to it, but something in its repository couldn't be read"],
  ])('is reported with its reason: %j', (reason, text) => {
    const [one] = left(['x'], [['x', reason]]);
    expect(one && whyOutdated(one, run([], { gracePeriod: DAY }))).toEqual(text);
  });

  it('is reported where it is absent, or was not read', () => {
    expect(left(['absent']).map((one) => whyOutdated(one, run([])))).toEqual(['already gone']);
    expect(left(['unread']).map((one) => whyOutdated(one, run([])))).toEqual(['could not be read']);
  });

  it('stands in the log, one line each', () => {
    const made = appliedRun();
    const lines = made.repositories.flatMap((repository) => repositoryLines(repository, made));
    const told = lines.filter((line) => line.startsWith('left sha256:'));
    expect(told).toHaveLength(6);
    expect(told).toContain(`left ${d('lost')}: already gone`);
    expect(told).toContain(`left ${d('shipped')}: protected by \`deploy/web.yaml\``);
  });
});
