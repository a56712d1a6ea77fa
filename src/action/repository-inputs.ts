/** The inputs that name repositories. Where capitals in names mean nothing, they are made small before anything else. */
import * as core from '@actions/core';

import { isRepository } from '../oci/reference.js';
import { readProtect } from '../plan/protection.js';
import { namespacesOf, patternMistake, selectRepositories } from '../plan/selection.js';
import type { Family } from '../registry/registry.js';
import type { Settings } from '../run/settings.js';
import { entriesOf } from './list.js';
import { shorten, type Mistake } from './mistake.js';

/** The meaning of repository names depends on these. */
interface Surroundings {
  /** absent: a mistake in the inputs hides it */
  readonly family: Family | undefined;
  /** where GITHUB_REPOSITORY is looked up */
  readonly env: NodeJS.ProcessEnv;
  /** whether a plan or a backup names the repositories, and the input only narrows them */
  readonly isNarrowing: boolean;
}

/** @param text of the input `repositories` */
export function readRepositories(
  text: string,
  { family, env, isNarrowing }: Surroundings,
  mistake: Mistake,
): Pick<Settings, 'selection' | 'namespaces'> {
  const isOfGitHub = family?.isOfGitHub === true;
  const patterns = entriesOf(foldNames(text, family), /[\n,]/);
  const good = patterns.filter((pattern) => {
    const isOwnerless = isOfGitHub && isRepository(pattern) && !pattern.includes('/');
    const wrong = patternMistake(pattern) ?? (isOwnerless ? 'without its owner' : undefined);
    if (wrong !== undefined) {
      mistake(
        'repositories',
        `repository names and globs such as \`team/app\`, \`team/**\` or \`!team/legacy-*\`, in lower case; this one is ${wrong}`,
        pattern,
      );
    }
    return wrong === undefined;
  });
  const named = { selection: selectRepositories(good), namespaces: namespacesOf(good) };
  if (!isOfGitHub || good.length < patterns.length) {
    return named;
  }
  const own = foldNames(env['GITHUB_REPOSITORY'] ?? '', family);
  const owner = own.slice(0, Math.max(0, own.indexOf('/')));
  const isDefault = patterns.length === 0 && !isNarrowing;
  const isKnown = isDefault ? owner !== '' && isRepository(own) : owner !== '' || isNarrowing;
  if (named.namespaces.length === 0 && !isKnown) {
    const why = own === '' ? "isn't set" : `is "${shorten(own)}", which no image can be called`;
    const takes = 'names with their owner such as `owner/app`, or globs such as `owner/**`';
    mistake('repositories', takes, text, `the default comes from GITHUB_REPOSITORY, which ${why}`);
    return named;
  }
  return {
    selection: isDefault ? selectRepositories([own]) : named.selection,
    namespaces: named.namespaces.length > 0 || owner === '' ? named.namespaces : [owner],
  };
}

/**
 * In GitHub's names capitals mean nothing, and expressions such as `github.repository` have them. ASCII alone: other
 * letters are in no name, and must not become one that is.
 */
export function foldNames(text: string, family: Family | undefined): string {
  return family?.isOfGitHub === true
    ? text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
    : text;
}

/** @returns the text of the input `digests`, with the names in front of digests folded */
export function readDigests(family: Family | undefined): string {
  // A path of the storage or a line of a log stays as it is.
  return core.getInput('digests').replace(/[^\s@"]+(?=@sha)/g, (name) => foldNames(name, family));
}

/**
 * Reads `protect`.
 *
 * @param host of the registry, with its port
 */
export function readProtected(
  host: string,
  family: Family | undefined,
  mistake: Mistake,
): Settings['protection'] {
  const text = foldNames(core.getInput('protect'), family);
  return readProtect(text, host, (entry, behindHost) => {
    const takes =
      behindHost === undefined
        ? 'digests, `repository@sha256:…` and repository names or globs such as `team/**`, without exclusions'
        : `the host of this registry with its port or not at all: \`${host}/${shorten(behindHost)}\` or ` +
          `\`${shorten(behindHost)}\`, and \`${host}/${shorten(entry)}\` for a repository whose name begins so`;
    mistake('protect', takes, entry);
  });
}
