/** The routes of GitHub's REST API that are played here. All others count as mistakes of the client. */

export type Family = 'orgs' | 'users' | 'user';

export type RestKind =
  | 'account'
  | 'self'
  | 'rate-limit'
  | 'packages'
  | 'package'
  | 'versions'
  | 'version'
  | 'delete'
  | 'restore';

export interface RestRoute {
  readonly kind: RestKind;
  readonly method: string;
  /** as GitHub's API description names it */
  readonly template: string;
  /** from the path, decoded; `organization_id` in place of `org` where the route names the owner by its id */
  readonly parameters: Readonly<Record<string, string>>;
  readonly family?: Family;
}

interface Entry {
  readonly method: string;
  readonly kind: RestKind;
  readonly template: string;
  readonly family?: Family;
  readonly pattern: RegExp;
  readonly names: readonly string[];
}

const PACKAGE = '/packages/{package_type}/{package_name}';
const VERSION = `${PACKAGE}/versions/{package_version_id}`;

const BELOW_OWNERS: readonly (readonly [string, RestKind, string])[] = [
  ['GET', 'packages', '/packages'],
  ['GET', 'package', PACKAGE],
  ['GET', 'versions', `${PACKAGE}/versions`],
  ['GET', 'version', VERSION],
  ['DELETE', 'delete', VERSION],
  ['POST', 'restore', `${VERSION}/restore`],
];

const OWNERS: readonly (readonly [Family, string, string])[] = [
  ['orgs', '/orgs/{org}', '/orgs/{org}'],
  // Not in GitHub's API description: the Link headers of organizations' lists point here.
  ['orgs', '/orgs/{org}', '/organizations/{organization_id}'],
  ['users', '/users/{username}', '/users/{username}'],
  ['user', '/user', '/user'],
];

const ENTRIES: readonly Entry[] = [
  entry('GET', 'account', '/users/{username}'),
  entry('GET', 'self', '/user'),
  entry('GET', 'rate-limit', '/rate_limit'),
  ...OWNERS.flatMap(([family, template, path]) =>
    BELOW_OWNERS.map(([method, kind, rest]) => ({
      ...entry(method, kind, path + rest),
      template: template + rest,
      family,
    })),
  ),
];

function entry(method: string, kind: RestKind, path: string): Entry {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  const pattern = new RegExp(`^${path.replaceAll(/\{\w+\}/g, '([^/]+)')}$`);
  return { method, kind, template: path, pattern, names };
}

/** @param pathname still encoded, so that `%2F` isn't a separator */
export function restRouteOf(method: string, pathname: string): RestRoute | undefined {
  for (const { pattern, names, ...found } of ENTRIES) {
    const values = found.method === method ? pattern.exec(pathname) : null;
    if (values !== null) {
      const parameters = Object.fromEntries(
        names.map((name, n) => [name, decoded(values[n + 1] ?? '')]),
      );
      return { ...found, parameters };
    }
  }
  return undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
