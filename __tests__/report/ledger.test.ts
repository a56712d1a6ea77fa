import { describe, expect, it } from '@jest/globals';

import { ledgerSentence } from '../../src/report/ledger.js';
import type { Run } from '../../src/run/run.js';
import { renderSummary } from '../../src/report/summary.js';
import { blindDryRun, cleanRun, firstRun, ledger, run } from '../support/builders/examples.js';

const NONE = { existed: false, remembered: 0 };
const APART = 'this run knew nothing of earlier ones, and later ones will know nothing of it.';
const MISSED =
  'Manifests that were pushed and lost their tag between two runs are not in it, because no run saw them.';

describe('the sentence about the ledger', () => {
  it.each<[string, Run, string]>([
    ['switched off', run([]), `The ledger is switched off (\`ledger-repository: off\`): ${APART}`],
    [
      'unreadable, which the account may not change',
      run([], { ledger: ledger({ ...NONE, isReadable: false, warnings: ['403'] }) }),
      `The ledger in \`manifest-cleanup-ledger\` could not be read (see the warnings): ${APART}`,
    ],
    [
      'unreadable by a failure',
      run([], { ledger: ledger({ ...NONE, isReadable: false, failures: ['500'] }) }),
      `The ledger in \`manifest-cleanup-ledger\` could not be read (see the problems): ${APART}`,
    ],
    [
      'read, and nothing was new',
      run([], { ledger: ledger() }),
      `The ledger in \`manifest-cleanup-ledger\` remembered 9 manifests of these repositories from earlier runs. ${MISSED}`,
    ],
    [
      'read and written',
      run([], { ledger: ledger({ written: 1, remembered: 1, repository: 'team/memory' }) }),
      'The ledger in `team/memory` remembered 1 manifest of these repositories from earlier runs. ' +
        `This run updated it for 1 repository. ${MISSED}`,
    ],
    [
      'of other repositories so far',
      run([], { ledger: ledger({ written: 1_200, remembered: 0 }) }),
      'The ledger in `manifest-cleanup-ledger` remembered nothing of these repositories from earlier runs. ' +
        `This run updated it for 1,200 repositories. ${MISSED}`,
    ],
    [
      'read by a dry-run',
      { ...blindDryRun(), ledger: ledger({ remembered: 12_345 }) },
      `The ledger in \`manifest-cleanup-ledger\` remembered 12,345 manifests of these repositories from earlier runs. ${MISSED}`,
    ],
    [
      'missing in a dry-run',
      blindDryRun(),
      'There is no ledger in `manifest-cleanup-ledger` yet, and a dry-run writes none: the first real run begins it.',
    ],
    [
      'begun',
      firstRun(),
      "This run began a ledger in `manifest-cleanup-ledger`, because this registry can't list untagged manifests. " +
        'It remembers what was seen in 2 repositories, so that later runs find what nothing uses any more. ' +
        "Orphans from before it are not in it: give `digests-file` a listing of the registry's storage once, and they are found.",
    ],
    [
      'read, on a registry that lists its manifests',
      run([], { ledger: ledger({ written: 1 }), untaggedListing: 'complete' }),
      'The ledger in `manifest-cleanup-ledger` remembered 9 manifests of these repositories from earlier runs. ' +
        'This run updated it for 1 repository.',
    ],
    [
      'begun, on a registry that lists its manifests',
      { ...firstRun(), untaggedListing: 'complete' },
      'This run began a ledger in `manifest-cleanup-ledger`. It remembers the manifests of 2 repositories, so that later ' +
        'runs read only those that are new.',
    ],
    [
      'not begun, for there was nothing to remember',
      run([], { ledger: ledger(NONE) }),
      'There is no ledger in `manifest-cleanup-ledger` yet, and this run wrote none.',
    ],
    [
      'not begun, for lack of rights',
      run([], { ledger: ledger({ ...NONE, warnings: ['403'] }) }),
      'There is no ledger in `manifest-cleanup-ledger` yet, and this run wrote none (see the warnings).',
    ],
    [
      'not begun, by a failure',
      run([], { ledger: ledger({ ...NONE, warnings: ['403'], failures: ['500'] }) }),
      'There is no ledger in `manifest-cleanup-ledger` yet, and this run wrote none (see the problems).',
    ],
  ])('says so where the ledger is %s', (_, made, sentence) => {
    expect(ledgerSentence(made)).toBe(sentence);
    expect(renderSummary(made)).toContain(`\n- ${sentence}\n`);
  });
});

describe('the section of what could not be seen', () => {
  const ADVICE = 'To find the rest, list what the storage';
  const advices = (made: Run) => renderSummary(made).split(ADVICE).length - 1;

  it.each<[string, Run['ledger'], number]>([
    ['no ledger at all', undefined, 1],
    ['one that begins', ledger({ ...NONE, written: 2 }), 1],
    ['one that could not begin', ledger({ ...NONE, warnings: ['403'] }), 1],
    ['one that could not be read', ledger({ ...NONE, isReadable: false }), 1],
    ['one that knows nothing of these repositories', ledger({ remembered: 0 }), 1],
    ['one that remembers', ledger(), 0],
  ])('asks once for a listing of the storage where nothing else helps: %s', (_, news, times) => {
    const { ledger: _none, ...made } = firstRun();
    expect(advices(news === undefined ? made : { ...made, ledger: news })).toBe(times);
  });

  it('names the ledger as a source only where it remembers something', () => {
    const remembers = ', that the ledger remembers, or';
    expect(renderSummary(cleanRun())).toContain(remembers);
    expect(renderSummary({ ...cleanRun(), ledger: ledger({ remembered: 0 }) })).not.toContain(
      remembers,
    );
  });
});
