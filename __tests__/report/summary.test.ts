import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { Manifest } from '../../src/oci/manifest.js';
import type { RepositoryRun, Run } from '../../src/report/run.js';
import { renderSummary } from '../../src/report/summary.js';
import {
  blindDryRun,
  blob,
  byDigest,
  child,
  cleanRun,
  d,
  image,
  index,
  inventory,
  kept,
  moved,
  NOW,
  orphan,
  outcome,
  plan,
  run,
  troubledRun,
} from './examples.js';

const LIMIT = 1_000_000;

function expected(name: string): string {
  return readFileSync(fileURLToPath(new URL(`expected/${name}.txt`, import.meta.url)), 'utf8');
}

function headlineOf(of: Run): string {
  return renderSummary(of).split('\n', 1)[0] ?? '';
}

/** A repository of which only the ends of its orphans matter. */
function ended(
  ends: Partial<Parameters<typeof outcome>[1]>,
  names: readonly string[],
): RepositoryRun {
  return {
    inventory: inventory('a', { manifests: byDigest(...names.map((name) => image(name))) }),
    plan: plan('a', { orphans: names.map((name) => orphan(name)) }),
    outcome: outcome('a', ends),
    warnings: [],
  };
}

describe('renderSummary', () => {
  it.each([
    { name: 'clean', made: cleanRun() },
    { name: 'blind', made: blindDryRun() },
    { name: 'troubled', made: troubledRun() },
  ])('of the $name run is as in expected/$name.txt', ({ name, made }) => {
    expect(renderSummary(made)).toBe(expected(name));
  });

  it('does not depend on the order of repositories', () => {
    const forward = cleanRun();
    const backward = { ...forward, repositories: [...forward.repositories].reverse() };
    expect(renderSummary(backward)).toBe(renderSummary(forward));
  });

  const refused = { digest: d('x'), why: 'refused' };
  it.each([
    [
      '## Deleted 1 orphan manifest in 1 repository: 2 kB will be freed',
      run([ended({ deleted: [d('x')] }, ['x'])]),
    ],
    [
      '## Would delete 1 orphan manifest in 1 repository: 2 kB would be freed',
      run([ended({}, ['x'])], { dryRun: true }),
    ],
    [
      '## Would delete 1 orphan manifest in 1 repository: at most 2 kB would be freed',
      run([ended({}, ['x'])], { dryRun: true, everyRepositoryScanned: false }),
    ],
    [
      '## Deleted 1 of 2 orphan manifests in 1 repository: 2 kB will be freed (with 1 problem)',
      run([ended({ deleted: [d('y')], failed: [refused] }, ['x', 'y'])]),
    ],
    [
      '## Deleted none of 1 orphan manifest (with 1 problem)',
      run([ended({ failed: [refused] }, ['x'])]),
    ],
    [
      '## 1 orphan manifest found, already gone when its turn came',
      run([ended({ gone: [d('x')] }, ['x'])]),
    ],
    [
      '## Deleted nothing: a second look left none of 1 orphan manifest to delete',
      run([
        ended({ spared: [{ digest: d('x'), reason: { kind: 'tagged', tags: ['v1'] } }] }, ['x']),
      ]),
    ],
    ['## No orphans among the 2 manifests that could be seen', blindDryRun()],
    [
      '## No repository was scanned (with 1 problem)',
      run([], { failures: ['The catalog is not allowed.'] }),
    ],
  ])('%s', (headline, made) => {
    expect(headlineOf(made)).toBe(headline);
  });

  it('never lets "no orphans" stand without what could not be seen', () => {
    const text = renderSummary(blindDryRun());
    expect(text).toContain('This does not mean that there are none');
    expect(text).toContain('no route that lists untagged manifests');
    expect(text).not.toContain('garbage-collect');
  });

  it('says what an input named that is no longer there, and what was ignored', () => {
    const text = renderSummary(cleanRun());
    expect(text).toContain(
      'The inputs named 4 manifests: 3 of them are among the 11 manifests that were read, 1 no longer exists.',
    );
    expect(renderSummary(troubledRun())).toContain(
      '7 named manifests in repositories that `repositories` leaves out were ignored.',
    );
  });

  it('draws eight slices and the others', () => {
    const repositories = Array.from({ length: 11 }, (_, at) =>
      moved(`r${String(at)}`, 1_000_000 * (at + 1), NOW),
    );
    const text = renderSummary(run(repositories));
    const slices = text.match(/^ {2}"[^"]+" : \d+$/gm) ?? [];
    expect(slices).toHaveLength(9);
    expect(slices[0]).toContain('r10 (11 MB)');
    expect(slices[8]).toContain('3 others (6.01 MB)');
  });

  it('reports kept indexes that miss a child as broken before', () => {
    const broken: RepositoryRun = {
      inventory: inventory('a', {
        manifests: byDigest(index('i', [child('there'), child('missing')]), image('there')),
        absent: new Set([d('missing')]),
      }),
      plan: plan('a', { keep: [kept('i', { kind: 'tagged', tags: ['v1'] })] }),
      warnings: [],
    };
    expect(renderSummary(run([broken]))).toContain(
      `- \`a@${d('i')}\`: it lists \`${d('missing').slice(0, 19)}\`, which the registry no longer has`,
    );
  });
});

const EVIL =
  '`</td></details><script>alert(1)</script> | @octocat #1 [x](https://evil.com)\n# h\n```\n"%%{init}%%';

/** As large and as hostile as a registry can make it. */
function hugeRun(orphans: number, text = EVIL, repositories = 3_000): Run {
  const names = Array.from({ length: orphans }, (_, at) => `m${String(at)}`);
  const manifests: Manifest[] = names.map((name, at) =>
    at % 3 === 0
      ? index(name, [child(`${name} child`, { platform: { os: text, architecture: text } })])
      : image(name, [blob(name, 10, text)], { artifactType: text, annotations: { [text]: text } }),
  );
  const failed = names.filter((_, at) => at % 5 === 0).map(d);
  const large: RepositoryRun = {
    inventory: inventory(text, {
      manifests: byDigest(...manifests),
      brokenTags: names.slice(0, 5_000).map((name) => `${text}${name}`),
    }),
    plan: plan(text, {
      keep: names.map((name) => kept(`kept ${name}`, { kind: 'unknown-type', mediaType: text })),
      orphans: names.map((name) => orphan(name, { kind: 'digest-tag', tag: text, of: d('of') })),
    }),
    outcome: outcome(text, {
      deleted: names.filter((_, at) => at % 5 !== 0).map(d),
      failed: failed.map((digest) => ({ digest, why: text })),
      broken: [{ what: text, why: text }],
    }),
    warnings: names.slice(0, 5_000).map(() => text),
  };
  const others = Array.from({ length: repositories }, (_, at) =>
    moved(`${text}${String(at)}`, at, NOW),
  );
  return run([large, ...others], {
    failures: [text],
    intake: {
      candidates: new Map(),
      understood: 1,
      notUnderstood: 1,
      examples: [{ where: text, text }],
    },
  });
}

/** Takes code spans and our own markup away: nothing of the registry's text may be left. */
function outsideCode(markdown: string): string {
  return markdown.replace(/`[^`\n]+`/g, '');
}

describe('the summary of a huge and hostile run', () => {
  const made = hugeRun(100_000);
  const text = renderSummary(made);

  it('stays below the limit and says what was cut, section by section', () => {
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(LIMIT);
    expect(Buffer.byteLength(text)).toBeGreaterThan(0.9 * LIMIT);
    expect(text.match(/^_… and [\d,]+ more [a-z ]+: too long for a job summary\./gm)).toHaveLength(
      5,
    );
    expect(text).toContain('### To free the disk');
  });

  it('accounts for every deleted manifest: shown or counted as cut', () => {
    const shown = text.match(/^\| `sha256:[0-9a-f]{64}` \|/gm)?.length ?? 0;
    const cut = Number(/… and ([\d,]+) more manifests/.exec(text)?.[1]?.replaceAll(',', ''));
    expect(shown).toBeGreaterThan(500);
    expect(shown + cut).toBe(80_000 + 3_000);
  });

  it('keeps the worst problem in sight', () => {
    expect(text.indexOf('**An image broke:**')).toBeLessThan(2_000);
  });

  it('lets nothing of the registry out of its code spans', () => {
    const outside = outsideCode(text).replaceAll(/<\/?details>|<\/?summary>/g, '');
    // The pie's labels are letters in quotes, and may spell anything.
    const prose = outside.replace(/^ {2}"[A-Za-z0-9._/ ()…?-]*" : \d+$/gm, '');
    expect(/[<>@[\]].{0,40}|alert|evil|octocat|%%/.exec(prose)).toBeNull();
    expect(outsideCode(text).match(/<\/?details>/g)).toEqual([
      '<details>',
      '</details>',
      '<details>',
      '</details>',
    ]);
  });
});

describe('the summary of any run', () => {
  it('fits any sensible limit and starts with the headline', () => {
    const made = hugeRun(300);
    fc.assert(
      fc.property(fc.integer({ min: 2_000, max: 200_000 }), (limit) => {
        const text = renderSummary(made, limit);
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(limit);
        expect(text.startsWith('## Deleted 3,240 of 3,300 orphan manifests')).toBe(true);
        expect(text).toContain('### Problems');
      }),
      { numRuns: 15 },
    );
  });

  it('holds no markup of the registry', () => {
    const evil = fc.array(
      fc.oneof(
        fc.constantFrom('`', '|', '\n', '<b>', '@a', '#1', '](x)', '\\', '"', '**', '- '),
        fc.string({ unit: 'binary', maxLength: 3 }),
      ),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(evil, (parts) => {
        const text = renderSummary(hugeRun(6, parts.join(''), 2));
        const outside = outsideCode(text);
        expect(outside).not.toMatch(/[<@[\]]|#\d/);
        for (const line of outside.split('\n').filter((row) => row.startsWith('|'))) {
          expect([4, 6, 9]).toContain(line.match(/\|/g)?.length);
        }
      }),
      { numRuns: 200 },
    );
  });
});
