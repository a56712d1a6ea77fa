/**
 * Every freed digest with what it was and why it was an orphan; and the same of the orphans that stay because
 * something about them looks wrong. The digests are short here: digests.ts has them whole.
 */
import { contentBytes } from '../bytes.js';
import { describer, label, versionOf, versionWords, type Description } from '../describe.js';
import { isFreed, judge, type Fate, type Judged } from '../../plan/fate.js';
import { CLOSING, type Section } from '../fit.js';
import type { Orphan } from '../../plan/plan.js';
import { code, htmlCode, prose, row, tableHead, unbroken } from '../../text/markdown.js';
import { ageWords, briefWhy, whenUsed } from '../reasons.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../../run/run.js';
import type { Totals } from '../totals.js';
import { printable } from '../../text/printable.js';
import type { LastUse } from '../../plan/past.js';
import { count, digits, size } from '../../text/words.js';
import { list } from './list.js';

/** A repository with as many is folded. */
const FOLDED_ROWS = 20;
/** So many are open in all, and keep a run of 90 orphans below 3,500 pixels; the repositories after them are folded, too. */
const OPEN_ROWS = 24;
/** The head of a repository's table takes the room of so many rows. */
const HEAD_ROWS = 3;
/** Of more repositories than these, not even the lines that unfold them are open. */
const OPEN_REPOSITORIES = 15;
const TAG_LENGTH = 20;
/** So much Markdown fits into two lines of its column on GitHub's page. */
const MOST_FACTS = 90;

interface Group {
  readonly repository: RepositoryRun;
  readonly shown: readonly Judged[];
  readonly isFolded: boolean;
  /** the number of rows before its own */
  readonly start: number;
}

export function orphansSection(run: Run, sums: Totals): Section | undefined {
  const title = run.settings.dryRun ? 'What would be deleted' : 'What was deleted';
  return table(`### ${title}`, run, isFreed, sums.freedBytesByRepository);
}

/** Who has to approve their deletes wants to see them first. */
export function refusedOrphansSection(run: Run, sums: Totals): Section | undefined {
  const { dryRun, planFile } = run.settings;
  const real = dryRun ? 'What a real run would not delete' : 'What was found and not deleted';
  const [title, what] =
    planFile === undefined
      ? [real, 'These are orphans as well, but nothing is deleted in their repositories']
      : [
          'What a run without the plan would not delete',
          'These are in the plan as well, but a run without it deletes nothing in their repositories',
        ];
  const where = dryRun ? 'What would hold a real run back' : 'Problems';
  return table(
    `### ${title}\n\n${what}: see "${where}".`,
    run,
    ({ kind }) => kind === 'refused',
    sums.refusedBytesByRepository,
  );
}

/** So few that their cause, in the warnings, can be looked up one by one. */
export function undeletableOrphansSection(run: Run): Section | undefined {
  return table(
    '### What can\'t be deleted\n\nThese are orphans as well, and the registry refuses for good to delete them: see "Warnings".',
    run,
    ({ kind }) => kind === 'undeletable',
  );
}

function table(
  intro: string,
  run: Run,
  isShown: (fate: Fate) => boolean,
  freed: ReadonlyMap<string, number> = new Map(),
): Section | undefined {
  const groups = grouped(run, isShown);
  const total = groups.reduce((sum, { shown }) => sum + shown.length, 0);
  const openRepositories = groups.length > OPEN_REPOSITORIES ? 0 : Infinity;
  const openRows = openRepositories === 0 ? 0 : Infinity;
  const section = list(`${intro}\n\n`, { total, made: rowsOf(groups, run, freed) }, 'manifest', {
    openRows,
  });
  return section && { ...section, closing: (shown) => (isInFold(groups, shown) ? CLOSING : '') };
}

function grouped(run: Run, isShown: (fate: Fate) => boolean): readonly Group[] {
  let [start, open] = [0, 0];
  return repositoriesByName(run).flatMap((repository) => {
    const shown = judge(repository).filter(({ fate }) => isShown(fate));
    if (shown.length === 0) {
      return [];
    }
    const room = shown.length + HEAD_ROWS;
    const isFolded = shown.length >= FOLDED_ROWS || open + room > OPEN_ROWS;
    const group = { repository, shown, isFolded, start };
    open += isFolded ? 0 : room;
    start += shown.length;
    return [group];
  });
}

/** Whether a cut after so many rows is within a fold, which the rows themselves then don't close. */
function isInFold(groups: readonly Group[], shown: number): boolean {
  return groups.some(
    ({ isFolded, start, shown: rows }) => isFolded && start < shown && shown < start + rows.length,
  );
}

/** The first row of each repository carries the head of its table, so that a cut leaves whole tables. */
function* rowsOf(
  groups: readonly Group[],
  run: Run,
  freed: ReadonlyMap<string, number>,
): Generator<string> {
  const hasAge = groups.some(({ shown }) =>
    shown.some(({ orphan }) => ageWords(orphan.age, run.finishedAt) !== ''),
  );
  const head = tableHead(['Digest', 'What it was', 'Size>', ...(hasAge ? ['Age'] : []), 'Why']);
  for (const [at, { repository, shown, isFolded }] of groups.entries()) {
    const { inventory } = repository;
    const describe = describer(inventory);
    let before = `${at === 0 ? '' : '\n'}${title(repository, shown.length, isFolded, freed)}${head}`;
    for (const [index, { orphan }] of shown.entries()) {
      const manifest = inventory.manifests.get(orphan.digest);
      const cells = [
        code(digits(orphan.digest)),
        whatItWas(orphan, describe(orphan.digest), inventory),
        manifest === undefined ? '' : unbroken(size(contentBytes(manifest))),
        ...(hasAge ? [unbroken(ageWords(orphan.age, run.finishedAt))] : []),
        unbroken(briefWhy(orphan.reason)),
      ];
      const after = isFolded && index === shown.length - 1 ? CLOSING : '';
      yield before + row(cells) + after;
      before = '';
    }
  }
}

function title(
  { inventory: { repository } }: RepositoryRun,
  rows: number,
  isFolded: boolean,
  freed: ReadonlyMap<string, number>,
): string {
  const bytes = freed.get(repository);
  const numbers = `${count(rows, 'manifest')}${bytes === undefined ? '' : `, ${size(bytes)}`}`;
  return isFolded
    ? `<details><summary>${htmlCode(repository)} (${numbers})</summary>\n\n`
    : `**${code(repository)}** (${numbers})\n\n`;
}

function whatItWas(
  { digest, lastUse }: Orphan,
  description: Description,
  inventory: RepositoryRun['inventory'],
): string {
  const facts = [
    prose(label(description, true)),
    ...(lastUse === undefined ? [] : [lastUsed(lastUse)]),
  ].join(', ');
  return versionWords(versionOf(digest, inventory), lastUse?.tags)
    .map(unbroken)
    .reduce(
      (said, fact) => (said.length + fact.length > MOST_FACTS ? said : `${said}, ${fact}`),
      facts,
    );
}

/** The row has two lines, so one tag must do, and no line ends within the date. */
function lastUsed({ tags, until }: LastUse): string {
  const short = { tags: tags.map((tag) => printable(tag, TAG_LENGTH)), until };
  return whenUsed(short, 1).replace(/until .*$/, unbroken);
}
