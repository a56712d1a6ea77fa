import { describe, expect, it } from '@jest/globals';

import type { KeepReason } from '../../src/plan/reasons.js';
import { PROTECT } from '../../src/plan/protection.js';
import { keptDetail, UNTAGGED_KINDS, whyKept, whyOrphan } from '../../src/report/reasons.js';
import { d, DAY, HOUR, NOW } from '../support/builders/examples.js';

const short = (name: string) => `\`${d(name).slice(0, 19)}\``;

it('each kind of reason to keep has words of its own', () => {
  const words = UNTAGGED_KINDS.map((kind) => whyKept(kind, { gracePeriod: DAY, unusedFor: DAY }));
  expect(new Set(words).size).toBe(words.length);
  expect(words.filter((text) => text === '')).toEqual([]);
});

it('the wait is named where it is the reason', () => {
  const settings = { gracePeriod: 36 * HOUR, unusedFor: 7 * DAY };
  const naming = (wait: string) =>
    UNTAGGED_KINDS.filter((kind) => whyKept(kind, settings).includes(wait));
  expect(naming('2 days')).toEqual(['young', 'new']);
  expect(naming('7 days')).toEqual(['recently-used']);
});

describe('the detail of one manifest', () => {
  const tag = `sha256-${'0123456789abcdef'.repeat(4)}.sig`;

  it.each<[KeepReason, string]>([
    [{ kind: 'young', created: NOW - 3 * HOUR }, '3 hours ago'],
    [{ kind: 'young', created: NOW + HOUR }, ''],
    [{ kind: 'new', firstSeen: NOW - HOUR / 2 }, 'under an hour ago'],
    [{ kind: 'new', firstSeen: NOW - 3 * DAY }, '3 days ago'],
    // By the clock of a machine that is ahead.
    [{ kind: 'new', firstSeen: NOW + HOUR }, ''],
    [
      { kind: 'recently-used', since: Date.UTC(2026, 10, 26), tags: ['latest', 'v1'] },
      'was `latest`, `v1` until 26 Nov 2026',
    ],
    [
      { kind: 'recently-used', since: Date.UTC(2026, 10, 26), tags: [] },
      'in use until 26 Nov 2026',
    ],
    [{ kind: 'unknown-type', mediaType: 'a/b' }, '`a/b`'],
    [{ kind: 'unknown-type', mediaType: '' }, ''],
    [{ kind: 'dangling-referrer', subject: d('s') }, `refers to ${short('s')}`],
    [{ kind: 'dangling-digest-tag', tag, names: d('s') }, 'tag `sha256-0123456789ab….sig`'],
    [{ kind: 'digest-tag', tag, of: d('s') }, 'tag `sha256-0123456789ab….sig`'],
    [{ kind: 'mentioned', by: d('s') }, `by ${short('s')}`],
    [{ kind: 'blob', of: d('s') }, `of ${short('s')}`],
    [{ kind: 'holds-kept', of: d('s') }, `of ${short('s')}`],
    [{ kind: 'layer' }, ''],
    [
      { kind: 'protected', by: [PROTECT], blob: d('s') },
      `by \`protect\` (its config or layer ${short('s')})`,
    ],
    [{ kind: 'child', of: d('s') }, `of ${short('s')}`],
    [{ kind: 'referrer', of: d('s') }, `of ${short('s')}`],
    [{ kind: 'subject', of: d('s') }, `of ${short('s')}`],
    [{ kind: 'tagged', tags: ['v1'] }, ''],
    [{ kind: 'ledger' }, ''],
    [{ kind: 'gap' }, ''],
    [{ kind: 'recent' }, ''],
    [{ kind: 'not-in-plan' }, ''],
    [{ kind: 'protected', by: [PROTECT] }, 'by `protect`'],
    [{ kind: 'protected', by: ['k8s/a|b`c.yaml'] }, 'by `k8s/a¦bˋc.yaml`'],
    [{ kind: 'protected', by: [PROTECT, 'a', 'b'] }, 'by `protect`, `a`, `b`'],
    [{ kind: 'protected', by: [PROTECT, 'a', 'b', 'c', 'd'] }, 'by `protect`, `a`, `b` and 2 more'],
    [{ kind: 'protected', by: ['<b>\n::error::x'] }, 'by `<b> : :error: :x`'],
  ])('is given for %j: %s', (reason, detail) => {
    expect(keptDetail(reason, NOW)).toBe(detail);
  });
});

it('the reason to delete says why a manifest was an orphan', () => {
  const tag = `sha256-${'0123456789abcdef'.repeat(4)}.sig`;
  expect([
    whyOrphan({ kind: 'unreachable' }),
    whyOrphan({ kind: 'child', of: d('s') }),
    whyOrphan({ kind: 'referrer', of: d('s') }),
    whyOrphan({ kind: 'digest-tag', tag, of: d('s') }),
    whyOrphan({ kind: 'dangling', subject: d('s') }),
  ]).toEqual([
    'no tag, and nothing that stays refers to it',
    `part of ${short('s')}, an orphan too`,
    `refers to ${short('s')}, an orphan too`,
    `its tag \`sha256-0123456789ab….sig\` names ${short('s')}, an orphan too`,
    `refers to ${short('s')}, which is not in this repository`,
  ]);
});
