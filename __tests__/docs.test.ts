import { describe, expect, it } from '@jest/globals';
import { readFileSync, readdirSync } from 'node:fs';
import { parse } from 'yaml';
import { CODES } from '../src/text/code.js';
import {
  fill,
  firstSentence,
  GROUPS,
  pages,
  parts,
  readmeFaults,
  workflowsIn,
} from '../scripts/docs.js';
import {
  anchorsOf,
  documents,
  linkFault,
  linkFaults,
  linksOf,
  namedInComments,
} from '../scripts/links.js';

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const keys = (value: unknown): string[] => Object.keys(value as object);

const examples = documents('.yml');
const readme = read('README.md');
const action = parse(read('action.yml')) as Record<
  'inputs' | 'outputs',
  Record<string, { description: string }>
>;

describe.each(pages())('$path', ({ now, then }) => {
  it('has what action.yml says of inputs and outputs', () => {
    expect(now).toBe(then);
  });
});

describe('README.md', () => {
  it.each([
    ['inputs', '', Object.values(GROUPS).flat()],
    ['outputs', 'output-', keys(action.outputs)],
  ] as const)(
    'has one line on every one of the %s, which leads to its details',
    (kind, prefix, names) => {
      expect([...names].sort()).toEqual(keys(action[kind]).sort());
      const lines = names.map((name) => `- [\`${name}\`](docs/inputs.md#${prefix}${name})`);
      const section = readme.split(`<!-- begin ${kind} -->`)[1]?.split('<!-- end')[0] ?? '';
      const starts = section.match(/^- \[`[^`]+`\]\([^)]+\)/gm);
      expect(starts).toEqual(lines);
    },
  );

  it('is a first page: short, with one short workflow', () => {
    expect(readmeFaults(readme)).toEqual([]);
  });

  it.each([
    ['is longer', `${readme}\n${'more\n'.repeat(300)}`, /README\.md has \d+ lines/],
    ['shows no workflow', '# Title', /shows no workflow/],
    [
      'shows a long workflow',
      `\`\`\`yaml\njobs:\n${'  a: b\n'.repeat(15)}\`\`\``,
      /workflow in README\.md has 16/,
    ],
    [
      'shows two',
      '```yaml\njobs: {}\n```\n\n```yaml\njobs: {}\n```',
      /more than one workflow: link/,
    ],
  ])('is told when it %s', (_, text, fault) => {
    expect(readmeFaults(text)).toEqual([expect.stringMatching(fault)]);
  });

  it('shows a whole workflow, as a dry-run, with inputs that the action has', () => {
    const [text = ''] = workflowsIn(readme);
    const workflow = parse(text) as Workflow & { readonly on: object };
    expect(keys(workflow.on)).toEqual(['schedule', 'workflow_dispatch']);
    const [step, ...others] = Object.values(workflow.jobs).flatMap(ours);
    expect(others).toEqual([]);
    expect(step?.with).toEqual({ 'registry-url': 'ghcr.io', 'dry-run': true });
  });

  it('lists a storage with the command of the examples and of the docs', () => {
    const find = /^ *(find \/var\/lib\/registry .* > manifests\.txt)$/m.exec(readme)?.[1] ?? '?';
    expect(read('examples/first-cleanup.yml')).toContain(`- run: ${find}\n`);
    expect(read('docs/finding-orphans.md')).toContain(`\`\`\`sh\n${find}\n\`\`\``);
  });

  it('leads to every example', () => {
    const links = linksOf(readme);
    expect(examples.filter((path) => !links.includes(path))).toEqual([]);
  });

  it.each(['npm ci && npm run demo', 'npm ci && npm test'])('gives the command %s', (command) => {
    expect(readme).toContain(`\`\`\`sh\n${command}\n\`\`\``);
  });
});

interface Step {
  readonly uses?: string;
  readonly if?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Rights {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly concurrency?: object;
}

interface Job extends Rights {
  readonly environment?: string;
  readonly steps: readonly Step[];
}

interface Workflow extends Rights {
  readonly jobs: Readonly<Record<string, Job>>;
}

/** The steps of this action. */
const ours = ({ steps }: Job): Step[] =>
  steps.filter(({ uses = '' }) => uses.startsWith('registry-manifest-cleanup/'));

/** Whether users' manifests may change: not in a dry-run, nor where all is protected. */
const changes = ({ with: given = {} }: Step): boolean =>
  given['dry-run'] !== true && given['protect'] !== '**';

/** The one example whose registry is GitHub's own. */
const ON_GHCR = 'examples/ghcr.yml';

/** Where it isn't a week: at once after a push; less than the week between two plans; never in an undo. */
const UNUSED_FOR: Readonly<Record<string, readonly string[]>> = {
  'examples/after-push.yml': ['0'],
  'examples/look-first.yml': ['6d'],
  'examples/undo.yml': [],
};

describe.each(examples)('%s', (path) => {
  const text = read(path);
  const workflow = parse(text) as Workflow;
  const jobs = Object.values(workflow.jobs);

  it('gives the action inputs that it has, the required one included', () => {
    const given = jobs.flatMap(ours).map((step) => keys(step.with));
    expect(given).not.toHaveLength(0);
    for (const inputs of given) {
      expect(inputs).toContain('registry-url');
      expect(keys(action.inputs)).toEqual(expect.arrayContaining(inputs));
    }
  });

  it('may write nothing at GitHub, but for the packages that it cleans', () => {
    const granted = [workflow, ...jobs].flatMap(({ permissions = {} }) =>
      Object.entries(permissions),
    );
    expect(workflow.permissions).toBeDefined();
    expect(granted.filter(([, right]) => right !== 'read')).toEqual(
      path === ON_GHCR ? [['packages', 'write']] : [],
    );
  });

  it('takes turns with all that push or delete, and holds nobody up while it waits for people', () => {
    const groupOf = (job: Job) => job.concurrency ?? workflow.concurrency;
    const changing = jobs.filter((job) => ours(job).some(changes));
    expect(changing).not.toHaveLength(0);
    for (const job of changing) {
      expect(groupOf(job)).toEqual({ group: 'registry', 'cancel-in-progress': false });
    }
    const waiting = jobs.filter((job) => job.environment !== undefined);
    expect(waiting.map(groupOf).filter((group) => group !== undefined)).toEqual([]);
  });

  it('keeps what the files of the repository pin wherever it deletes or plans to, or says how', () => {
    // The one on GHCR may not read the repository's files: it says what a job needs that protects what they pin.
    const says = text.includes(
      '`protect-files`; then the job also needs a checkout and `contents: read`',
    );
    expect(says).toBe(path === ON_GHCR);
    for (const job of says ? [] : jobs) {
      const deleting = ours(job).filter(
        ({ with: given = {} }) => given['protect'] !== '**' && given['restore-from'] === undefined,
      );
      for (const step of deleting) {
        expect(step.with?.['protect-files']).toBe('deploy/**/*.yaml');
        const earlier = job.steps.slice(0, job.steps.indexOf(step));
        expect(earlier.map(({ uses }) => uses)).toContainEqual(
          expect.stringMatching(/^actions\/checkout@/),
        );
      }
    }
  });

  it('keeps what lost its tag as long as its purpose wants, in every step that judges', () => {
    const judging = jobs
      .flatMap(ours)
      .filter(
        ({ with: given }) => given?.['protect'] !== '**' && given?.['restore-from'] === undefined,
      );
    const times = new Set(judging.map(({ with: given }) => String(given?.['unused-for'])));
    expect([...times]).toEqual(UNUSED_FOR[path] ?? ['7d']);
  });

  it('keeps what it deletes, whatever becomes of the job', () => {
    for (const job of jobs) {
      const deleting = ours(job).filter(
        (step) => changes(step) && step.with?.['restore-from'] === undefined,
      );
      for (const step of deleting) {
        const directory = step.with?.['backup-dir'];
        expect(directory).toMatch(/^\$\{\{ runner\.temp \}\}\//);
        // Not the output of the step, which one that was killed does not set.
        const later = job.steps.slice(job.steps.indexOf(step) + 1);
        const kept = later.find(({ with: given }) => given?.['path'] === directory);
        expect(kept?.uses).toMatch(/^actions\/upload-artifact@/);
        expect(kept?.if).toBe('${{ always() }}');
        expect(kept?.with).toMatchObject({
          'if-no-files-found': 'ignore',
          'retention-days': 30,
        });
      }
    }
  });

  it('pins every other action by commit and says its version', () => {
    const others = text
      .split('\n')
      .filter((line) => /uses: (?!registry-manifest-cleanup\/)/.test(line));
    expect(others).not.toHaveLength(0);
    for (const line of others)
      expect(line).toMatch(/uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });
});

describe('the generator', () => {
  const { inputs } = action;
  const some = (changed: object): string =>
    JSON.stringify({
      inputs: { ...inputs, ...changed },
      outputs: { c: { description: 'It is. See docs/report.md.' } },
    });
  const content = (file: string, yml: string) => parts(yml).get(file) ?? new Map<string, string>();
  const changed = some({
    'registry-url': { required: true, description: 'One | two, such as `a. B`. More.' },
    'grace-period': { default: '24h', description: 'How long.\nMore, in docs/ledger.md.' },
  });
  const markers =
    '<!-- begin inputs -->\n<!-- end inputs -->\n<!-- begin outputs -->\n<!-- end outputs -->';

  it.each([
    ['One. Two.', 'One.'],
    ['No stop', 'No stop'],
    ['Version 1.5 of `a. B` or `.`. Then more.', 'Version 1.5 of `a. B` or `.`.'],
  ])('takes the first sentence of %j', (text, sentence) => {
    expect(firstSentence(text)).toBe(sentence);
  });

  it('gives the README one sentence on each input, and its default', () => {
    const lines = content('README.md', changed).get('inputs')?.split('\n');
    expect(lines).toContain(
      '- [`registry-url`](docs/inputs.md#registry-url) (required): One | two, such as `a. B`.',
    );
    expect(lines).toContain(
      '- [`grace-period`](docs/inputs.md#grace-period) (default `24h`): How long.',
    );
  });

  it('gives docs/inputs.md all of it, with links to the pages that it names', () => {
    const full = content('docs/inputs.md', changed).get('inputs') ?? '';
    expect(full).toContain('### `registry-url`\n\n_Required._\n\nOne | two, such as `a. B`. More.');
    expect(full).toContain(
      '### `grace-period`\n\n_Default:_ `24h`\n\nHow long.\nMore, in [ledger.md](ledger.md).',
    );
    expect(content('docs/inputs.md', changed).get('outputs')).toBe(
      '- <a id="output-c"></a>`c`: It is. See [report.md](report.md).',
    );
  });

  it('refuses an input that belongs to no group, and a group of inputs that are gone', () => {
    expect(() => parts(some({ 'new-input': { description: 'x' } }))).toThrow(
      /one group: new-input/,
    );
    expect(() => parts(some({ verify: undefined }))).toThrow(/one group: verify/);
  });

  it('leaves the text outside the markers alone, and a second run changes nothing', () => {
    const made = content('README.md', changed);
    const once = fill('README.md', `before $& $1\n${markers}\nafter`, made);
    expect(once).toMatch(/^before \$& \$1\n<!-- begin inputs -->/);
    expect(once).toMatch(/<!-- end outputs -->\nafter$/);
    expect(fill('README.md', once, made)).toBe(once);
  });

  it('replaces what stood between the markers', () => {
    const stale = markers.replace('begin outputs -->', 'begin outputs -->\nold words');
    expect(fill('README.md', stale, content('README.md', changed))).not.toContain('old words');
  });

  it('refuses a page that lost a pair of markers', () => {
    const lost = markers.replace('<!-- end outputs -->', '');
    expect(() => fill('a.md', lost, content('README.md', changed))).toThrow(
      /a\.md needs .*begin outputs/,
    );
  });

  it('refuses markers that stand for nothing', () => {
    const extra = `${markers}<!-- begin examples --><!-- end examples -->`;
    expect(() => fill('a.md', extra, content('README.md', changed))).toThrow(/'examples'/);
  });
});

describe('the check of links', () => {
  it('finds none that leads nowhere', () => {
    expect(linkFaults()).toEqual([]);
  });

  it('looks at all Markdown and all examples', () => {
    expect(documents('.md')).toEqual(
      expect.arrayContaining(['README.md', 'CHANGELOG.md', 'docs/adr/0005-brakes.md']),
    );
    expect(examples).toContain('examples/ghcr.yml');
  });

  it('finds the links of a page, also pictures and those in HTML', () => {
    const page =
      '[a](b.md#c) ![d](e.png) `[no](link.md)` <img alt="x" src="f.png"> [w](https://x.y/)';
    expect(linksOf(`${page}\n\`\`\`sh\n[no](code.md)\n\`\`\`\n`)).toEqual([
      'b.md#c',
      'e.png',
      'f.png',
    ]);
  });

  it('finds what the comments of an example name', () => {
    const yaml = '# See undo.yml and docs/ledger.md#rights.\nrun: a.yml # as in scheduled.yml\n';
    expect(namedInComments(yaml)).toEqual([
      'undo.yml',
      '../docs/ledger.md#rights',
      'scheduled.yml',
    ]);
  });

  it('knows the anchors that GitHub makes', () => {
    const page =
      '# `A_b` & c: D\n\n## Twice\n\n## Twice\n\n## [Link](x.md) ü\n\n<a id="own"></a>\n';
    expect([...anchorsOf(page)].sort()).toEqual(['a_b--c-d', 'link-ü', 'own', 'twice', 'twice-1']);
  });

  it('says what is wrong with a link', () => {
    expect(linkFault('README.md', 'docs/how-it-decides.md')).toBeUndefined();
    expect(linkFault('README.md', 'docs/gone.md')).toMatch(/there is no docs\/gone\.md/);
    expect(linkFault('docs/report.md', '../README.md#inputs')).toBeUndefined();
    expect(linkFault('docs/report.md', '../README.md#gone')).toMatch(/no heading/);
    expect(linkFault('examples/a.yml', 'gone.yml')).toMatch(/there is no examples\/gone\.yml/);
  });
});

describe('docs/troubleshooting.md', () => {
  // Messages as their reader sees them: pieces joined, `…` for what changes from case to case.
  const sources = readdirSync(new URL('../src', import.meta.url), {
    recursive: true,
    encoding: 'utf8',
  })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(`src/${name}`))
    .join('\n')
    .replace(/['`]\s*\+\s*['`]/g, '')
    .replaceAll("\\'", "'");
  const anchors = [...read('docs/troubleshooting.md').matchAll(/<a id="([^"]*)">/g)].map(
    ([, anchor]) => anchor,
  );

  it('has one anchor for each code of a message, and no others', () => {
    expect(anchors.sort()).toEqual([...CODES].sort());
  });

  it('has its anchors right above the headings of entries', () => {
    const bound =
      read('docs/troubleshooting.md').match(/^(?:<a id="[^"]*"><\/a>\n)+\n### /gm) ?? [];
    expect(bound.join('').match(/<a id=/g)).toHaveLength(CODES.length);
  });

  const headings = [...read('docs/troubleshooting.md').matchAll(/^### `(.+)`$/gm)].map(
    ([, message = '']) => message,
  );

  it.each(headings)('quotes a message that the code has: %s', (message) => {
    const missing = message.split('…').filter((part) => !sources.includes(part.trim()));
    expect(missing).toEqual([]);
  });
});
