import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { parse } from 'yaml';
import { CODES } from '../src/text/code.js';
import { fill, parts, readmeNowAndThen } from '../scripts/docs.js';

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const keys = (value: unknown): string[] => Object.keys(value as object);

const examples = readdirSync(new URL('../examples', import.meta.url)).map(
  (name) => `examples/${name}`,
);
const { now: readme, then: generated } = readmeNowAndThen();
const action = parse(read('action.yml')) as Record<'inputs' | 'outputs', Record<string, object>>;

describe('README.md', () => {
  it('has the tables of action.yml and the workflows of examples/', () => {
    expect(readme).toBe(generated);
  });

  it.each([
    ['inputs', '## Inputs'],
    ['outputs', '## Outputs'],
  ] as const)('names every one of the %s, in the order of action.yml', (kind, heading) => {
    const section = readme.slice(readme.indexOf(heading)).split('\n## ')[0] ?? '';
    const named = [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);
    expect(named).toEqual(keys(action[kind]));
  });

  it('shows no workflow that is not a file in examples/', () => {
    const blocks = [...readme.matchAll(/```yaml\n([^]*?)```/g)].map(([, text]) => text ?? '');
    const workflows = blocks.filter((text) => /^jobs:/m.test(text));
    expect(workflows.sort()).toEqual(examples.map(read).sort());
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
  const yml = `
inputs:
  a-url: { required: true, description: 'one | two' }
  b: { default: 24h, description: "first\\nsecond" }
outputs:
  c: { description: what }
`;
  const content = parts(yml, new Map([['examples/x.yml', 'on: push\n']]));
  const markers = [...content.keys()]
    .map((name) => `<!-- begin ${name} -->\n<!-- end ${name} -->`)
    .join('\n');

  it('makes one row of each input, whatever its description holds', () => {
    expect(content.get('inputs')?.split('\n').slice(2)).toEqual([
      '| `a-url` | **required** | one \\| two |',
      '| `b` | `24h` | first<br>second |',
    ]);
  });

  it('leaves the text outside the markers alone, and a second run changes nothing', () => {
    const once = fill(`before $& $1\n${markers}\nafter`, content);
    expect(once).toMatch(/^before \$& \$1\n<!-- begin inputs -->/);
    expect(once).toMatch(/<!-- end examples\/x\.yml -->\nafter$/);
    expect(once).toContain('```yaml\non: push\n```');
    expect(fill(once, content)).toBe(once);
  });

  it('replaces what stood between the markers', () => {
    const stale = markers.replace('begin outputs -->', 'begin outputs -->\nold words');
    expect(fill(stale, content)).not.toContain('old words');
  });

  it('refuses a readme that lost a pair of markers', () => {
    expect(() => fill(markers.replace('<!-- end outputs -->', ''), content)).toThrow(
      /begin outputs/,
    );
  });

  it('refuses markers that stand for nothing', () => {
    const extra = `${markers}<!-- begin examples/gone.yml --><!-- end examples/gone.yml -->`;
    expect(() => fill(extra, content)).toThrow(/examples\/gone\.yml/);
  });
});

const documents = [
  ...readdirSync(new URL('..', import.meta.url)),
  ...readdirSync(new URL('../docs', import.meta.url), { recursive: true, encoding: 'utf8' }).map(
    (name) => `docs/${name.replaceAll('\\', '/')}`,
  ),
].filter((name) => name.endsWith('.md'));

/** The text without blocks of code, which hold `#` and brackets that mean something else. */
const prose = (path: string): string => read(path).replace(/^ *```[^]*?^ *```$/gm, '');

/** Those that are written out, and those of headings as GitHub makes them: letters, digits, `-` and `_` stay, spaces become `-`. */
function anchorsOf(path: string): Set<string> {
  const anchors = new Set<string>(
    [...prose(path).matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id),
  );
  for (const [, heading = ''] of prose(path).matchAll(/^#{1,6} (.+)$/gm)) {
    const shown = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = shown.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-');
    let anchor = slug;
    for (let n = 1; anchors.has(anchor); n += 1) {
      anchor = `${slug}-${n}`;
    }
    anchors.add(anchor);
  }
  return anchors;
}

/** The targets of all links that stay within this repository. */
function linksOf(path: string): string[] {
  const text = prose(path).replace(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** What is wrong with a link, or undefined. */
function linkFault(from: string, link: string): string | undefined {
  const target = new URL(link, new URL(from, 'file:///'));
  const path = decodeURIComponent(target.pathname.slice(1)) || from;
  if (!existsSync(new URL(`../${path}`, import.meta.url))) {
    return `${link}: there is no ${path}`;
  }
  const anchor = target.hash.slice(1);
  return anchor !== '' && !anchorsOf(path).has(anchor)
    ? `${link}: ${path} has no heading for it`
    : undefined;
}

describe.each(documents)('%s', (path) => {
  it('has links that lead somewhere', () => {
    const faults = linksOf(path).map((link) => linkFault(path, link));
    expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
  });
});

it('finds the links of the README, and a fault in one that leads nowhere', () => {
  expect(linksOf('README.md')).toContain('docs/how-it-decides.md');
  expect(linkFault('README.md', 'docs/how-it-decides.md')).toBeUndefined();
  expect(linkFault('README.md', 'docs/gone.md')).toMatch(/there is no docs\/gone\.md/);
  expect(linkFault('docs/report.md', '../README.md#inputs')).toBeUndefined();
  expect(linkFault('docs/report.md', '../README.md#gone')).toMatch(/no heading/);
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
