/** The errors of both faces, in GHCR's and GitHub's own words where these are known. */
import { json, type Answer } from '../memory/answer.js';

/** An error of the registry. */
export function registryError(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Answer {
  return json(status, { errors: [{ code, message }] }, headers);
}

/** An error of the REST API. */
export function restError(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): Answer {
  const documentation_url = 'https://docs.github.com/rest';
  return json(status, { message, documentation_url, status: String(status) }, headers);
}

export const WORDS = {
  badCredentials: 'Bad credentials',
  requiresAuthentication: 'Requires authentication',
  notAccessible: 'Resource not accessible by integration',
  invalidArgument: 'Invalid argument.',
  packageNotFound: 'Package not found.',
  notFound: 'Not Found',
  lastTagged:
    'You cannot delete the last tagged version of a package. You must delete the package instead.',
  lastVersion:
    'You cannot delete the last version of a package. You must delete the package instead.',
  tooManyDownloads:
    'Publicly visible package versions with more than 5000 downloads cannot be deleted. ' +
    'Contact GitHub support for further assistance.',
  secondaryLimit:
    'You have exceeded a secondary rate limit. Please wait a few minutes before you try again. ' +
    'If you reach out to GitHub Support for help, please include the request ID.',
  noUserAgent:
    'Request forbidden by administrative rules. Please make sure your request has a User-Agent header ' +
    '(https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). ' +
    'Check https://developer.github.com for other possible causes.',
} as const;
