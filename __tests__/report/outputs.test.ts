import { describe, expect, it } from '@jest/globals';

import { deletedDigests, outputs } from '../../src/report/outputs.js';
import {
  blindDryRun,
  cleanRun,
  dry,
  d,
  guardedDryRun,
  guardedRun,
  quotaRun,
  troubledRun,
} from '../support/builders/examples.js';

describe('outputs', () => {
  it('tell the numbers of a clean run', () => {
    const { 'deleted-digests': digests, ...numbers } = outputs(cleanRun());
    expect(numbers).toEqual({
      'orphans-found': '6',
      'deleted-count': '6',
      'kept-count': '5',
      'failed-count': '0',
      'remaining-count': '0',
      'freed-bytes': '1368041140',
      'backup-dir': '',
    });
    expect(JSON.parse(digests ?? '')).toEqual([
      `team/api@${d('team/api old')}`,
      ...['old index', 'old amd64', 'old arm64', 'old attestation', 'old signature'].map(
        (name) => `team/web@${d(name)}`,
      ),
    ]);
  });

  it('tell the numbers of a troubled run', () => {
    expect(outputs(troubledRun())).toMatchObject({
      'orphans-found': '2',
      'deleted-count': '1',
      'failed-count': '1',
    });
  });

  it('count what brakes refused as failed, and what was restored not', () => {
    const { 'deleted-digests': digests, ...numbers } = outputs(guardedRun());
    expect(numbers).toEqual({
      'orphans-found': '11',
      'deleted-count': '5',
      'kept-count': '9',
      'failed-count': '5',
      'remaining-count': '0',
      'freed-bytes': '618048140',
      'backup-dir': '/home/runner/work/_temp/manifest-backup',
    });
    expect(digests).toContain(d('old arm64'));
    expect(digests).not.toContain(d('old amd64'));
  });

  it('tell what a used-up quota left for a later run, which has not failed', () => {
    const { 'deleted-digests': digests, ...numbers } = outputs(quotaRun());
    expect(numbers).toEqual({
      'orphans-found': '8',
      'deleted-count': '2',
      'kept-count': '7',
      'failed-count': '0',
      'remaining-count': '2',
      'freed-bytes': '150004240',
      'backup-dir': '/home/runner/work/_temp/manifest-backup',
    });
    expect(JSON.parse(digests ?? '')).toEqual([
      `acme/api@${d('acme/api old')}`,
      `acme/web@${d('old signature')}`,
    ]);
  });

  it('count nothing as failed in a dry-run in which brakes held', () => {
    expect(outputs(guardedDryRun())).toEqual({
      'orphans-found': '12',
      'deleted-count': '0',
      'deleted-digests': '[]',
      'kept-count': '8',
      'failed-count': '0',
      'remaining-count': '0',
      'freed-bytes': '1218050140',
      'backup-dir': '',
    });
  });

  it.each([
    ['without orphans', blindDryRun()],
    ['with orphans', dry(cleanRun())],
  ])('say of a dry-run %s that nothing was deleted', (_, made) => {
    expect(outputs(made)).toMatchObject({ 'deleted-count': '0', 'deleted-digests': '[]' });
  });

  it('say in the list itself how many digests were cut', () => {
    const { json: text, cut } = deletedDigests(cleanRun(), 300);
    expect(cut).toBe(3);
    expect(text.length).toBeLessThanOrEqual(300);
    expect(JSON.parse(text)).toEqual([
      `team/api@${d('team/api old')}`,
      `team/web@${d('old index')}`,
      `team/web@${d('old amd64')}`,
      { cut: 3 },
    ]);
  });
});
