import { readFileSync } from 'node:fs';

import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

import { anchorsOf } from '../../scripts/links.js';
import { firstRunHint, firstRunNote } from '../../src/report/first-run.js';
import { renderSummary } from '../../src/report/summary.js';
import type { Run } from '../../src/run/run.js';
import {
  appliedRun,
  blindDryRun,
  d,
  firstRun,
  ledger,
  quotaRun,
  run,
} from '../support/builders/examples.js';

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const [one] = firstRun().repositories as [Run['repositories'][number]];

/** The block of code of this language. */
function blockOf(markdown: string | undefined, language: string): string {
  return markdown?.split(`\`\`\`${language}\n`)[1]?.split('\n```')[0] ?? '';
}

const FIND = "find /var/lib/registry -path '*/_manifests/revisions/*' -name link > manifests.txt";

describe('the hint of a first run', () => {
  it.each([
    ['a dry-run', blindDryRun()],
    ['a real run, which begins the ledger', firstRun()],
    ['a run without a ledger', { ...firstRun(), ledger: undefined }],
  ])('is given to %s', (_, made) => {
    expect(firstRunHint(made)).toBeDefined();
    expect(firstRunNote(made)).toBeDefined();
  });

  it('stands once in the summary, where the run found orphans as well as where it found none', () => {
    for (const made of [blindDryRun(), firstRun()]) {
      expect(renderSummary(made).split(firstRunHint(made) ?? '?')).toHaveLength(2);
    }
  });

  const candidates = new Map([['team/api', new Set([d('x')])]]);
  it.each([
    ['the registry lists its manifests', quotaRun()],
    ['the ledger remembers some', { ...firstRun(), ledger: ledger() }],
    [
      'an input named some',
      { ...firstRun(), intake: { candidates, understood: 1, notUnderstood: 0, examples: [] } },
    ],
    ['a plan was carried out', appliedRun()],
    ['nothing was read', run([])],
  ])('is not given where %s', (_, made) => {
    expect(firstRunHint(made)).toBeUndefined();
    expect(firstRunNote(made)).toBeUndefined();
  });

  it('has the very command of the README', () => {
    const command = blockOf(firstRunHint({ ...firstRun(), everyRepositoryScanned: true }), 'sh');
    expect(command).toBe(FIND);
    expect(read('README.md')).toContain(`   ${command}\n`);
  });

  it('lists one repository alone where the run read only that', () => {
    const made = { ...firstRun(), repositories: [one], everyRepositoryScanned: false };
    const command =
      'find /var/lib/registry/docker/registry/v2/repositories/team/api ' +
      "-path '*/_manifests/revisions/*' -name link > manifests.txt";
    expect(blockOf(firstRunHint(made), 'sh')).toBe(command);
    expect(firstRunNote(made)).toContain(command);
    // Perhaps one of many, of which the others could not be read.
    expect(blockOf(firstRunHint({ ...made, unread: 1 }), 'sh')).toBe(FIND);
  });

  it.each(["team/a'b", 'team/$(x)', 'team/a b', '-team', 'team/`x`\n```'])(
    'puts no name into the command that a shell could take for more: %j',
    (repository) => {
      const inventory = { ...one.inventory, repository };
      const made = {
        ...firstRun(),
        repositories: [{ ...one, inventory }],
        everyRepositoryScanned: false,
      };
      expect(blockOf(firstRunHint(made), 'sh')).toBe(FIND);
    },
  );

  it.each([
    ['https://registry.example.com', 'registry.example.com'],
    ['https://registry.example.com:5000', 'registry.example.com:5000'],
    ['http://localhost:5000', 'http://localhost:5000'],
  ])('gives the inputs of the next dry-run on %s', (origin, url) => {
    const made = run([one], { registry: new URL(origin) });
    expect(parse(blockOf(firstRunHint(made), 'yaml'))).toEqual({
      'registry-url': url,
      'digests-file': 'manifests.txt',
      'dry-run': true,
    });
    expect(firstRunNote(made)).toContain(new URL(origin).host);
  });

  it('links to pages and anchors that there are', () => {
    const links = [...(firstRunHint(firstRun()) ?? '').matchAll(/\]\((\S+?)\)/g)].map(
      ([, link = '']) => new URL(link),
    );
    expect(links).toHaveLength(2);
    const base = '/registry-manifest-cleanup/registry-manifest-cleanup/blob/v1/';
    for (const { pathname, hash } of links) {
      const text = read(pathname.replace(base, ''));
      expect(hash === '' || anchorsOf(text).has(hash.slice(1))).toBe(true);
    }
    const [first] = links as [URL];
    expect(firstRunNote(firstRun())).toContain(first.href);
  });

  it('is one line in the log', () => {
    expect(firstRunNote(firstRun())).not.toContain('\n');
  });
});
