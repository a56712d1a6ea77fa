/** What the columns and the time rules mean: once, at the end, with links to the pages that say more. */
import type { Section } from '../fit.js';
import { pageLink } from '../../text/pages.js';
import type { Run } from '../../run/run.js';
import type { Totals } from '../totals.js';
import { duration } from '../../text/words.js';

export function explanationsSection(run: Run, sums: Totals): Section | undefined {
  if (run.repositories.length === 0) {
    return undefined;
  }
  const { gracePeriod, unusedFor } = run.settings;
  const hasTable = sums.deleted + sums.planned + sums.refused + sums.undeletable > 0;
  // A registry with a list may tell when a manifest last changed, and losing a tag is a change.
  const neverSeen =
    run.untaggedListing === 'none' ? " It doesn't protect what no run ever saw in use." : '';
  const points = [
    hasTable &&
      'A size counts the manifest with its config and layers, shared ones too; an index counts alone.',
    hasTable &&
      '"Pushed" is from the registry\'s list, "built" from the image\'s config, and "seen" from the ledger\'s first look.',
    sums.freedBytes > 0 &&
      'What is freed counts each blob once, and none that something kept needs.',
    sums.freedBytes > 0 &&
      sums.freedBytesAtMost &&
      'It says "at most", because not everything that may share these blobs was read.',
    gracePeriod === 0
      ? '`grace-period` is off: a manifest of a push under way may be deleted.'
      : `\`grace-period\` (${duration(gracePeriod)}) protects pushes under way: what is younger stays. It doesn't protect an old image whose tag has just moved.`,
    unusedFor === 0
      ? '`unused-for` is off: what lost its last tag is deleted at the first look.'
      : `\`unused-for\` (${duration(unusedFor)}) protects what was in use before: it stays until it was out of use for that long.${neverSeen}`,
  ].filter((point) => point !== false);
  return {
    before: `### How to read this\n\n${points.map((point) => `- ${point}\n`).join('')}\n[How it decides](${pageLink('docs/how-it-decides.md', run.pages)}) says more.\n`,
  };
}
