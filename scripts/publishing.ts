/**
 * What has to agree before this action can be published: the version, which package.json says and other files repeat,
 * and the description, which GitHub's marketplace refuses if it is too long.
 *
 * Without an argument it rewrites the version in those files; `npm version` calls it so. With `--check` it writes
 * nothing, and fails with a list of what disagrees.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('..', import.meta.url));

/** "The description must be less than 125 characters", says the form that publishes a release on the marketplace. */
const DESCRIPTION_LIMIT = 125;
const SOURCE = 'src/text/version.ts';
const ACTION = 'registry-manifest-cleanup/registry-manifest-cleanup';

const Package = v.object({ version: v.pipe(v.string(), v.regex(/^\d+\.\d+\.\d+$/)) });
const Lock = v.object({ version: v.string(), packages: v.object({ '': Package }) });
const Action = v.object({ description: v.string() });

/** The tag that moves to each release of a major version, such as `v1`. */
export const majorTag = (version: string): string => `v${version.split('.')[0] ?? ''}`;

/** The text of src/text/version.ts, or of a page or workflow, with this version in place of the one that it has. */
export function withVersion(path: string, text: string, version: string): string {
  if (path === SOURCE) {
    return text.replace(/(?<=VERSION = ')[^']*/, version);
  }
  // In workflows, also with an address in front, as Forgejo and Gitea take it, and where a page clones the repository.
  const uses = new RegExp(`(?<=uses: (?:https://[\\w.-]+/)?${ACTION}@)[\\w.]+`, 'g');
  const clones = new RegExp(`(?<=--branch )\\S+(?= https://github\\.com/${ACTION})`, 'g');
  return text.replace(uses, majorTag(version)).replace(clones, majorTag(version));
}

/** What is wrong with the description in action.yml, or undefined. */
export function descriptionFault(actionYml: string): string | undefined {
  const { description } = v.parse(Action, parse(actionYml));
  return description.trim().length < DESCRIPTION_LIMIT
    ? undefined
    : `action.yml: the description has ${description.trim().length} characters; the marketplace takes fewer than ${DESCRIPTION_LIMIT}`;
}

/** What is wrong with the two places in package-lock.json, or undefined. */
export function lockFault(packageLock: string, version: string): string | undefined {
  const lock = v.parse(Lock, JSON.parse(packageLock));
  return lock.version === version && lock.packages[''].version === version
    ? undefined
    : `package-lock.json: the version isn't ${version}, as in package.json; run \`npm install --package-lock-only\``;
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const below = (folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));

function main(): void {
  const { version } = v.parse(Package, JSON.parse(read('package.json')));
  const pages = readdirSync(root).filter((name) => name.endsWith('.md'));
  const files = [SOURCE, ...pages, ...below('docs', '.md'), ...below('examples', '.yml')];
  const stale = files.filter((path) => withVersion(path, read(path), version) !== read(path));
  if (!process.argv.includes('--check')) {
    stale.forEach((path) => {
      writeFileSync(join(root, path), withVersion(path, read(path), version));
      console.log(`${path} has version ${version}.`);
    });
    return;
  }
  const faults = [
    ...stale.map(
      (path) => `${path}: the version isn't that of package.json; run \`npm run version\``,
    ),
    lockFault(read('package-lock.json'), version),
    descriptionFault(read('action.yml')),
  ].filter((fault) => fault !== undefined);
  if (faults.length === 0) {
    console.log(`Version ${version} is the same everywhere, and the description is short enough.`);
  } else {
    console.error(faults.join('\n'));
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
