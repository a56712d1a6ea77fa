import { describe, expect, it } from '@jest/globals';

import {
  approvalNote,
  backupNote,
  planFileNote,
  refusalNotes,
  verifiedNote,
} from '../../src/report/notes.js';
import {
  cleanRun,
  d,
  DAY,
  guardedDryRun,
  guardedRun,
  moved,
  NOW,
  planningDryRun,
  run,
} from '../support/builders/examples.js';

describe('the plan that is carried out', () => {
  const repositories = new Map([
    ['a', new Set([d('x'), d('y')])],
    ['b', new Set([d('x')])],
  ]);
  const rest =
    'lists 3 manifests in 2 repositories. Only those that are still orphans are to be deleted';

  it('is told with its age', () => {
    expect(approvalNote({ createdAt: NOW - 3 * DAY, repositories }, 'plan.json', NOW)).toBe(
      `apply-plan: the plan in plan.json, made 3 days ago, ${rest}`,
    );
  });

  it.each([NOW + DAY, Number.NaN])('has no age where it was made at %d', (createdAt) => {
    expect(approvalNote({ createdAt, repositories }, 'plan.json', NOW)).toBe(
      `apply-plan: the plan in plan.json ${rest}`,
    );
  });
});

describe('the plan that was written', () => {
  it('is told with its place, and with all that it lists', () => {
    expect(planFileNote(planningDryRun())).toBe(
      'the plan of 12 manifests was written to plan.json',
    );
    expect(planFileNote(guardedDryRun())).toBeUndefined();
  });
});

describe('the kept tags and children that were asked for again', () => {
  const [first, second] = [moved('a', 1, NOW), moved('b', 1, NOW)];
  const asked = (tags: number, children: number) => ({ ...first, verified: { tags, children } });

  it.each([
    [
      [asked(2000, 400), asked(0, 1), second],
      '2,000 kept tags and 401 children were asked for again: all there',
    ],
    [[asked(1, 0)], '1 kept tag was asked for again: all there'],
    [
      [{ ...asked(2, 0), broken: [{ what: 'tag v1', why: 'it is gone' }] }],
      '2 kept tags were asked for again: 1 broken, see the problems',
    ],
  ])('are counted', (repositories, said) => {
    expect(verifiedNote(run(repositories))).toBe(`After the deletes, ${said}`);
  });

  it('are not told of where nothing was asked for', () => {
    expect(verifiedNote(run([second, asked(0, 0)]))).toBeUndefined();
  });
});

describe('the backup', () => {
  it('is told with its place, where something was deleted', () => {
    expect(backupNote(guardedRun())).toBe(
      'the deleted manifests were saved in /home/runner/work/_temp/manifest-backup: a run with restore-from restores them',
    );
    expect(backupNote(cleanRun())).toBeUndefined();
    expect(backupNote(run([], { backup: '/tmp/backup' }))).toBeUndefined();
  });
});

describe('the list of refusals in a dry-run', () => {
  const starts = (lines: readonly string[]) => lines.map((line) => line.slice(0, 66));

  it('is refused by it, but for missing rights, with which it would try', () => {
    expect(starts(refusalNotes(guardedDryRun()))).toEqual([
      'a real run would refuse this: team/emptied: nothing is deleted her',
      'a real run would refuse this: team/halved: nothing is deleted here',
      "a real run would delete nothing there: these credentials can't del",
    ]);
  });

  it('is of a run without the plan, where one was written', () => {
    expect(starts(refusalNotes(planningDryRun()))).toEqual([
      'a run without the plan would refuse this: team/emptied: nothing is',
      'a run without the plan would refuse this: team/halved: nothing is ',
      "a real run would delete nothing there: these credentials can't del",
    ]);
  });
});
