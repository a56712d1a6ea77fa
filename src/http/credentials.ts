/**
 * What the run may show to the registry to prove who it is. Wherever they come from (inputs, Docker
 * config, credential helper), they have one of these four forms.
 */
export type Credentials =
  /** `why`, for messages: where they were looked for, such as "the Docker config has none for …" */
  | { readonly kind: 'none'; readonly why?: string }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** An OAuth 2 refresh token, exchanged for access tokens at the realm. */
  | { readonly kind: 'identity-token'; readonly token: string }
  /** A bearer token for the registry itself: shown as it is, never exchanged. */
  | { readonly kind: 'registry-token'; readonly token: string };

/** The value of an Authorization header for user and password (RFC 7617 sec. 2, in UTF-8). */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** Every string of `credentials` that no log may show, in each form in which it travels. */
export function secretsOf(credentials: Credentials): string[] {
  if (credentials.kind === 'basic') {
    const { username, password } = credentials;
    return [password, basicAuthorization(username, password).slice('Basic '.length)];
  }
  return credentials.kind === 'none' ? [] : [credentials.token];
}
