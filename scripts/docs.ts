/**
 * Writes the generated parts of README.md: the tables of inputs and outputs, from action.yml, and the
 * workflows, from examples/. With `--check` it writes nothing and fails where README.md is behind.
 *
 * A part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`, where NAME is `inputs`, `outputs` or
 * the path of an example. All text outside the markers stays as it is.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('..', import.meta.url));

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

/** Marker name → the Markdown that belongs there. */
type Parts = ReadonlyMap<string, string>;

const tableCell = (text: string): string =>
  text.trim().replaceAll('|', '\\|').replaceAll('\n', '<br>');

const table = (rows: readonly (readonly string[])[]): string =>
  rows.map((cells) => `| ${cells.map(tableCell).join(' | ')} |`).join('\n');

function inputsTable(inputs: v.InferOutput<typeof Action>['inputs']): string {
  const rows = Object.entries(inputs).map(([name, input]) => [
    `\`${name}\``,
    input.required === true
      ? '**required**'
      : input.default === undefined
        ? ''
        : `\`${input.default}\``,
    input.description,
  ]);
  return table([['Input', 'Default', 'What it takes'], ['---', '---', '---'], ...rows]);
}

function outputsTable(outputs: v.InferOutput<typeof Action>['outputs']): string {
  const rows = Object.entries(outputs).map(([name, output]) => [`\`${name}\``, output.description]);
  return table([['Output', 'What it holds'], ['---', '---'], ...rows]);
}

/**
 * All parts that README.md may ask for.
 * @param examples path, such as `examples/scheduled.yml` → the file's text
 */
export function parts(actionYml: string, examples: ReadonlyMap<string, string>): Parts {
  const action = v.parse(Action, parse(actionYml));
  return new Map([
    ['inputs', inputsTable(action.inputs)],
    ['outputs', outputsTable(action.outputs)],
    ...[...examples].map(
      ([path, text]) => [path, `\`\`\`yaml\n${text.trimEnd()}\n\`\`\``] as const,
    ),
  ]);
}

/**
 * The readme with every part filled in.
 * @throws Error that names the part, if one has no pair of markers, or markers stand for no part
 */
export function fill(readme: string, content: Parts): string {
  const missing = new Set(content.keys());
  const filled = readme.replace(/<!-- begin (\S+) -->[^]*?<!-- end \1 -->/g, (_, name: string) => {
    const markdown = content.get(name);
    if (markdown === undefined) {
      throw new Error(
        `README.md has markers for '${name}'; there are ${[...content.keys()].join(', ')}.`,
      );
    }
    missing.delete(name);
    // The formatter would pad every row of a table to the width of its longest description.
    const block = `<!-- prettier-ignore-start -->\n\n${markdown}\n\n<!-- prettier-ignore-end -->`;
    return `<!-- begin ${name} -->\n${block}\n<!-- end ${name} -->`;
  });
  for (const name of missing) {
    throw new Error(
      `README.md needs the lines '<!-- begin ${name} -->' and '<!-- end ${name} -->'.`,
    );
  }
  return filled;
}

/** What README.md is and what it should be, as the files of this checkout have it. */
export function readmeNowAndThen(): { readonly now: string; readonly then: string } {
  const read = (path: string): string => readFileSync(join(root, path), 'utf8');
  const examples = readdirSync(join(root, 'examples'))
    .filter((name) => name.endsWith('.yml'))
    .sort()
    .map((name) => [`examples/${name}`, read(`examples/${name}`)] as const);
  const now = read('README.md');
  return { now, then: fill(now, parts(read('action.yml'), new Map(examples))) };
}

function main(): void {
  const { now, then } = readmeNowAndThen();
  if (now === then) {
    console.log('README.md agrees with action.yml and examples/.');
  } else if (process.argv.includes('--check')) {
    console.error('README.md is behind action.yml or examples/. Run `npm run docs` and commit it.');
    process.exitCode = 1;
  } else {
    writeFileSync(join(root, 'README.md'), then);
    console.log('README.md is rewritten.');
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
