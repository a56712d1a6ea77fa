import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { NEWEST_PAGES as PAGES } from '../../src/text/pages.js';
import { createLog } from '../../src/action/log.js';
import { startRunner, type Runner } from '../support/scenes/runner.js';

describe('createLog', () => {
  let runner: Runner;
  beforeEach(() => {
    runner = startRunner();
  });
  afterEach(() => {
    runner.restore();
  });
  const log = createLog((text) => text.replaceAll('hunter2', '***'), PAGES);

  it('prints information on one line', () => {
    log.info('a\nb ::c hunter2');
    expect(runner.lines()).toEqual(['a b : :c ***']);
  });

  it('prints a group at once, and closes it', () => {
    log.group('team/app\n::error::x', ['::error::y', 'hunter2']);
    expect(runner.lines()).toEqual([
      '::group::team/app : :error: :x',
      ': :error: :y',
      '***',
      '::endgroup::',
    ]);
  });

  it('keeps the lines of an annotation inside one command', () => {
    log.warning('first hunter2\n::error::second');
    log.error('one\ntwo');
    expect(runner.lines()).toEqual([
      '::warning::first ***%0A: :error: :second',
      '::error::one%0Atwo',
    ]);
  });

  it('ends a warning and an error with a link to what the docs say of their code', () => {
    log.warning('it is slow [rate-limited]');
    log.error('two mistakes:\n- a\n- b [inputs-invalid]');
    log.info('quoted [rate-limited]');
    const page = `${PAGES}/docs/troubleshooting.md`;
    expect(runner.lines()).toEqual([
      `::warning::it is slow [rate-limited] ${page}#rate-limited`,
      `::error::two mistakes:%0A- a%0A- b [inputs-invalid] ${page}#inputs-invalid`,
      'quoted [rate-limited]',
    ]);
  });

  it('prints debug lines only when the runner wants them', () => {
    runner.env('RUNNER_DEBUG', '1');
    log.debug('GET hunter2\n::x');
    runner.env('RUNNER_DEBUG', undefined);
    log.debug('more');
    expect(runner.lines()).toEqual(['::debug::GET *** : :x']);
  });

  it('takes a secret out before a line end could part it', () => {
    const parted = createLog((text) => text.replaceAll('hun\nter2', '***'), PAGES);
    parted.info('a hun\nter2 b');
    parted.error('a hun\nter2 b');
    expect(runner.lines()).toEqual(['a *** b', '::error::a *** b']);
  });
});
