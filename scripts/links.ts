/**
 * Checks the links within the repository: those of its Markdown, and the files that the comments of the examples name.
 * A link leads to a file that exists, and to an anchor that GitHub makes there. Nothing is fetched.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import GithubSlugger from 'github-slugger';

export const root = fileURLToPath(new URL('..', import.meta.url));

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** The paths of the Markdown at the top and in docs/, and of the examples, by their ends. */
export function documents(end: '.md' | '.yml'): string[] {
  const below = (folder: string): string[] =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
      (name) => `${folder}/${name.replaceAll('\\', '/')}`,
    );
  const paths = end === '.md' ? [...readdirSync(root), ...below('docs')] : below('examples');
  return paths.filter((path) => path.endsWith(end)).sort();
}

/** The text without blocks of code, which hold `#` and brackets that mean something else. */
const prose = (markdown: string): string => markdown.replace(/^ *```[^]*?^ *```$/gm, '');

/** Those that are written out, and those that GitHub makes of headings. */
export function anchorsOf(markdown: string): Set<string> {
  const slugger = new GithubSlugger();
  const text = prose(markdown);
  const written = [...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id);
  const headings = [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
    slugger.slug(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')),
  );
  return new Set([...written, ...headings]);
}

/** The targets of all links and pictures that stay within this repository. */
export function linksOf(markdown: string): string[] {
  const text = prose(markdown).replace(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)|<(?:img|a)\s[^>]*?(?:src|href)="([^"]+)"/g)]
    .map(([, inline, tag]) => inline ?? tag ?? '')
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** What the comments of an example name: other examples, and pages of the docs. */
export function namedInComments(yaml: string): string[] {
  const comments = [...yaml.matchAll(/(?:^|\s)# (.*)$/gm)].map(([, comment = '']) => comment);
  return comments.flatMap((comment) => [
    ...[...comment.matchAll(/(?<![\w./-])([\w-]+\.yml)\b/g)].map(([, name = '']) => name),
    ...[...comment.matchAll(/\bdocs\/[\w./-]+\.md(?:#[\w-]+)?/g)].map(([path]) => `../${path}`),
  ]);
}

/**
 * What is wrong with a link, or undefined.
 * @param from path of the file that has it
 */
export function linkFault(from: string, link: string): string | undefined {
  const target = new URL(link, new URL(from, 'file:///'));
  const path = decodeURIComponent(target.pathname.slice(1)) || from;
  if (!existsSync(join(root, path))) {
    return `${from}: ${link} leads nowhere: there is no ${path}`;
  }
  const anchor = target.hash.slice(1);
  return anchor !== '' && !anchorsOf(read(path)).has(anchor)
    ? `${from}: ${link} leads nowhere: ${path} has no heading or anchor for it`
    : undefined;
}

/** All links that lead nowhere, each with the file that has it. */
export function linkFaults(): string[] {
  const links = [
    ...documents('.md').map((path) => [path, linksOf(read(path))] as const),
    ...documents('.yml').map((path) => [path, namedInComments(read(path))] as const),
  ];
  return links
    .flatMap(([path, targets]) => targets.map((target) => linkFault(path, target)))
    .filter((fault) => fault !== undefined);
}
