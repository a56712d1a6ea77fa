/** The table by repository, and the pie of what each of them frees. */
import { addBytes } from '../bytes.js';
import type { Section } from '../fit.js';
import { code, mermaidLabel, row, tableHead, unbroken } from '../../text/markdown.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../../run/run.js';
import { countRepository, type Counts, type Totals } from '../totals.js';
import { count, number, size } from '../../text/words.js';
import { list } from './list.js';

const SLICES = 8;
/** A longer table is folded. */
const OPEN_ROWS = 19;
const NAME_LENGTH = 60;
/** Fewer slices say no more than the table, and nor does a pie that one of them fills. */
const LEAST_SLICES = 3;
const LARGEST_SHARE = 0.8;

/** Its title, and its number of one repository or of all. */
type Column = readonly [title: string, value: (counts: Counts) => number];

export function repositoriesSection(run: Run, sums: Totals): Section | undefined {
  const all = repositoriesByName(run).map((repository) => ({
    name: repository.inventory.repository,
    refused: refusalNote(repository, run),
    counts: countRepository(repository, run.settings.dryRun),
  }));
  // Repositories with orphans or gaps come first, so that they are there when the table is cut.
  const told = ({ counts }: { counts: Counts }) => counts.orphansFound + counts.gaps > 0;
  const sorted = [...all.filter(told), ...all.filter((one) => !told(one))];
  const verb = run.settings.dryRun ? 'Would delete>' : 'Deleted>';
  const columns: readonly Column[] = [
    ['Tags>', ({ tags }) => tags],
    ['Manifests>', ({ manifests }) => manifests],
    ['Orphans>', ({ orphansFound }) => orphansFound],
    [verb, ({ deleted, planned }) => deleted + planned],
    ['Failed>', ({ failed }) => failed],
    ["Can't be deleted>", ({ undeletable }) => undeletable],
    ['For later>', ({ postponed }) => postponed],
    ['Kept>', ({ kept }) => kept],
  ];
  const shown = columns.filter(([, value]) => value(sums) > 0);
  const frees = (bytes: number) => (sums.freedBytes > 0 ? [unbroken(size(bytes))] : []);
  const titles = [...shown.map(([title]) => title), ...(sums.freedBytes > 0 ? ['Frees>'] : [])];
  const cells = (first: string, counts: Counts, bytes: number) =>
    row([first, ...shown.map(([, value]) => number(value(counts))), ...frees(bytes)]);
  // At the top, where a cut leaves it.
  const total = cells(`**All ${number(all.length)}**`, sums, sums.freedBytes);
  return list(
    '### By repository\n\n',
    sorted.map(({ name, refused, counts }) => {
      const read = counts.gaps === 0 ? '' : ` (incomplete: ${count(counts.gaps, 'gap')})`;
      const bytes = sums.freedBytesByRepository.get(name) ?? 0;
      return cells(`${code(name, NAME_LENGTH)}${read}${refused}`, counts, bytes);
    }),
    'repository',
    {
      plural: 'repositories',
      head: tableHead(['Repository', ...titles]) + (all.length > 1 ? total : ''),
      openRows: OPEN_ROWS,
    },
  );
}

/** A real run tries in spite of `no-rights`, so that isn't a refusal. */
function refusalNote({ refusal }: RepositoryRun, { settings: { planFile } }: Run): string {
  const refused = planFile === undefined ? ' (refused)' : ' (refused without the plan)';
  const note = refusal?.kind === 'no-rights' ? ' (no right to delete)' : refused;
  return refusal === undefined ? '' : note;
}

/** Only where it says more than the table. */
export function pieSection(run: Run, sums: Totals): Section | undefined {
  const freed = [...sums.freedBytesByRepository].filter(([, bytes]) => bytes > 0);
  // Equal sizes stay in the order of their names: sort is stable.
  freed.sort(([, a], [, b]) => b - a);
  const others = freed.slice(SLICES);
  const rest = others.reduce((sum, [, bytes]) => addBytes(sum, bytes), 0);
  const largest = Math.max(rest, freed[0]?.[1] ?? 0);
  // Beside an open table, a pie that has to leave some out says less than that.
  const isTold = others.length > 0 && run.repositories.length <= OPEN_ROWS;
  if (isTold || freed.length < LEAST_SLICES || largest > LARGEST_SHARE * sums.freedBytes) {
    return undefined;
  }
  const slices = freed.slice(0, SLICES).map(([name, bytes]) => slice(name, bytes));
  if (others.length > 0) {
    slices.push(slice(count(others.length, 'other'), rest));
  }
  const title = run.settings.dryRun ? 'What would be freed' : 'What will be freed';
  return { before: `\`\`\`mermaid\npie title ${title}\n${slices.join('')}\`\`\`\n` };
}

function slice(name: string, bytes: number): string {
  return `  "${mermaidLabel(name)} (${size(bytes)})" : ${String(bytes)}\n`;
}
