/** The report at a registry that frees the layers of a manifest with it: it promises no restore that would fail. */
import { describe, expect, it } from '@jest/globals';

import type { Fate } from '../../src/plan/fate.js';
import { reportLines } from '../../src/report/json.js';
import { backupNote } from '../../src/report/notes.js';
import { finalityNote } from '../../src/report/sections/aftermath.js';
import { renderSummary } from '../../src/report/summary.js';
import { repositoryWarnings } from '../../src/report/warnings.js';
import type { Run } from '../../src/run/run.js';
import { d, inventory, NOW, orphan, outcome, plan, run } from '../support/builders/examples.js';

const DAY = 24 * 60 * 60 * 1000;
const PARKING: Partial<Run> = {
  family: 'Gitea',
  untaggedListing: 'complete',
  backup: '/tmp/backup',
  parkedFor: DAY,
  restorableUntil: NOW + DAY,
};
const WHY = 'could not keep it: Gitea answered 403 [right-missing]';

/** A run that met these fates, of which some deletes are final. */
function done(fates: readonly Fate[], final: readonly number[] = [], more: Partial<Run> = {}): Run {
  const names = fates.map((_, at) => `x ${String(at)}`);
  const digests = names.map((name) => d(name));
  const repository = {
    inventory: inventory('team/app'),
    plan: plan('team/app', { orphans: names.map((name) => orphan(name)) }),
    ...outcome(),
    fates: new Map(fates.map((fate, at) => [digests[at] ?? d(''), fate])),
    final: new Map(final.map((at) => [digests[at] ?? d(''), WHY])),
    warnings: [],
  };
  return run([repository], { ...PARKING, ...more });
}

const DELETED: Fate = { kind: 'deleted' };
const section = (made: Run) =>
  /### To restore it\n\n([^]*?)\n(?=###|$)/.exec(renderSummary(made))?.[1] ?? '';

describe('a run whose deletes can be undone for a time', () => {
  it('says until when, in the summary and in the log', () => {
    const made = done([DELETED, DELETED]);
    expect(section(made)).toContain(
      'Gitea keeps the layers for 1 day, and may free them from 2026-11-24 03:00 UTC on.',
    );
    expect(backupNote(made)).toBe(
      'the deleted manifests were saved in /tmp/backup: a run with restore-from restores them, if it comes before ' +
        '2026-11-24 03:00 UTC',
    );
    expect(made.repositories.flatMap(repositoryWarnings)).toEqual([]);
  });

  it('says how many deletes are final, and warns', () => {
    const made = done([DELETED, DELETED, DELETED], [0, 2]);
    expect(section(made)).toMatch(/ 2 of the deletes are final: see "Warnings"\.\n?$/);
    expect(backupNote(made)).toMatch(/UTC\. 2 of the deletes can't be undone: see the warnings$/);
    expect(made.repositories.flatMap(repositoryWarnings)).toEqual([
      'team/app: the delete of 2 manifests is final. The registry frees layers with their manifest, and did not keep ' +
        'them: could not keep it: Gitea answered 403 [delete-final]',
    ]);
  });

  it('says in the JSON report why each one is final', () => {
    const text = [...reportLines(done([DELETED, DELETED], [1]))].join('');
    const { repositories } = JSON.parse(text) as {
      repositories: [{ orphans: { final?: string }[] }];
    };
    expect(repositories[0].orphans.map(({ final }) => final)).toEqual([undefined, WHY]);
  });

  it('speaks of one final delete as one', () => {
    expect(section(done([DELETED, DELETED], [1]))).toContain('One of the deletes is final');
  });
});

describe('a run whose deletes are all final', () => {
  it.each([
    ['deleted', [DELETED, DELETED]],
    ['failed, and may be gone', [{ kind: 'failed', why: 'no answer' }, DELETED]],
  ] as const)('promises no restore anywhere (%s)', (_, fates) => {
    const made = done(fates, [0, 1]);
    expect(section(made)).toContain('Nothing can be restored: the deletes of this run are final.');
    expect(renderSummary(made)).not.toMatch(/restore-from/);
    expect(backupNote(made)).toBeUndefined();
  });
});

describe('a dry-run', () => {
  const planned = () =>
    done([{ kind: 'planned' }], [], {
      settings: { ...run([]).settings, dryRun: true },
      backup: undefined,
      restorableUntil: undefined,
    });

  it('says that deletes there are final unless the layers are kept, and promises no restore', () => {
    const made = planned();
    expect(finalityNote(made)).toContain('deletes there are final unless their layers are kept');
    expect(section(made)).toContain(finalityNote(made) ?? 'nothing');
    expect(renderSummary(made)).not.toContain('restore-from');
  });

  it('says nothing of that where layers stay by themselves', () => {
    const made = { ...planned(), parkedFor: undefined };
    expect(finalityNote(made)).toBeUndefined();
    expect(section(made)).toBe('');
  });
});
