/** Which file, or the input `protect`, saved which manifest: of those that have no tag of their own. */
import type { Digest } from '../../oci/digest.js';
import { PROTECT, type Protector } from '../../protection/protection.js';
import { describer, label } from '../describe.js';
import type { Section } from '../fit.js';
import { code, prose, row, tableHead } from '../markdown.js';
import { protectors } from '../reasons.js';
import { repositoriesByName, type RepositoryRun, type Run } from '../run.js';
import { count } from '../words.js';
import { moreIn } from './more.js';

const OPEN_ROWS = 30;
/** More than these, and the input likely names a repository whole. */
const MOST_BY_INPUT = 10;

interface Saved {
  readonly digest: Digest;
  readonly by: readonly Protector[];
}

export function protectedSection(run: Run): Section | undefined {
  const rows = repositoriesByName(run).flatMap(rowsOf);
  const { files, digests } = run.pinned;
  if (files === 0 && rows.length === 0) {
    return undefined;
  }
  const read =
    files === 0
      ? ''
      : `\`protect-files\` named ${count(digests, 'digest')} in ${count(files, 'file')}. `;
  const title = `### What is protected\n\n${read}`;
  if (rows.length === 0) {
    return {
      before: `${title}None of them had to be saved here: what was found of them has a tag.\n`,
    };
  }
  const folded = rows.length > OPEN_ROWS;
  const fold = folded ? `<details><summary>${count(rows.length, 'row')}</summary>\n\n` : '';
  return {
    before: `${title}These manifests have no tag of their own and stay all the same, with everything that they reach.\n\n${fold}${tableHead(['Manifest', 'What it is', 'Protected by'])}`,
    rows,
    total: rows.length,
    cut: (left) => moreIn(left, 'row'),
    after: folded ? '\n</details>\n' : '',
  };
}

function rowsOf({ inventory, plan }: RepositoryRun): string[] {
  const saved = plan.keep.flatMap(({ digest, reason }): Saved[] =>
    reason.kind === 'protected' ? [{ digest, by: reason.by }] : [],
  );
  const byInput = saved.filter(isByInput).length;
  const isWhole = byInput > MOST_BY_INPUT;
  const shown = isWhole ? saved.filter((one) => !isByInput(one)) : saved;
  const describe = describer(inventory);
  const rows = shown.map(({ digest, by }) =>
    row([
      code(`${inventory.repository}@${digest}`, 400),
      prose(label(describe(digest))),
      protectors(by),
    ]),
  );
  const rest = [code(inventory.repository), count(byInput, 'manifest'), PROTECT];
  return isWhole ? [...rows, row(rest)] : rows;
}

/** And by nothing else. */
function isByInput({ by }: Saved): boolean {
  return by.every((one) => one === PROTECT);
}
