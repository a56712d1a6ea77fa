/** The ledger's part in this run, in sentences for log and summary. */
import type { Run } from '../run/run.js';
import { count } from '../text/words.js';

const APART = 'this run knew nothing of earlier ones, and later ones will know nothing of it';

/** Plain text that is safe in Markdown, too: the ledger's name is one that the OCI spec allows. */
export function ledgerSentence({ ledger, untaggedListing, settings: { dryRun } }: Run): string {
  const isListed = untaggedListing !== 'none';
  if (ledger === undefined && isListed) {
    return 'No ledger was needed: the registry lists its manifests itself.';
  }
  if (ledger === undefined) {
    return `The ledger is switched off (\`ledger-repository: off\`): ${APART}.`;
  }
  const name = `\`${ledger.repository}\``;
  const isFailed = ledger.failures.length > 0;
  const isWarned = ledger.warnings.length > 0;
  const pointer = isFailed ? ' (see the problems)' : isWarned ? ' (see the warnings)' : '';
  const where = count(ledger.written, 'repository', 'repositories');
  if (!ledger.isReadable) {
    return `The ledger in ${name} could not be read${pointer}: ${APART}.`;
  }
  if (ledger.existed) {
    const what = ledger.remembered === 0 ? 'nothing' : count(ledger.remembered, 'manifest');
    const changed = ledger.written === 0 ? '' : ` This run updated it for ${where}.`;
    const missed = isListed
      ? ''
      : ' Manifests that were pushed and lost their tag between two runs are not in it, because no run saw them.';
    return `The ledger in ${name} remembered ${what} of these repositories from earlier runs.${changed}${missed}`;
  }
  if (dryRun) {
    return `There is no ledger in ${name} yet, and a dry-run writes none: the first real run begins it.`;
  }
  if (ledger.written === 0) {
    return `There is no ledger in ${name} yet, and this run wrote none${pointer}.`;
  }
  if (isListed) {
    return (
      `This run began a ledger in ${name}. It remembers the manifests of ${where}, so that later runs read only those ` +
      'that are new.'
    );
  }
  return (
    `This run began a ledger in ${name}, because this registry can't list untagged manifests. It remembers what ` +
    `was seen in ${where}, so that later runs find what nothing uses any more. Orphans from before it are ` +
    "not in it: give `digests-file` a listing of the registry's storage once, and they are found."
  );
}
