import { describe, expect, it } from '@jest/globals';
import { NEWEST_PAGES } from '../../src/text/pages.js';
import { restored } from '../support/builders/restored.js';
import fc from 'fast-check';

import type { RestoreRun } from '../../src/run/restore.js';
import type { Restored } from '../../src/run/restore-repository.js';
import {
  renderRestore,
  restoreCounts,
  restoreHeadline,
  restoreLines,
  restoreNotes,
  restoreProblems,
} from '../../src/report/restore.js';
import { d } from '../support/builders/examples.js';

/** As a problem of a restore ends. */
const HELP = `[\`restore-failed\`](${NEWEST_PAGES}/docs/troubleshooting.md#restore-failed)`;

function undo(repositories: readonly Restored[], more: Partial<RestoreRun> = {}): RestoreRun {
  return {
    registry: 'https://registry.example.com',
    directory: 'backup',
    dryRun: false,
    repositories,
    cutOffLines: 0,
    elsewhere: 0,
    excluded: 0,
    failures: [],
    ...more,
  };
}

const all = restored('team/app', {
  restored: [d('a'), d('b')],
  standing: [d('c')],
  failed: [{ digest: d('e'), why: 'its saved bytes are missing' }],
  tags: ['v1'],
  failedTags: [{ tag: 'v2', why: `it names ${d('z')} now, and was left there` }],
});

describe('the headline of a restore', () => {
  const back = { restored: [d('a')] };
  const failed = { failed: [{ digest: d('e'), why: 'lost' }] };
  it.each([
    ['Restored 1 manifest', [back]],
    ['Restored 2 manifests', [back, { restored: [d('b')] }]],
    ['Restored 1 manifest, 1 was there already', [back, { standing: [d('c')] }]],
    ['Restored 1 manifest, 2 were there already', [back, { standing: [d('c'), d('f')] }]],
    ['Restored 1 of 2 manifests (with 1 problem)', [back, failed]],
    ['Restored none of 1 manifest (with 1 problem)', [failed]],
    ['Restored 1 manifest (with 1 problem)', [back, { failedTags: [{ tag: 'v', why: 'moved' }] }]],
    ['Nothing to restore: the one manifest is there', [{ standing: [d('c')] }]],
    ['Nothing to restore: all 2 manifests are there', [{ standing: [d('c'), d('f')] }]],
    ['Nothing to restore', []],
  ])('says "%s"', (headline, repositories) => {
    const made = undo(repositories.map((more, at) => restored(String(at), more)));
    expect(restoreHeadline(made)).toBe(headline);
    expect(renderRestore(made).startsWith(`## ${headline}\n`)).toBe(true);
  });

  it('says of a dry-run what would be', () => {
    expect(restoreHeadline(undo([all], { dryRun: true }))).toBe(
      'Would restore 2 of 3 manifests, 1 was there already (with 2 problems)',
    );
  });

  it('says that there is nothing, and that something is wrong', () => {
    expect(restoreHeadline(undo([], { failures: ['the backup has no manifest'] }))).toBe(
      'Nothing to restore (with 1 problem)',
    );
  });
});

describe('the numbers of a restore', () => {
  it('count manifests', () => {
    expect(restoreCounts(undo([all, all]))).toEqual({
      restored: 4,
      planned: 0,
      standing: 2,
      failed: 2,
    });
  });

  it('say that a dry-run put nothing back', () => {
    expect(restoreCounts(undo([all], { dryRun: true }))).toEqual({
      restored: 0,
      planned: 2,
      standing: 1,
      failed: 1,
    });
  });
});

describe('the problems of a restore', () => {
  it('name every manifest and tag that did not come back', () => {
    expect(restoreProblems(undo([all], { failures: ['told to stop'] }))).toEqual([
      'told to stop [restore-failed]',
      `team/app@${d('e')} could not be restored: its saved bytes are missing [restore-failed]`,
      `team/app:v2 could not be restored: it names ${d('z')} now, and was left there [restore-failed]`,
    ]);
    expect(restoreProblems(undo([all], { dryRun: true }))[0]).toContain("can't be restored: ");
    expect(restoreProblems(undo([restored('a', { restored: [d('a')] })]))).toEqual([]);
  });

  it('are single lines of bounded length', () => {
    const why = `a\r\n::error::\u2028${'y'.repeat(5_000)}`;
    const made = undo([restored('a', { failed: [{ digest: d('e'), why }] })], { failures: [why] });
    for (const problem of restoreProblems(made)) {
      expect(problem).toHaveLength(500);
      expect(problem).not.toMatch(/[\p{Cc}\p{Zl}]/u);
    }
  });
});

it('the headline of a restore says that only a tag was set again', () => {
  const set = restored('team/app', { standing: [d('a'), d('b')], tags: ['v1'] });
  expect(restoreHeadline(undo([set]))).toBe('Restored 1 tag; the manifests were there already');
  expect(
    restoreHeadline(
      undo([restored('team/app', { standing: [d('a')], tags: ['v1'] })], { dryRun: true }),
    ),
  ).toBe('Would restore 1 tag; the manifest was there already');
});

it('the log of a restore has a line about each manifest and tag', () => {
  expect(restoreLines(all, false)).toEqual([
    `restored ${d('a')}`,
    `restored ${d('b')}`,
    `was there already: ${d('c')}`,
    `could not restore ${d('e')}: its saved bytes are missing`,
    'tag v1 points at its manifest again',
    `could not restore tag v2: it names ${d('z')} now, and was left there`,
  ]);
  expect(restoreLines(all, true)).toEqual([
    `would restore ${d('a')}`,
    `would restore ${d('b')}`,
    `was there already: ${d('c')}`,
    `can't restore ${d('e')}: its saved bytes are missing`,
    'tag v1 would point at its manifest again',
    `can't restore tag v2: it names ${d('z')} now, and was left there`,
  ]);
});

it('the log of a restore says what the registry restored by itself', () => {
  const some = restored('team/app', { restored: [d('a'), d('b')], byServer: [d('b')] });
  expect(restoreLines(some, false)).toEqual([
    `restored ${d('a')}`,
    `restored ${d('b')} by the registry itself`,
  ]);
  expect(restoreLines(some, true)).toContain(`would restore ${d('b')} by the registry itself`);
});

it('the log of a restore has a note about each part of the backup that was not used', () => {
  expect(restoreNotes(undo([all]))).toEqual([]);
  expect(restoreNotes(undo([all], { cutOffLines: 2, elsewhere: 1, excluded: 1 }))).toEqual([
    "2 lines of the backup's index are cut off. A run that is killed may leave half a line, and has not deleted what it was about.",
    '1 entry of the backup belongs to another registry.',
    '`repositories` leaves out 1 entry of the backup.',
  ]);
});

describe('the summary of a restore', () => {
  it('tells what came back, and what of the backup was of no use', () => {
    expect(renderRestore(undo([all], { cutOffLines: 1, elsewhere: 2, excluded: 3 }))).toBe(
      [
        '## Restored 2 of 3 manifests, 1 was there already (with 2 problems)',
        '',
        '`https://registry.example.com`, from the backup in `backup`.',
        '',
        'A manifest that comes back without a tag may be an orphan again in the next clean-up: give it a tag, or name it in `protect`.',
        '',
        "1 line of the backup's index is cut off. A run that is killed may leave half a line, and has not deleted what it was about.",
        '',
        '2 entries of the backup belong to another registry.',
        '',
        '`repositories` leaves out 3 entries of the backup.',
        '',
        '### Problems (2)',
        '',
        `- \`team/app@${d('e')}\` could not be restored: its saved bytes are missing ${HELP}`,
        `- \`team/app:v2\` could not be restored: it names \`${d('z')}\` now, and was left there ${HELP}`,
        '',
        '### Manifests that came back (2)',
        '',
        `- \`team/app@${d('a')}\``,
        `- \`team/app@${d('b')}\``,
        '',
        '### Tags that were set again (1)',
        '',
        '- `team/app:v1`',
        '',
      ].join('\n'),
    );
  });

  it.each([
    ['restored 2 manifests, with the layers.', ['a', 'b'], 0, false],
    ['restored 1 manifest, with the layers. 1 was pushed.', ['a'], 1, false],
    ['restored 1 manifest, with the layers. 2 were pushed.', ['a'], 2, false],
    ['would restore 1 manifest, with the layers.', ['a'], 0, true],
    ['would restore 1 manifest, with the layers. 2 would be pushed.', ['a'], 2, true],
  ])('says that the registry itself %s', (words, own, others, dryRun) => {
    const byServer = own.map(d);
    const pushed = Array.from({ length: others }, (_, n) => d(`pushed ${String(n)}`));
    const made = [
      restored('a', { restored: byServer, byServer }),
      restored('b', { restored: pushed }),
    ];
    expect(renderRestore(undo(made, { dryRun }))).toContain(`\n\nThe registry itself ${words}\n\n`);
  });

  it('says nothing of ways where all was pushed', () => {
    expect(renderRestore(undo([all]))).not.toContain('The registry itself');
  });

  it('says of a dry-run that nothing was changed', () => {
    const text = renderRestore(undo([all], { dryRun: true }));
    expect(text).toContain('**Dry run:** nothing was changed.\n`https://registry.example.com`');
    expect(text).toContain('### Manifests that would come back (2)');
    expect(text).toContain('### Tags that would be set again (1)');
  });

  it('gives no advice about what did not come back', () => {
    const text = renderRestore(undo([restored('a', { standing: [d('c')] })]));
    expect(text).not.toContain('orphan again');
    expect(text).not.toContain('###');
  });

  it('stays below the limit of GitHub, and says where the rest is', () => {
    const names = Array.from({ length: 20_000 }, (_, at) => d(String(at)));
    const text = renderRestore(
      undo([
        restored('team/app', {
          restored: names,
          failed: names.map((digest) => ({ digest, why: 'x'.repeat(400) })),
          tags: names,
        }),
      ]),
    );
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1_000_000);
    expect(text.match(/^_… and [\d,]+ more [a-z]+: .*The log has them all\._$/gm)).toHaveLength(3);
    expect(text).not.toContain('report-file');
  });

  it('holds no markup of a backup, a registry or a path', () => {
    const evil = fc
      .array(
        fc.oneof(
          fc.constantFrom('`', '|', '\n', '<b>', '@a', '#1', '](x)', '\\', '"', '**', '- '),
          fc.string({ unit: 'binary', maxLength: 3 }),
        ),
        { minLength: 1, maxLength: 8 },
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(evil, fc.boolean(), (text, dryRun) => {
        const made = restored(text, {
          restored: [d('a')],
          failed: [{ digest: d('e'), why: text }],
          tags: [text],
          failedTags: [{ tag: text, why: text }],
        });
        const rendered = renderRestore(
          undo([made], { registry: text, directory: text, failures: [text], dryRun }),
        );
        const outside = rendered
          .replaceAll(HELP, '')
          .replace(/`[^`\n]+`/g, '')
          .replace('**Dry run:**', '');
        expect(outside).not.toMatch(/[<@[\]`*|]|#\d/);
        const starts = outside.split('\n').map((line) => /^(?:##|###|-)? ?/.exec(line)?.[0]);
        expect(starts.filter((start) => start === '## ')).toHaveLength(1);
        expect(starts.filter((start) => start === '- ')).toHaveLength(5);
      }),
    );
  });
});

it('the summary of a restore folds what came back from 20 manifests on, and no problem', () => {
  const names = Array.from({ length: 20 }, (_, at) => d(String(at)));
  const failed = names.map((digest) => ({ digest, why: 'its saved bytes are missing' }));
  const summary = (...manifests: readonly Restored[]) => renderRestore(undo(manifests));
  expect(summary(restored('a', { restored: names }))).toContain(
    '<details><summary>20 manifests</summary>',
  );
  expect(summary(restored('a', { restored: names.slice(1), failed }))).not.toContain('<details>');
});
