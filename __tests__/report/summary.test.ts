import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { Manifest } from '../../src/oci/manifest.js';
import { PROTECT } from '../../src/plan/protection.js';
import type { Orphan } from '../../src/plan/plan.js';
import type { Fate } from '../../src/plan/fate.js';
import type { RepositoryRun, Run } from '../../src/run/run.js';
import { NEWEST_PAGES } from '../../src/text/pages.js';
import { renderSummary } from '../../src/report/summary.js';
import { digits } from '../../src/text/words.js';
import {
  appliedRun,
  blindDryRun,
  blob,
  byDigest,
  child,
  cleanRun,
  d,
  DAY,
  firstRun,
  guardedDryRun,
  guardedRun,
  image,
  index,
  inventory,
  kept,
  ledger,
  moved,
  NOW,
  orphan,
  outcome,
  plan,
  planningDryRun,
  quotaRun,
  refusing,
  run,
  type RunParts,
  troubledRun,
} from '../support/builders/examples.js';

const LIMIT = 1_000_000;

function expected(name: string): string {
  return readFileSync(fileURLToPath(new URL(`expected/${name}.txt`, import.meta.url)), 'utf8');
}

function headlineOf(of: Run): string {
  return renderSummary(of).split('\n', 1)[0] ?? '';
}

/** A repository of which only the ends of its orphans matter. */
function ended(ends: Parameters<typeof outcome>[0], names: readonly string[]): RepositoryRun {
  return {
    inventory: inventory('a', { manifests: byDigest(...names.map((name) => image(name))) }),
    plan: plan('a', { orphans: names.map((name) => orphan(name)) }),
    ...outcome(ends),
    warnings: [],
  };
}

const POSTPONED: Fate = { kind: 'postponed', until: NOW + 1 };
const UNDELETABLE: Fate = { kind: 'undeletable', why: 'it is the last tagged version' };

/** A real run over one repository, whose orphans met these fates. */
function fated(fates: readonly Fate[], more: RunParts = {}): Run {
  const names = fates.map((_, at) => `m${String(at)}`);
  const met = new Map(fates.map((fate, at) => [d(`m${String(at)}`), fate]));
  return run([{ ...ended({}, names), fates: met }], more);
}

function nothing(): RepositoryRun {
  return { inventory: inventory('a'), plan: plan('a'), ...outcome(), warnings: [] };
}

/** In which something could not be read, so nothing is an orphan. */
function unread(...approved: readonly string[]): RepositoryRun {
  const gaps = [{ what: 'tag v1', why: 'it answered 500' }];
  return {
    inventory: inventory('c', { gaps, manifests: byDigest(image('kept')) }),
    plan: plan('c'),
    ...outcome(),
    approved: new Set(approved.map(d)),
    warnings: [],
  };
}

/** The first line under the section of that title. */
function under(title: string, of: Run): string | undefined {
  const [, rest] = renderSummary(of).split(`### ${title}\n\n`);
  return rest?.split('\n', 1)[0];
}

describe('the summary', () => {
  it.each([
    { name: 'clean', made: cleanRun() },
    { name: 'blind', made: blindDryRun() },
    { name: 'troubled', made: troubledRun() },
    { name: 'first', made: firstRun() },
    { name: 'guarded', made: guardedRun() },
    { name: 'guarded-dry', made: guardedDryRun() },
    { name: 'planning', made: planningDryRun() },
    { name: 'applied', made: appliedRun() },
    { name: 'quota', made: quotaRun() },
  ])('is as in expected/$name.txt for the $name run', ({ name, made }) => {
    expect(renderSummary(made)).toBe(expected(name));
  });

  it('does not depend on the order of repositories', () => {
    const forward = cleanRun();
    const backward = { ...forward, repositories: [...forward.repositories].reverse() };
    expect(renderSummary(backward)).toBe(renderSummary(forward));
  });

  const refused = { digest: d('x'), why: 'refused' };
  const held = refusing('b', 2, { kind: 'share', orphans: 2, manifests: 2, percent: 30 });
  const applied = (approved: readonly string[], more: RunParts = {}) =>
    run([{ ...ended({}, []), approved: new Set(approved.map(d)) }], {
      applied: { createdAt: NOW - DAY, ignored: 0 },
      ...more,
    });
  it.each([
    [
      '## Deleted 1 orphan manifest in 1 repository: 2 kB will be freed',
      run([ended({ deleted: [d('x')] }, ['x'])]),
    ],
    [
      '## Would delete 1 orphan manifest in 1 repository: 2 kB would be freed',
      run([ended({}, ['x'])], { dryRun: true }),
    ],
    [
      '## Would delete 1 orphan manifest in 1 repository: at most 2 kB would be freed',
      run([ended({}, ['x'])], { dryRun: true, everyRepositoryScanned: false }),
    ],
    [
      '## Deleted 1 of 2 orphan manifests in 1 repository: 2 kB will be freed (with 1 problem)',
      run([ended({ deleted: [d('y')], failed: [refused] }, ['x', 'y'])]),
    ],
    [
      '## Deleted none of 1 orphan manifest (with 1 problem)',
      run([ended({ failed: [refused] }, ['x'])]),
    ],
    [
      '## 1 orphan manifest found, already gone when its turn came',
      run([ended({ gone: [d('x')] }, ['x'])]),
    ],
    [
      '## Deleted nothing: the recheck left none of 1 orphan manifest to delete',
      run([ended({ kept: [{ digest: d('x'), reason: { kind: 'tagged', tags: ['v1'] } }] }, ['x'])]),
    ],
    ['## No orphans among the 2 manifests that could be seen', blindDryRun()],
    [
      '## Refused to delete 2 orphan manifests in 1 repository: 40 MB stay (with 1 problem)',
      run([held]),
    ],
    [
      '## Deleted 1 of 3 orphan manifests in 1 repository: 2 kB will be freed; refused to delete 2 (with 1 problem)',
      run([ended({ deleted: [d('x')] }, ['x']), held]),
    ],
    [
      '## Would refuse to delete 2 orphan manifests in 1 repository: 40 MB would stay',
      run([held], { dryRun: true }),
    ],
    [
      '## Would delete none of 1 orphan manifest; the registry would refuse 1',
      run([refusing('b', 1, { kind: 'no-rights', why: 'no' })], { dryRun: true }),
    ],
    [
      '## Would delete 1 of 3 orphan manifests in 1 repository: 2 kB would be freed; would refuse to delete 2',
      run([ended({}, ['x']), held], { dryRun: true }),
    ],
    [
      '## Deleted nothing for good: 1 manifest came into use meanwhile and was restored (with 1 problem)',
      run([ended({ restored: [d('x')] }, ['x'])]),
    ],
    [
      '## Deleted 1 orphan manifest in 1 repository: 2 kB will be freed (with 1 problem)',
      run([ended({ deleted: [d('x')], restored: [d('y')] }, ['x', 'y'])]),
    ],
    ['## Nothing to delete: the one manifest of the plan is no orphan any more', applied(['x'])],
    [
      '## Nothing to delete: none of the 2 manifests of the plan is an orphan any more',
      applied(['x', 'y'], { dryRun: true }),
    ],
    ['## Nothing to delete: the plan is empty', applied([], { repositories: [] })],
    [
      '## This run read no repository of the plan',
      applied([], { repositories: [], applied: { createdAt: NOW - DAY, ignored: 3 } }),
    ],
    [
      '## Deleted nothing: 2 of 2 repositories were not read (with 1 problem)',
      applied([], { repositories: [], unread: 2, failures: ['the run was told to stop'] }),
    ],
    [
      '## Deleted nothing: 1 of 2 repositories could not be read whole; nothing of the plan is an orphan any more in the other (with 1 problem)',
      applied([], { repositories: [unread('x'), nothing()] }),
    ],
    // "0 orphans" must never mean "could not look".
    [
      '## Deleted nothing: 1 of 1 repository could not be read whole (with 1 problem)',
      run([unread()]),
    ],
    [
      '## Would delete nothing: 1 of 3 repositories could not be read whole; no orphans in the other 2 (with 1 problem)',
      run([unread(), nothing(), nothing()], { dryRun: true }),
    ],
    [
      '## Deleted nothing: 1 of 2 repositories was not read; no orphans in the other',
      run([nothing()], { unread: 1 }),
    ],
    [
      '## Deleted nothing: 2 of 4 repositories were not read, and 1 could not be read whole; no orphans in the other (with 1 problem)',
      run([nothing(), unread()], { unread: 2 }),
    ],
    [
      '## The plan lists 1 orphan manifest in 1 repository: 2 kB would be freed',
      run([ended({}, ['x'])], { dryRun: true, planFile: 'plan.json' }),
    ],
    [
      '## The plan lists 3 orphan manifests in 2 repositories; a run without it would delete 1 of them',
      run([ended({}, ['x']), held], { dryRun: true, planFile: 'plan.json' }),
    ],
    [
      '## The plan lists 2 orphan manifests in 1 repository; a run without it would delete none of them',
      run([held], { dryRun: true, planFile: 'plan.json' }),
    ],
    [
      '## No orphans among the 0 manifests that could be seen',
      run([nothing()], { dryRun: true, planFile: 'plan.json' }),
    ],
    [
      '## 1 image broke: see "Problems". Deleted 1 orphan manifest in 1 repository: 2 kB will be freed (with 1 problem)',
      run([ended({ deleted: [d('x')], broken: [{ what: 'tag v1', why: 'gone' }] }, ['x'])]),
    ],
    [
      '## 2 images or parts of images broke: see "Problems". Deleted none of 1 orphan manifest (with 3 problems)',
      run([
        ended({ failed: [refused], broken: ['v1', 'v2'].map((what) => ({ what, why: 'gone' })) }, [
          'x',
        ]),
      ]),
    ],
    ["## Deleted none of 1 orphan manifest; 1 can't be deleted", fated([UNDELETABLE])],
    ['## Deleted none of 1 orphan manifest; 1 is left for a later run', fated([POSTPONED])],
    [
      "## Deleted 1 of 5 orphan manifests in 1 repository: 2 kB will be freed; 1 can't be deleted; 2 are left for a later run (with 1 problem)",
      fated([
        { kind: 'deleted' },
        UNDELETABLE,
        POSTPONED,
        POSTPONED,
        { kind: 'failed', why: 'answered 500' },
      ]),
    ],
    [
      '## No repository was scanned (with 1 problem)',
      run([], { failures: ['The catalog is not allowed.'] }),
    ],
  ])('has the headline "%s"', (headline, made) => {
    expect(headlineOf(made)).toBe(headline);
  });

  it('never lets "no orphans" stand without what could not be seen', () => {
    const text = renderSummary(blindDryRun());
    expect(text).toContain('This does not mean that there are none');
    expect(text).toContain('no route that lists untagged manifests');
    expect(text).not.toContain('garbage-collect');
  });

  it('lets "no orphans" stand where an earlier run left a ledger, or an input named manifests', () => {
    const warning = 'This does not mean that there are none';
    expect(renderSummary(firstRun())).toContain(warning);
    const unreadable = ledger({ existed: false, isReadable: false, remembered: 0 });
    expect(renderSummary({ ...firstRun(), ledger: unreadable })).toContain(warning);
    expect(renderSummary({ ...firstRun(), ledger: ledger() })).not.toContain(warning);
    const candidates = new Map([['team/api', new Set([d('team/api 1.0')])]]);
    const intake = { candidates, understood: 1, notUnderstood: 0, examples: [] };
    expect(renderSummary({ ...firstRun(), intake })).not.toContain(warning);
  });

  it('says what whoever approves a plan lets happen', () => {
    const planning = (...repositories: readonly RepositoryRun[]) =>
      under('The plan', run(repositories, { dryRun: true, planFile: 'out/plan.json' }));
    const start = 'It was written to `out/plan.json` and lists';
    expect(planning(ended({}, ['x']))).toBe(
      `${start} 1 manifest in 1 repository. A run with \`apply-plan\` deletes it if it is still an orphan then. ` +
        'Whoever approves the plan approves that. `max-deletes` limits that run only if it is given there.',
    );
    expect(planning(held)).toContain('A run without the plan would refuse to delete any of them:');
    expect(planning(ended({}, ['x']), held)).toContain('would refuse to delete 2 of them: see');
    const locked = refusing('locked', 1, { kind: 'no-rights', why: 'no' });
    expect(planning(locked)).toContain("These credentials can't delete it: that run needs others.");
    expect(planning(locked)).not.toContain('would refuse');
    expect(planning(nothing())).toBe(`${start} nothing, so there is nothing to approve.`);
    expect(planning(unread())).toContain(
      'It has nothing of repositories that could not be read whole: see "Problems".',
    );
    expect(renderSummary(guardedDryRun())).not.toContain('### The plan');
  });

  it('gives a dry-run that wrote its plan no advice to write one, and says what is in it', () => {
    const text = renderSummary(planningDryRun());
    expect(text).not.toMatch(/`plan-file`|A real run would leave|What a real run would not delete/);
    expect(text).toContain(
      '### What a run without the plan would not delete\n\nThese are in the plan as well',
    );
    expect(text).toContain('`team/halved` (refused without the plan)');
    const all = run([held], { dryRun: true, planFile: 'plan.json' });
    expect(renderSummary(all)).toContain('### To free the disk');
  });

  it('warns of collecting the garbage where an image broke, or may have', () => {
    const broken = [{ what: 'tag v1', why: 'gone' }];
    for (const ends of [
      { deleted: [d('x')], broken },
      { failed: [refused], broken },
      { deleted: [d('x')], unverified: true },
    ]) {
      const text = renderSummary(run([ended(ends, ['x'])]));
      expect(text).not.toContain('registry garbage-collect');
      expect(text).toMatch(
        /\n### To free the disk\n\nDo not collect the registry's garbage before .*\n\n### How to read this\n/,
      );
      expect(text.match(/before the registry collects its garbage/gi)).toHaveLength(1);
    }
    expect(renderSummary(troubledRun())).toContain('Solve the problems before it does that.');
    expect(renderSummary(run([ended({ deleted: [d('x')] }, ['x'])]))).toContain(
      'registry garbage-collect',
    );
  });

  it('tells nobody to collect garbage, or not to, where the registry does so by itself', () => {
    const { advice, family, untaggedListing } = quotaRun();
    const broken = [{ what: 'tag v1', why: 'gone' }];
    for (const ends of [{ deleted: [d('x')] }, { deleted: [d('x')], broken, unverified: true }]) {
      const text = renderSummary(run([ended(ends, ['x'])], { advice, family, untaggedListing }));
      expect(text).toContain('### To free the disk');
      expect(text).not.toMatch(/do not collect|garbage-collect|let it/i);
    }
  });

  it('says until when the registry itself restores, where it has an undo of its own', () => {
    const until =
      'The registry itself can do so for 30 days after each delete: for the last one until 2026-12-23 03:00 UTC.';
    expect(under('To restore it', quotaRun())).toContain(until);
    expect(renderSummary(guardedRun())).not.toContain('The registry itself can do so');
    // Nothing was deleted.
    const idle = run([nothing()], { restorableUntil: NOW + DAY, backup: '/tmp/backup' });
    expect(renderSummary(idle)).not.toContain('The registry itself can do so');
  });

  it('says how many gone ones it met, also where it deleted nothing itself', () => {
    const made = fated([{ kind: 'gone' }, POSTPONED]);
    expect(renderSummary(made)).toContain('\n1 orphan had gone already when the turn came.\n');
  });

  it('does not doubt "no orphans" on a registry that lists its manifests', () => {
    const listed = run([nothing()], { untaggedListing: 'complete', family: 'GHCR' });
    expect(renderSummary(listed)).not.toContain('This does not mean that there are none');
  });

  it('lists no manifest that is left for a later run, however many there are', () => {
    const deleted = Array.from({ length: 5_500 }, (): Fate => ({ kind: 'deleted' }));
    const postponed = Array.from({ length: 2_000 }, () => POSTPONED);
    const [text, without] = [fated([...deleted, ...postponed]), fated(deleted)].map((made) =>
      renderSummary(made, 10_000_000),
    );
    expect(text).toMatch(
      /^## Deleted 5,500 of 7,500 orphan manifests in 1 repository: .*; 2,000 are left for a later run\n/,
    );
    expect(text?.length).toBeLessThan((without?.length ?? 0) + 1_000);
  });

  const part = (of: string): Fate => ({ kind: 'kept', reason: { kind: 'child', of: d(of) } });
  it.each([
    ['No run can delete 1 orphan', [UNDELETABLE]],
    ['No run can delete 1 orphan, and 1 part of it stays', [UNDELETABLE, part('m0')]],
    [
      'No run can delete 2 orphans, and 2 parts of them stay',
      [UNDELETABLE, UNDELETABLE, part('m0'), part('m1')],
    ],
  ] as const)('says near its top: %s', (sentence, fates) => {
    const made = fated(fates);
    expect(renderSummary(made)).toContain(`\n${sentence}: see "Warnings".\n`);
    expect(under(`Warnings (${String(sentence.includes('2 orphans') ? 2 : 1)})`, made)).toMatch(
      / can't be deleted: it is the last tagged version \[`undeletable`\]\(.*#undeletable\)$/,
    );
  });

  it('names a part of what no run can delete among those that were kept, and nothing in use', () => {
    const text = renderSummary(quotaRun());
    expect(text).toContain("| part of an orphan that can't be deleted | 3 |");
    expect(text).not.toContain('came into use');
  });

  it('shows a grace period that is switched off as that', () => {
    expect(renderSummary(run([], { gracePeriod: 0 }))).toContain(
      'Grace period: off; unused for: 1 day.',
    );
    expect(renderSummary(cleanRun())).toContain('Grace period: 1 day; unused for: 1 day.');
  });

  it('has the warnings of the run as a whole before all others', () => {
    const made = { ...troubledRun(), warnings: ['`repositories` matches <b>'] };
    expect(under('Warnings (3)', made)).toBe('- `repositories` matches `<b>`');
  });

  it('warns of the ledger first, and lets nothing of a registry out of it', () => {
    const warnings = ['ledger: <b>@octocat</b> `x` | [y](z)', 'second'];
    const text = renderSummary({ ...troubledRun(), ledger: ledger({ warnings }) });
    const section = text.slice(text.indexOf('### Warnings'), text.indexOf('### To free'));
    expect(section).toContain('### Warnings (3)');
    expect(section.match(/^- .*$/gm)?.slice(1)).toEqual([
      '- second',
      '- `team/broken`: the catalog lists it twice',
    ]);
    expect(outsideCode(section)).not.toMatch(/[<@[\]]/);
  });

  it('warns of what concerns the whole run, before the repositories', () => {
    const warnings = ['`protect` names `team/ap`, which matches no repository of this registry'];
    const text = renderSummary({ ...troubledRun(), warnings });
    const section = text.slice(text.indexOf('### Warnings'), text.indexOf('### To free'));
    expect(section.match(/^- .*$/gm)).toEqual([
      `- ${warnings.join('')}`,
      expect.stringContaining("this run can't write to the ledger"),
      '- `team/broken`: the catalog lists it twice',
    ]);
  });

  it('says what an input named that is no longer there, and what was ignored', () => {
    const text = renderSummary(cleanRun());
    expect(text).toContain(
      'The inputs named 4 manifests: 3 of them are among the 11 manifests that were read, 1 no longer exists.',
    );
    expect(renderSummary(troubledRun())).toContain(
      '7 named manifests in repositories that `repositories` leaves out were ignored.',
    );
    expect(renderSummary({ ...appliedRun(), ignoredCandidates: 1 })).toContain(
      '1 named manifest in repositories that were not read was ignored.',
    );
  });

  it('does not doubt that there are more orphans where it found some, or carried out a plan', () => {
    const warning = 'This does not mean that there are none';
    expect(renderSummary(run([held], { dryRun: true }))).not.toContain(warning);
    expect(renderSummary(applied(['x']))).not.toContain(warning);
    expect(renderSummary(applied(['x']))).not.toContain('digests-file');
    expect(renderSummary(run([nothing()]))).toContain(warning);
  });

  it('shows what is held back, so that it can be judged', () => {
    const title = (of: Run) => /^### What .*not delete.*$/m.exec(renderSummary(of))?.[0];
    expect(title(run([held]))).toBe('### What was found and not deleted');
    expect(title(run([held], { dryRun: true }))).toBe('### What a real run would not delete');
    for (const dryRun of [true, false]) {
      expect(renderSummary(run([held], { dryRun }))).toContain(
        `| \`${digits(d('b 1'))}\` | image | 20\u00a0MB | built\u00a030\u00a0days\u00a0ago | untagged |`,
      );
      expect(renderSummary(run([held], { dryRun }))).toContain(`\nb@${d('b 1')}\n`);
    }
    expect(title(cleanRun())).toBeUndefined();
  });

  it('says why a dry-run would be held back, and makes a problem of it for a real run only', () => {
    const title = '### What would hold a real run back';
    expect(renderSummary(run([held]))).not.toContain(title);
    const text = renderSummary(run([held], { dryRun: true }));
    expect(text).toContain(`${title}\n\n- \`b\`: nothing is deleted here: 2 of the 2 manifests`);
    expect(text).not.toContain('### Problems');
    expect(text).toContain(
      'A real run would leave 2 orphans: see "What would hold a real run back".',
    );
  });

  it('tells of the backup where something was deleted, or may have been', () => {
    const backup = '/tmp/<b>`x`';
    const title = '### To restore it\n\nEvery manifest was saved in `/tmp/<b>ˋxˋ` before';
    const made = (ends: Parameters<typeof ended>[0]) =>
      renderSummary(run([ended(ends, ['x'])], { backup }));
    expect(made({ deleted: [d('x')] })).toContain(title);
    expect(made({ restored: [d('x')] })).toContain(title);
    expect(made({ failed: [refused] })).toContain(title);
    // Such as all, when nothing could be saved.
    expect(made({ skipped: [refused] })).not.toContain('To restore it');
    expect(made({ gone: [d('x')] })).not.toContain('To restore it');
    expect(renderSummary(cleanRun())).not.toContain('To restore it');
  });

  it('says of protect-files what they named, also where that saved nothing', () => {
    const said = (digests: number, unmet: number) =>
      under('What is protected', { ...cleanRun(), pinned: { files: 1, digests, unmet } });
    const tagged = 'Those that were found have a tag, and would stay without it.';
    const none =
      'found in none of the repositories that this run read (a digest without a tag is looked for only where something would be deleted).';
    expect(said(2, 0)).toBe(`\`protect-files\` named 2 digests in 1 file. ${tagged}`);
    expect(said(2, 1)).toBe(
      `\`protect-files\` named 2 digests in 1 file. 1 of 2 digests was ${none} ${tagged}`,
    );
    expect(said(1, 1)).toBe(
      `\`protect-files\` named 1 digest in 1 file. 1 of 1 digest was ${none} So it protects nothing here.`,
    );
    expect(said(0, 0)).toBe('`protect-files` named 0 digests in 1 file: it protects nothing.');
    expect(under('What is protected', cleanRun())).toBeUndefined();
  });

  it('names every manifest that a file saved, and only counts what the input protects whole', () => {
    const names = Array.from({ length: 100 }, (_, at) => `m${String(at)}`);
    const saved = (by: (name: string) => readonly string[]) =>
      renderSummary(
        run([
          {
            inventory: inventory('a', { manifests: byDigest(...names.map((name) => image(name))) }),
            plan: plan('a', {
              keep: names.map((name) => kept(name, { kind: 'protected', by: by(name) })),
            }),
            ...outcome(),
            warnings: [],
          },
        ]),
      );
    const byFile = saved((name) => [PROTECT, `k8s/${name}.yaml`]);
    for (const name of names) {
      expect(byFile).toContain(
        `| \`a@${digits(d(name))}\` | image | \`protect\`, \`k8s/${name}.yaml\` |`,
      );
      expect(byFile).toContain(`\na@${d(name)}\n`);
    }
    expect(byFile).toContain('<details><summary>100 rows</summary>');
    const byInput = saved((name) => (name === 'm7' ? ['k8s/7.yaml'] : [PROTECT]));
    expect(byInput).toContain(`| \`a@${digits(d('m7'))}\` | image | \`k8s/7.yaml\` |`);
    expect(byInput).toContain('| `a` | 99 manifests | `protect` |');
    expect(byInput.match(/^\| `a@[0-9a-f]{12}`/gm)).toHaveLength(1);
    const few = saved((name) => (name < 'm18' ? [PROTECT] : ['k8s/x.yaml']));
    expect(few.match(/^\| `a@[0-9a-f]{12}`.*\| `protect` \|$/gm)).toHaveLength(
      names.filter((name) => name < 'm18').length,
    );
  });

  it.each([
    [NOW - 12_000 - DAY, ' that was made 1 day earlier'],
    [NOW + DAY, ''],
    [Number.NaN, ''],
  ])('is not lost for a plan of %d', (createdAt, made) => {
    expect(renderSummary(applied(['x'], { applied: { createdAt, ignored: 0 } }))).toContain(
      `Nothing of the plan of \`apply-plan\`${made} was still to be deleted. 1 manifest of it was left, for the reason that stands beside it:`,
    );
  });

  it.each<[string, readonly RepositoryRun[], RunParts]>([
    [
      'This run carried out the plan of `apply-plan`, and nothing else.',
      [ended({ deleted: [d('x')] }, ['x'])],
      {},
    ],
    [
      'This run carried out a part of the plan of `apply-plan`, and nothing else: see "Problems".',
      [ended({ deleted: [d('x')] }, ['x']), unread('y')],
      {},
    ],
    [
      'This run carried out a part of the plan of `apply-plan`, and nothing else: see "Problems".',
      [ended({ deleted: [d('x')], failed: [{ digest: d('y'), why: 'no' }] }, ['x', 'y'])],
      {},
    ],
    ['This run deleted nothing of the plan of `apply-plan`: see "Problems".', [held], {}],
    [
      'A real run would carry out the plan of `apply-plan`, and nothing else.',
      [ended({}, ['x'])],
      { dryRun: true },
    ],
    [
      'A real run would carry out a part of the plan of `apply-plan`, and nothing else: see "What would hold a real run back".',
      [ended({}, ['x']), held],
      { dryRun: true },
    ],
    [
      'A real run would delete nothing of the plan of `apply-plan`: see "What would hold a real run back" and "Problems".',
      [held, unread('y')],
      { dryRun: true },
    ],
    [
      'Nothing of the plan of `apply-plan` was carried out: 1 of 1 repository could not be read whole, see "Problems".',
      [unread('x')],
      {},
    ],
    [
      'Nothing of the plan of `apply-plan` would be carried out: 1 of 1 repository was not read, see "Problems".',
      [],
      { unread: 1, dryRun: true },
    ],
    [
      'Nothing of the plan of `apply-plan` was carried out: this run read none of its repositories.',
      [],
      {},
    ],
    ['Nothing of the plan of `apply-plan` was still to be deleted.', [nothing()], {}],
    [
      'This run carried out a part of the plan of `apply-plan`, and nothing else: see "Warnings".',
      fated([{ kind: 'deleted' }, UNDELETABLE]).repositories,
      {},
    ],
    [
      'This run deleted nothing of the plan of `apply-plan`: see "Problems" and "Warnings".',
      fated([{ kind: 'failed', why: 'no' }, POSTPONED]).repositories,
      {},
    ],
  ])('says how far it came with a plan: %s', (said, repositories, more) => {
    // A time that tells nothing.
    const made = { applied: { createdAt: Number.NaN, ignored: 0 }, ...more };
    const text = under('The plan', run(repositories, made)) ?? '';
    expect(text.slice(0, said.length)).toBe(said);
    expect(text).not.toContain('has changed since');
  });

  it('says of a plan that nothing of it had to be left', () => {
    const [web] = cleanRun().repositories;
    const approved = new Set(web?.plan.orphans.map(({ digest }) => digest));
    const made = run(web === undefined ? [] : [{ ...web, approved }], {
      dryRun: true,
      applied: { createdAt: NOW - DAY, ignored: 1 },
    });
    expect(renderSummary(made)).toContain(
      'and nothing else. 1 manifest of it is in repositories that `repositories` leaves out. All its entries in the repositories that this run read were still to be deleted.',
    );
  });

  it('draws eight slices and the others', () => {
    const repositories = Array.from({ length: 22 }, (_, at) =>
      moved(`r${String(at)}`, 1_000_000 * (at + 1), NOW),
    );
    const text = renderSummary(run(repositories));
    const slices = text.match(/^ {2}"[^"]+" : \d+$/gm) ?? [];
    expect(slices).toHaveLength(9);
    expect(slices[0]).toContain('r21 (22 MB)');
    expect(slices[8]).toContain('14 others (105 MB)');
  });

  it('draws no pie where the table says as much', () => {
    const some = (...sizes: readonly number[]) =>
      renderSummary(run(sizes.map((bytes, at) => moved(`r${String(at)}`, bytes, NOW))));
    expect(some(1_000_000, 1_000_000, 1_000_000)).toContain('pie title');
    expect(some(...Array<number>(9).fill(1_000_000))).not.toContain('pie title');
    expect(some(1_000_000, 1_000_000)).not.toContain('pie title');
    expect(some(100_000_000, 1_000_000, 1_000_000)).not.toContain('pie title');
  });

  const heldBy = (orphans: number, name = 'b') =>
    refusing(name, orphans, { kind: 'share', orphans, manifests: orphans, percent: 30 });
  it('folds a repository from 20 rows on, with its name and numbers in the line that unfolds it', () => {
    const fold = '<details><summary><code>b</code> (20 manifests, 400 MB)</summary>';
    expect(renderSummary(run([heldBy(20)]))).toContain(fold);
    expect(renderSummary(run([heldBy(19)]))).toContain('**`b`** (19 manifests, 380 MB)');
  });

  it('folds all problems but the first 19, the worst', () => {
    const failures = Array.from({ length: 21 }, (_, at) => `it failed ${String(at)}`);
    const text = renderSummary(run([nothing()], { failures }));
    const fold = '<details><summary>2 more problems</summary>';
    expect(text.indexOf('it failed 18')).toBeLessThan(text.indexOf(fold));
    expect(text.indexOf(fold)).toBeGreaterThan(0);
    expect(text).toMatch(/it failed 20 \[`run-failed`\]\(.*#run-failed\)\n\n<\/details>\n\n###/);
    const few = renderSummary(run([nothing()], { failures: failures.slice(0, 19) }));
    expect(few).not.toContain('<details>');
  });

  it('opens some 24 rows of tables, and folds the repositories after them', () => {
    const text = renderSummary(run(['a', 'b', 'c'].map((name) => heldBy(18, name))));
    expect(text).toContain('**`a`** (18 manifests, 360 MB)');
    expect(text).toContain('<details><summary><code>b</code> (18 manifests, 360 MB)</summary>');
  });

  it('says what an orphan was: its last tags, its version and its revision', () => {
    const revision = '0123456789abcdef0123456789abcdef01234567';
    const labels = { version: '1.4.2', revision };
    const lastUse = { tags: ['latest'], until: NOW };
    const row = (more: Partial<Orphan>, tagged = labels) =>
      /^\| `[0-9a-f]{12}` .*$/m.exec(
        renderSummary(
          run([
            {
              inventory: inventory('a', {
                manifests: byDigest(image('x', [], { labels: tagged })),
              }),
              plan: plan('a', { orphans: [{ ...orphan('x'), ...more }] }),
              ...outcome({ deleted: [d('x')] }),
              warnings: [],
            },
          ]),
        ),
      )?.[0];
    expect(row({ lastUse })).toContain(
      '| image, was `latest` until\u00a023\u00a0Nov\u00a02026, version\u00a0`1.4.2`, revision\u00a0`0123456` |',
    );
    expect(row({})).toContain('| image, version\u00a0`1.4.2`, revision\u00a0`0123456` |');
    expect(row({ lastUse: { ...lastUse, tags: ['1.4.2'] } })).not.toContain('version');
    expect(row({ age: { kind: 'pushed', at: NOW - 3 * DAY } })).toContain(
      '| pushed\u00a03\u00a0days\u00a0ago |',
    );
    expect(row({ age: { kind: 'first-seen', at: NOW - 3 * DAY } })).toContain(
      '| seen\u00a03\u00a0days\u00a0ago |',
    );
  });

  it.each([
    ['first', 0],
    ['in the middle', 1],
    ['last', 2],
  ])(
    'gives an image with its last tags as the example of what was in use, if it comes %s',
    (_, at) => {
      const keep = ['a', 'b', 'c'].map((name, index) => ({
        digest: d(name),
        reason: { kind: 'recently-used', since: NOW, tags: index === at ? ['v1'] : [] } as const,
      }));
      const text = renderSummary(
        run([{ inventory: inventory('a'), plan: plan('a', { keep }), ...outcome(), warnings: [] }]),
      );
      expect(text).toContain('| 3 | `a@');
      expect(text).toContain('(was `v1` until 23 Nov 2026), … |');
    },
  );

  it('has no column of ages where none is known', () => {
    const text = renderSummary(run([ended({ deleted: [d('x')] }, ['x'])]));
    expect(text).toContain('| Digest | What it was | Size | Why |');
    expect(renderSummary(cleanRun())).toContain('| Digest | What it was | Size | Age | Why |');
  });

  it('has a row of totals where it lists several repositories, and no column of zeros', () => {
    expect(renderSummary(cleanRun())).toContain(
      '| Repository | Tags | Manifests | Orphans | Deleted | Kept | Frees |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n| **All 3** | 5 | 11 | 6 | 6 | 5 | 1.37\u00a0GB |\n',
    );
    expect(renderSummary(quotaRun())).not.toMatch(/\*\*All .*\| 0 \|/);
  });

  it('reports kept indexes that miss a child as broken before', () => {
    const broken: RepositoryRun = {
      inventory: inventory('a', {
        manifests: byDigest(index('i', [child('there'), child('missing')]), image('there')),
        absent: new Set([d('missing')]),
      }),
      plan: plan('a', { keep: [kept('i', { kind: 'tagged', tags: ['v1'] })] }),
      ...outcome(),
      warnings: [],
    };
    expect(renderSummary(run([broken]))).toContain(
      `- \`a@${d('i')}\`: it lists \`${d('missing').slice(0, 19)}\`, which the registry no longer has`,
    );
  });
});

const EVIL =
  '`</td></details><script>alert(1)</script> | @octocat #1 [x](https://evil.com)\n# h\n```\n"%%{init}%%';

/** As large and as hostile as a registry can make it. */
function hugeRun(orphans: number, text = EVIL, repositories = 3_000): Run {
  const names = Array.from({ length: orphans }, (_, at) => `m${String(at)}`);
  const manifests: Manifest[] = names.map((name, at) =>
    at % 3 === 0
      ? index(name, [child(`${name} child`, { platform: { os: text, architecture: text } })])
      : image(name, [blob(name, 10, text)], { artifactType: text }),
  );
  const failed = names.filter((_, at) => at % 5 === 0).map(d);
  const large: RepositoryRun = {
    inventory: inventory(text, {
      manifests: byDigest(...manifests, image('saved', [], { artifactType: text })),
      brokenTags: names.slice(0, 5_000).map((name) => `${text}${name}`),
    }),
    plan: plan(text, {
      keep: [
        ...names.map((name) => kept(`kept ${name}`, { kind: 'unknown-type', mediaType: text })),
        kept('saved', { kind: 'protected', by: [text, PROTECT, `${text}.yaml`, text, text] }),
        kept('left', { kind: 'tagged', tags: [text, text] }),
      ],
      orphans: names.map((name) => orphan(name, { kind: 'digest-tag', tag: text, of: d('of') })),
    }),
    ...outcome({
      deleted: names.filter((_, at) => at % 5 !== 0).map(d),
      failed: failed.map((digest) => ({ digest, why: text })),
      broken: [{ what: text, why: text }],
    }),
    approved: new Set([d('saved'), d('left'), d('lost')]),
    warnings: names.slice(0, 5_000).map(() => text),
  };
  const others = Array.from({ length: repositories }, (_, at) =>
    moved(`${text}${String(at)}`, at, NOW),
  );
  const held = refusing(`${text}held`, 1, { kind: 'no-deletes', why: text });
  const [stuck] = fated([{ kind: 'undeletable', why: text }, POSTPONED]).repositories.map(
    (each) => ({ ...each, inventory: { ...each.inventory, repository: `${text}stuck` } }),
  );
  return run([large, held, ...(stuck === undefined ? [] : [stuck]), ...others], {
    failures: [text],
    backup: text,
    applied: { createdAt: NOW, ignored: 1 },
    pinned: { files: 1, digests: 1, unmet: 0 },
    intake: {
      candidates: new Map(),
      understood: 1,
      notUnderstood: 1,
      examples: [{ where: text, text }],
    },
  });
}

/** Takes code spans and our own markup away: nothing of the registry's text may be left. */
function outsideCode(markdown: string): string {
  return markdown
    .replace(/^```\w*\n[^`]*^```$/gm, '')
    .replace(/<code>[^<>\n]*<\/code>/g, '')
    .replaceAll(`[How it decides](${NEWEST_PAGES}/docs/how-it-decides.md)`, '')
    .replaceAll(/\[`([a-z-]+)`\]\((\S+?)#\1\)/g, (link, _code, page: string) =>
      page === `${NEWEST_PAGES}/docs/troubleshooting.md` ? '' : link,
    )
    .replace(/`[^`\n]+`/g, '');
}

describe('the summary of a huge and hostile run', () => {
  const made = hugeRun(100_000);
  const text = renderSummary(made);

  it('stays below the limit and says what was cut, section by section', () => {
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(LIMIT);
    expect(Buffer.byteLength(text)).toBeGreaterThan(0.9 * LIMIT);
    expect(text.match(/^_… and [\d,]+ more [a-z ]+: too long for a job summary\./gm)).toHaveLength(
      5,
    );
    expect(text).toContain('### To free the disk');
  });

  it('accounts for every deleted manifest: shown or counted as cut', () => {
    const shown = text.match(/^\| `[0-9a-f]{12}` \|/gm)?.length ?? 0;
    const cut = Number(/… and ([\d,]+) more manifests/.exec(text)?.[1]?.replaceAll(',', ''));
    expect(shown).toBeGreaterThan(500);
    // The last two were found and not deleted.
    expect(shown + cut).toBe(80_000 + 3_000 + 2);
  });

  it('keeps the worst problem in sight', () => {
    expect(text.indexOf('**An image broke:**')).toBeLessThan(2_000);
  });

  it('lets nothing of the registry out of its code spans', () => {
    const outside = outsideCode(text).replaceAll(/<\/?details>|<\/?summary>/g, '');
    // The pie's labels are letters in quotes, and may spell anything.
    const prose = outside.replace(/^ {2}"[A-Za-z0-9._/ ()…?-]*" : \d+$/gm, '');
    expect(/[<>@[\]].{0,40}|alert|evil|octocat|%%/.exec(prose)).toBeNull();
    const folds = outsideCode(text).match(/<\/?details>/g) ?? [];
    let open = 0;
    for (const fold of folds) {
      open += fold === '<details>' ? 1 : -1;
      expect(open).toBeGreaterThanOrEqual(0);
    }
    expect(folds.length).toBeGreaterThan(4);
    expect(open).toBe(0);
  });
});

describe('the summary of any run', () => {
  it('fits any sensible limit and starts with the headline', () => {
    const made = hugeRun(300);
    fc.assert(
      fc.property(fc.integer({ min: 2_000, max: 200_000 }), (limit) => {
        const text = renderSummary(made, limit);
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(limit);
        expect(
          text.startsWith(
            '## 1 image broke: see "Problems". Deleted 3,240 of 3,303 orphan manifests',
          ),
        ).toBe(true);
        expect(text).toContain('### Problems');
      }),
      { numRuns: 15 },
    );
  });

  it('holds no markup of the registry', () => {
    const evil = fc.array(
      fc.oneof(
        fc.constantFrom('`', '|', '\n', '<b>', '@a', '#1', '](x)', '\\', '"', '**', '- '),
        fc.string({ unit: 'binary', maxLength: 3 }),
      ),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(evil, (parts) => {
        const text = renderSummary(hugeRun(6, parts.join(''), 2));
        const outside = outsideCode(text).replaceAll(/<\/?details>|<\/?summary>/g, '');
        expect(outside).not.toMatch(/[<@[\]]|#\d/);
        for (const line of outside.split('\n').filter((row) => row.startsWith('|'))) {
          expect([3, 4, 5, 6, 11]).toContain(line.match(/\|/g)?.length);
        }
      }),
      { numRuns: 200 },
    );
  });
});

it.each([
  [false, 'Restored 2 manifests of an earlier run. No orphans'],
  [true, 'Would restore 2 manifests of an earlier run. No orphans'],
])(
  'the summary begins with what earlier runs had deleted and was restored (dry-run: %s)',
  (dryRun, start) => {
    const repair = { restored: [d('a'), d('b')], failed: [], failedTags: [] };
    const repository = {
      inventory: inventory('a'),
      plan: plan('a'),
      ...outcome(),
      repair,
      warnings: [],
    };
    expect(headlineOf(run([repository], { dryRun }))).toMatch(new RegExp(`^## ${start}`));
  },
);
