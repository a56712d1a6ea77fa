/** The addresses of this project's pages, for messages. Pure. */
import { codeIn } from './code.js';
import { VERSION } from './version.js';

const [major = ''] = VERSION.split('.');

/** Where the pages and examples of the newest version with this major number are. */
export const NEWEST_PAGES = `https://github.com/registry-manifest-cleanup/registry-manifest-cleanup/blob/v${major}`;

/**
 * Where the pages of the version that runs are, as GitHub's runner names it; elsewhere those of the newest version. A
 * value that doesn't look right is not used, because it would end up in a link.
 *
 * @param env `GITHUB_SERVER_URL`, `GITHUB_ACTION_REPOSITORY` and `GITHUB_ACTION_REF`
 * @returns without a slash at the end
 */
export function pagesOf(env: Readonly<Record<string, string | undefined>>): string {
  const server = env['GITHUB_SERVER_URL'] ?? 'https://github.com';
  const repository = env['GITHUB_ACTION_REPOSITORY'] ?? '';
  const ref = env['GITHUB_ACTION_REF'] ?? '';
  const isWhole =
    /^https?:\/\/[\w.-]+(?::\d+)?$/.test(server) &&
    /^[\w.-]+\/[\w.-]+$/.test(repository) &&
    /^[\w-][\w./-]*$/.test(ref) &&
    !`/${repository}/${ref}/`.includes('/../');
  return isWhole ? `${server}/${repository}/blob/${ref}` : NEWEST_PAGES;
}

/**
 * @param path from the project's root, with the anchor
 * @param pages as `pagesOf` gives it
 */
export function pageLink(path: string, pages = NEWEST_PAGES): string {
  return `${pages}/${path}`;
}

/** The entry of docs/troubleshooting.md about the code that a message ends with; `undefined` where it has none. */
export function helpLink(message: string, pages?: string): string | undefined {
  const code = codeIn(message);
  return code === undefined ? undefined : pageLink(`docs/troubleshooting.md#${code}`, pages);
}
