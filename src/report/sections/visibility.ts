/**
 * The limits of what this run could see: "0 orphans" must never mean "could not read". Also the images that were
 * broken before the run.
 */
import type { Section } from '../fit.js';
import { code } from '../../text/markdown.js';
import { ledgerSentence } from '../ledger.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../../run/run.js';
import type { Totals } from '../totals.js';
import { count, number, shortDigest } from '../../text/words.js';
import { list } from './list.js';

/** For log and summary. */
export const DRY_RUN_DELETES =
  'A dry-run sends no DELETE, so it does not know whether the registry takes any: a real run finds out before its ' +
  'first delete, or by it. Nor does it know whether these credentials may delete, unless the registry or a token of it ' +
  'says so.';

export function visibilitySection(run: Run, sums: Totals): Section {
  const points = [
    listing(run, sums),
    ledgerSentence(run),
    ...(run.settings.dryRun ? [DRY_RUN_DELETES] : []),
    ...scope(run, sums),
    ...lines(run),
  ];
  return {
    before: `### What could not be seen\n\n${points.map((point) => `- ${point}\n`).join('')}`,
  };
}

function listing(run: Run, sums: Totals): string {
  const { named, found, absent } = intakeCounts(run);
  const isRemembered = (run.ledger?.remembered ?? 0) > 0;
  if (run.applied !== undefined) {
    return 'This run read only the repositories of the plan, and was to delete only what the plan lists. Other orphans stay.';
  }
  if (run.untaggedListing === 'complete') {
    return `${run.family} lists every manifest of a repository, tagged or not. All of them were considered.`;
  }
  const ledger = isRemembered ? ' that the ledger remembers,' : '';
  const cannot =
    run.untaggedListing === 'none'
      ? `This registry has no route that lists untagged manifests. Only manifests that a tag names, that an input names,${ledger} or that one of these refers to were considered; any other can't be seen and is in none of the numbers here.`
      : `${run.family} lists the manifests of a repository, but not those that were pushed by digest alone, as signatures and other referrers are. Such a manifest was considered only where an input names it,${ledger} or another manifest refers to it; any other can't be seen, is in none of the numbers here, and stays.`;
  // The first run's hint, at the top, says what to give.
  if (named === 0) {
    return cannot;
  }
  const missing =
    absent === 0 ? '' : `, ${number(absent)} no longer ${absent === 1 ? 'exists' : 'exist'}`;
  return `${cannot} The inputs named ${count(named, 'manifest')}: ${number(found)} of them ${found === 1 ? 'is' : 'are'} among the ${count(sums.manifests, 'manifest')} that were read${missing}.`;
}

/** The numbers of the input's manifests in repositories that were scanned. */
function intakeCounts(run: Run): { named: number; found: number; absent: number } {
  const sums = { named: 0, found: 0, absent: 0 };
  const names = new Map(run.repositories.map(({ inventory }) => [inventory.repository, inventory]));
  for (const [repository, digests] of run.intake.candidates) {
    const inventory = names.get(repository);
    sums.named += digests.size;
    for (const digest of digests) {
      sums.found += Number(inventory?.manifests.has(digest) === true);
      sums.absent += Number(inventory?.absent.has(digest) === true);
    }
  }
  return sums;
}

function scope(run: Run, sums: Totals): readonly string[] {
  const { ignoredCandidates: ignored, unnameableRepositories: unnameable } = run;
  // A plan leaves repositories out, too.
  const where = run.applied === undefined ? '`repositories` leaves out' : 'were not read';
  const things = sums.gaps === 1 ? 'One thing' : `${number(sums.gaps)} things`;
  return [
    ignored > 0 &&
      `${count(ignored, 'named manifest')} in repositories that ${where} ${ignored === 1 ? 'was' : 'were'} ignored.`,
    unnameable > 0 &&
      `${count(unnameable, 'repository', 'repositories')} of the catalog can't be asked for: the OCI specification does not allow ${unnameable === 1 ? 'its name' : 'their names'}.`,
    !run.everyRepositoryScanned && 'Not every repository of this registry was scanned.',
    sums.gaps > 0 && `${things} that had to be read couldn't be: see "Problems".`,
  ].filter((point) => point !== false);
}

function lines(run: Run): readonly string[] {
  const { understood, notUnderstood, examples } = run.intake;
  if (notUnderstood === 0) {
    return understood === 0 ? [] : [`The inputs had ${count(understood, 'line')}, all understood.`];
  }
  const shown = examples.map(({ where, text }) => `\n  - ${code(where)}: ${code(text, 200)}`);
  const first = shown.length === 0 ? '.' : `${notUnderstood > shown.length ? '. The first' : ''}:`;
  return [
    `The inputs had ${count(understood + notUnderstood, 'line')}: ${number(understood)} understood, ${number(notUnderstood)} not${first}${shown.join('')}`,
  ];
}

/** Tags without a manifest, and kept indexes that miss a child: broken before this run, and left alone. */
export function brokenBeforeSection(run: Run): Section | undefined {
  const rows = repositoriesByName(run).flatMap(brokenBefore);
  return list(
    `### Broken before this run (${number(rows.length)})\n\nThe registry has lost a part of these images. This run left them as they are. To repair an image, push it again.\n\n`,
    rows,
    'broken image',
  );
}

function brokenBefore({ inventory, plan }: RepositoryRun): readonly string[] {
  const name = inventory.repository;
  const tags = [...inventory.brokenTags]
    .sort()
    .map((tag) => `- ${code(`${name}:${tag}`)}: its manifest is missing\n`);
  const indexes = plan.keep.flatMap(({ digest }) => {
    const manifest = inventory.manifests.get(digest);
    const missing = (manifest?.kind === 'index' ? manifest.children : []).filter((child) =>
      inventory.absent.has(child.digest),
    );
    const [first] = missing;
    if (first === undefined) {
      return [];
    }
    const more = missing.length > 1 ? ` and ${number(missing.length - 1)} more` : '';
    return [
      `- ${code(`${name}@${digest}`)}: it lists ${code(shortDigest(first.digest))}${more}, which the registry no longer has\n`,
    ];
  });
  return [...tags, ...indexes];
}
