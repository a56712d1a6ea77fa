/**
 * What the release workflow has to know before it publishes: `node scripts/release.ts 1.2.3` fails if that version
 * can't be released from this commit, and else writes the outputs `tag`, `major-tag` and `notes`.
 *
 * It imports nothing but Node's own modules, so that it runs before any package is installed.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Release {
  /** without a `v` */
  readonly version: string;
  /** that of package.json */
  readonly packaged: string;
  readonly changelog: string;
  /** the tags that other commits have */
  readonly tags: readonly string[];
  /** what the workflow runs on, such as `refs/heads/main` */
  readonly ref: string;
}

type Numbers = readonly [number, number, number];

/** The numbers of `1.2.3`; undefined for other texts, `1.2` and `1.2.3-rc.1` included. */
function numbersOf(version: string): Numbers | undefined {
  const [, ...parts] = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$/.exec(version) ?? [];
  const [major, minor, patch] = parts.map(Number);
  return major === undefined || minor === undefined || patch === undefined
    ? undefined
    : [major, minor, patch];
}

function isNewer(version: Numbers, other: Numbers): boolean {
  const place = version.findIndex((number, n) => number !== other[n]);
  return place >= 0 && (version[place] ?? 0) > (other[place] ?? 0);
}

/** The text below a heading of the second level, up to the next one; undefined if there is no such heading. */
function section(changelog: string, heading: RegExp): string | undefined {
  const lines = changelog.split('\n');
  const begin = lines.findIndex((line) => heading.test(line));
  const end = lines.findIndex((line, n) => n > begin && line.startsWith('## '));
  return begin < 0
    ? undefined
    : lines
        .slice(begin + 1, end < 0 ? undefined : end)
        .join('\n')
        .trim();
}

const sectionOf = (changelog: string, version: string): string | undefined =>
  section(
    changelog,
    new RegExp(`^## \\[${version.replaceAll('.', '\\.')}\\] - \\d{4}-\\d\\d-\\d\\d$`),
  );

/** All reasons why this version can't be released, as sentences. */
export function releaseFaults({ version, packaged, changelog, tags, ref }: Release): string[] {
  const numbers = numbersOf(version);
  if (numbers === undefined) {
    return [`'${version}' isn't a version. Give three numbers, such as 1.2.3.`];
  }
  const newest = tags
    .map((tag) => numbersOf(tag.replace(/^v/, '')))
    .filter((other) => other !== undefined)
    .find((other) => !isNewer(numbers, other));
  return [
    ref !== 'refs/heads/main' && `Releases are made from refs/heads/main, and this is ${ref}.`,
    packaged !== version && `package.json has version ${packaged}. Run \`npm version ${version}\`.`,
    (sectionOf(changelog, version) ?? '') === '' &&
      `CHANGELOG.md has no text under '## [${version}] - YYYY-MM-DD'.`,
    (section(changelog, /^## \[Unreleased\]$/) ?? '') !== '' &&
      `CHANGELOG.md still has changes under Unreleased. Move them to '## [${version}]'.`,
    newest !== undefined && `v${newest.join('.')} is released, and ${version} isn't newer.`,
  ].filter((fault) => fault !== false);
}

/** The tag that moves to this release, such as `v1`. */
export const movingTag = (version: string): string => `v${String(numbersOf(version)?.[0])}`;

/**
 * The notes of a release: its section of the changelog. GitHub shows a line break of a release's text as one, so
 * paragraphs become single lines; and it knows no folder for relative links, so they become absolute ones.
 *
 * @param repository the web address of the repository
 */
export function releaseNotes(changelog: string, version: string, repository: string): string {
  return (sectionOf(changelog, version) ?? '')
    .replace(/(?<=\S)\n(?!\n)(?!\s*(?:[-*+] |\d+\. |[>|#]))\s*/g, ' ')
    .replace(/\]\((?![a-z]+:|#)([^)]+)\)/g, `](${repository}/blob/v${version}/$1)`);
}

/** In the format of GITHUB_OUTPUT. */
export function outputLines(outputs: Readonly<Record<string, string>>, delimiter: string): string {
  return Object.entries(outputs)
    .map(([name, value]) => `${name}<<${delimiter}\n${value}\n${delimiter}\n`)
    .join('');
}

function main(version: string): void {
  process.chdir(fileURLToPath(new URL('..', import.meta.url)));
  const git = ['tag', '--list', 'v*', '--no-contains', 'HEAD'];
  const changelog = readFileSync('CHANGELOG.md', 'utf8');
  const packaged = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const faults = releaseFaults({
    version,
    packaged: packaged.version,
    changelog,
    tags: execFileSync('git', git, { encoding: 'utf8' }).split('\n'),
    ref: process.env['GITHUB_REF'] ?? '',
  });
  if (faults.length > 0) {
    console.error(faults.join('\n'));
    process.exitCode = 1;
    return;
  }
  const { GITHUB_SERVER_URL = '', GITHUB_REPOSITORY = '', GITHUB_OUTPUT } = process.env;
  const outputs = {
    tag: `v${version}`,
    'major-tag': movingTag(version),
    notes: releaseNotes(changelog, version, `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}`),
  };
  console.log(`${outputs.tag} can be released, and ${outputs['major-tag']} moves to it.`);
  console.log(outputs.notes);
  if (GITHUB_OUTPUT !== undefined) {
    appendFileSync(GITHUB_OUTPUT, outputLines(outputs, randomUUID()));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv[2] ?? '');
