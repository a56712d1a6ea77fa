/**
 * Writes the generated parts of README.md and docs/inputs.md from action.yml: the inputs in groups, and the outputs.
 * README.md has the first sentence of each, docs/inputs.md the whole. With `--check` it writes nothing, and fails where
 * one of them is behind, where README.md is longer than it may be, and where a link within the repository leads nowhere.
 *
 * A part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`. All text outside the markers stays as it is.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import * as v from 'valibot';
import { parse } from 'yaml';

import { linkFaults, root } from './links.js';

const Action = v.object({
  inputs: v.record(
    v.string(),
    v.strictObject({
      description: v.string(),
      required: v.optional(v.boolean()),
      default: v.optional(v.string()),
    }),
  ),
  outputs: v.record(v.string(), v.strictObject({ description: v.string() })),
});

type Inputs = v.InferOutput<typeof Action>['inputs'];
type Outputs = v.InferOutput<typeof Action>['outputs'];

/** Marker name → the Markdown that belongs there. */
type Parts = ReadonlyMap<string, string>;

const DETAILS = 'docs/inputs.md';
const README = 'README.md';

/** Every input belongs to one group. */
export const GROUPS: Readonly<Record<string, readonly string[]>> = {
  'Registry and login': [
    'registry-url',
    'username',
    'password',
    'github-token',
    'registry-type',
    'api-url',
    'ca-file',
    'insecure',
    'concurrency',
  ],
  'What to clean': [
    'repositories',
    'digests-file',
    'digests',
    'ledger-repository',
    'dangling-referrers',
  ],
  'What to keep': ['grace-period', 'unused-for', 'keep-untagged', 'protect', 'protect-files'],
  Safety: ['dry-run', 'max-deletes', 'verify', 'backup-dir'],
  'Plan and restore': ['plan-file', 'apply-plan', 'restore-from'],
  Report: ['report-file'],
};

/** The limits of README.md, so that it stays a first page. */
const MOST_LINES = 300;
const MOST_WORKFLOW_LINES = 15;

/** Up to the first full stop that isn't in a code span. */
export function firstSentence(text: string): string {
  return /^(?:`[^`]*`|[^`])*?\.(?=\s|$)/.exec(text.trim())?.[0] ?? text.trim();
}

/** The text with the pages that it names as links, for a file in docs/ or at the top. */
function linked(text: string, from: string): string {
  return text
    .trim()
    .replace(/\bdocs\/([\w/-]+\.md)/g, (path, name: string) =>
      from === README ? `[${path}](${path})` : `[${name}](${name})`,
    );
}

/**
 * The inputs by their groups.
 * @throws Error that names the inputs which belong to no group, to several, or which action.yml doesn't have
 */
function grouped(inputs: Inputs): [string, [string, Inputs[string]][]][] {
  const names = Object.values(GROUPS).flat();
  const wrong = [
    ...Object.keys(inputs).filter((name) => names.filter((each) => each === name).length !== 1),
    ...names.filter((name) => inputs[name] === undefined),
  ];
  if (wrong.length > 0) {
    throw new Error(`scripts/docs.ts has to put each input into one group: ${wrong.join(', ')}.`);
  }
  return Object.entries(GROUPS).map(([title, group]) => [
    title,
    group.flatMap((name) => {
      const input = inputs[name];
      return input === undefined ? [] : [[name, input]];
    }),
  ]);
}

function inputsInShort(inputs: Inputs): string {
  const item = ([name, { description, required, default: value }]: [
    string,
    Inputs[string],
  ]): string => {
    const note =
      required === true ? ' (required)' : value === undefined ? '' : ` (default \`${value}\`)`;
    const sentence = linked(firstSentence(description), README);
    return `- [\`${name}\`](${DETAILS}#${name})${note}: ${sentence}`;
  };
  return grouped(inputs)
    .map(([title, group]) => `### ${title}\n\n${group.map(item).join('\n')}`)
    .join('\n\n');
}

function inputsInFull(inputs: Inputs): string {
  const entry = ([name, { description, required, default: value }]: [
    string,
    Inputs[string],
  ]): string => {
    const note =
      required === true
        ? '_Required._\n\n'
        : value === undefined
          ? ''
          : `_Default:_ \`${value}\`\n\n`;
    return `### \`${name}\`\n\n${note}${linked(description, DETAILS)}`;
  };
  return grouped(inputs)
    .map(([title, group]) => `## ${title}\n\n${group.map(entry).join('\n\n')}`)
    .join('\n\n');
}

function outputsInShort(outputs: Outputs): string {
  return Object.entries(outputs)
    .map(
      ([name, { description }]) =>
        `- [\`${name}\`](${DETAILS}#output-${name}): ${linked(firstSentence(description), README)}`,
    )
    .join('\n');
}

function outputsInFull(outputs: Outputs): string {
  return Object.entries(outputs)
    .map(
      ([name, { description }]) =>
        `- <a id="output-${name}"></a>\`${name}\`: ${linked(description, DETAILS)}`,
    )
    .join('\n');
}

/** File → the parts that it has to have. */
export function parts(actionYml: string): ReadonlyMap<string, Parts> {
  const { inputs, outputs } = v.parse(Action, parse(actionYml));
  return new Map([
    [
      README,
      new Map([
        ['inputs', inputsInShort(inputs)],
        ['outputs', outputsInShort(outputs)],
      ]),
    ],
    [
      DETAILS,
      new Map([
        ['inputs', inputsInFull(inputs)],
        ['outputs', outputsInFull(outputs)],
      ]),
    ],
  ]);
}

/**
 * The text of a file with every part filled in.
 * @throws Error that names file and part, if a part has no pair of markers, or markers stand for no part
 */
export function fill(file: string, text: string, content: Parts): string {
  const missing = new Set(content.keys());
  const filled = text.replace(/<!-- begin (\S+) -->[^]*?<!-- end \1 -->/g, (_, name: string) => {
    const markdown = content.get(name);
    if (markdown === undefined) {
      throw new Error(
        `${file} has markers for '${name}'; there are ${[...content.keys()].join(', ')}.`,
      );
    }
    missing.delete(name);
    return `<!-- begin ${name} -->\n\n${markdown}\n\n<!-- end ${name} -->`;
  });
  for (const name of missing) {
    throw new Error(`${file} needs the lines '<!-- begin ${name} -->' and '<!-- end ${name} -->'.`);
  }
  return filled;
}

interface Page {
  readonly path: string;
  /** as it is */
  readonly now: string;
  /** as action.yml wants it */
  readonly then: string;
}

/** The files with generated parts, as this checkout has them. */
export function pages(): Page[] {
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  return [...parts(read('action.yml'))].map(([path, content]) => {
    const now = read(path);
    return { path, now, then: fill(path, now, content) };
  });
}

/** The blocks of Markdown that are whole workflows. */
export function workflowsIn(markdown: string): string[] {
  const blocks = [...markdown.matchAll(/```yaml\n([^]*?)```/g)].map(([, text = '']) => text);
  return blocks.filter((text) => /^jobs:/m.test(text));
}

/** How README.md is more than a first page, in words. */
export function readmeFaults(readme: string): string[] {
  const lines = readme.trimEnd().split('\n').length;
  const [first, ...others] = workflowsIn(readme);
  const length = first?.trimEnd().split('\n').length ?? 0;
  return [
    lines > MOST_LINES &&
      `README.md has ${String(lines)} lines, and may have ${String(MOST_LINES)}: move what is not for a first look to docs/.`,
    first === undefined && 'README.md shows no workflow.',
    length > MOST_WORKFLOW_LINES &&
      `The workflow in README.md has ${String(length)} lines, and may have ${String(MOST_WORKFLOW_LINES)}.`,
    others.length > 0 &&
      'README.md shows more than one workflow: link to a file in examples/ instead.',
  ].filter((fault) => fault !== false);
}

function check(all: readonly Page[]): string[] {
  const behind = all
    .filter(({ now, then }) => now !== then)
    .map(({ path }) => `${path} is behind action.yml. Run \`npm run docs\` and commit it.`);
  const readme = all.find(({ path }) => path === README)?.now ?? '';
  return [...behind, ...readmeFaults(readme), ...linkFaults()];
}

function main(): void {
  const all = pages();
  if (process.argv.includes('--check')) {
    const faults = check(all);
    if (faults.length > 0) {
      console.error(faults.join('\n'));
      process.exitCode = 1;
    } else {
      console.log('README.md and docs/ agree with action.yml, and every link leads somewhere.');
    }
    return;
  }
  for (const { path, then } of all.filter(({ now, then: next }) => now !== next)) {
    writeFileSync(join(root, path), then);
    console.log(`${path} is rewritten.`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
