/** The table by repository, and the pie of what each of them frees. */
import { addBytes } from '../bytes.js';
import type { Section } from '../fit.js';
import { code, mermaidLabel, row, tableHead } from '../../text/markdown.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../../run/run.js';
import { countRepository, type Counts, type Totals } from '../totals.js';
import { count, number, size } from '../../text/words.js';
import { list } from './list.js';

const SLICES = 8;
const OPEN_ROWS = 30;

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
  // Most registries know neither, and a table is easier to read without columns of zeros.
  const rare = [
    { title: "Can't be deleted>", key: 'undeletable' },
    { title: 'For later>', key: 'postponed' },
  ] as const;
  const extra = rare.filter(({ key }) => sums[key] > 0);
  const titles = extra.map(({ title }) => title);
  const columns = [
    'Tags>',
    'Manifests>',
    'Orphans>',
    verb,
    'Failed>',
    ...titles,
    'Kept>',
    'Frees>',
  ];
  return list(
    '### By repository\n\n',
    sorted.map(({ name, refused, counts }) => {
      const read = counts.gaps === 0 ? '' : ` (incomplete: ${count(counts.gaps, 'gap')})`;
      const { tags, manifests, orphansFound, deleted, planned, failed, kept } = counts;
      return row([
        `${code(name)}${read}${refused}`,
        ...[tags, manifests, orphansFound, deleted + planned, failed].map(number),
        ...extra.map(({ key }) => number(counts[key])),
        number(kept),
        size(sums.freedBytesByRepository.get(name) ?? 0),
      ]);
    }),
    'repository',
    { plural: 'repositories', head: tableHead(['Repository', ...columns]), openRows: OPEN_ROWS },
  );
}

/** A real run tries in spite of `no-rights`, so that isn't a refusal. */
function refusalNote({ refusal }: RepositoryRun, { settings: { planFile } }: Run): string {
  const refused = planFile === undefined ? ' (refused)' : ' (refused without the plan)';
  const note = refusal?.kind === 'no-rights' ? ' (no right to delete)' : refused;
  return refusal === undefined ? '' : note;
}

/** Only where there is something to compare. */
export function pieSection(run: Run, sums: Totals): Section | undefined {
  const freed = [...sums.freedBytesByRepository].filter(([, bytes]) => bytes > 0);
  if (freed.length < 2) {
    return undefined;
  }
  // Equal sizes stay in the order of their names: sort is stable.
  freed.sort(([, a], [, b]) => b - a);
  const others = freed.slice(SLICES);
  const rest = others.reduce((sum, [, bytes]) => addBytes(sum, bytes), 0);
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
