/** The manifests without a tag of their own that a file or the input `protect` saved. */
import { PROTECT } from '../../plan/protection.js';
import { describer, label } from '../describe.js';
import type { Section } from '../fit.js';
import { code, prose, row, tableHead } from '../../text/markdown.js';
import { protectors, throughBlob } from '../reasons.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../../run/run.js';
import { count, digits, number } from '../../text/words.js';
import { list } from './list.js';

const OPEN_ROWS = 19;
/** More than these, and the input likely names a repository whole. */
const MOST_BY_INPUT = 10;

export function protectedManifestsSection(run: Run): Section | undefined {
  const rows = repositoriesByName(run).flatMap(rowsOf);
  if (run.pinned.files === 0 && rows.length === 0) {
    return undefined;
  }
  const title = `### What is protected\n\n${named(run.pinned)}`;
  if (rows.length === 0) {
    const { digests, unmet } = run.pinned;
    const rest =
      digests === unmet
        ? 'So it protects nothing here.'
        : 'Those that were found have a tag, and would stay without it.';
    return { before: `${title}${digests === 0 ? '' : rest}`.trimEnd() + '\n' };
  }
  return list(
    `${title}These manifests have no tag of their own and stay all the same, with everything that they reach.\n\n`,
    rows,
    'row',
    { head: tableHead(['Manifest', 'What it is', 'Protected by']), openRows: OPEN_ROWS },
  );
}

/** The result of `protect-files`: nobody should believe in a protection that isn't there. */
function named({ files, digests, unmet }: Run['pinned']): string {
  if (files === 0) {
    return '';
  }
  const read = `\`protect-files\` named ${count(digests, 'digest')} in ${count(files, 'file')}`;
  if (digests === 0) {
    return `${read}: it protects nothing. `;
  }
  const none = `${number(unmet)} of ${count(digests, 'digest')} ${unmet === 1 ? 'was' : 'were'} found in none of the repositories that this run read`;
  const why = 'a digest without a tag is looked for only where something would be deleted';
  return unmet === 0 ? `${read}. ` : `${read}. ${none} (${why}). `;
}

function rowsOf({ inventory, plan }: RepositoryRun): string[] {
  const saved = plan.keep.flatMap(({ digest, reason }) =>
    reason.kind === 'protected' ? [{ ...reason, digest }] : [],
  );
  const byFiles = saved.filter(({ by }) => by.some((one) => one !== PROTECT));
  const onlyByInput = saved.length - byFiles.length;
  const isWhole = onlyByInput > MOST_BY_INPUT;
  const describe = describer(inventory);
  const rows = (isWhole ? byFiles : saved).map(({ digest, by, blob }) =>
    row([
      code(`${inventory.repository}@${digits(digest)}`),
      prose(label(describe(digest), true)),
      `${protectors(by)}${throughBlob(blob)}`,
    ]),
  );
  const rest = [code(inventory.repository), count(onlyByInput, 'manifest'), PROTECT];
  return isWhole ? [...rows, row(rest)] : rows;
}
