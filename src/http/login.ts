/**
 * Says what a registry that answered 401 or 403 was shown of credentials, where that is the reason: none were given,
 * it never asked, or it asked for what can't be given. Pure; holds no secret.
 */
import type { Challenge } from './challenge.js';
import type { Credentials } from './credentials.js';

const GIVE =
  'Give `username` and `password` of an account that may do this, or log in with docker/login-action before this step';

/** Why there are no credentials, and what to do. */
export function whyMissing(why: string | undefined): string {
  return `No credentials were given${why === undefined ? '' : `, and ${why}`}. ${GIVE}`;
}

interface Shown {
  readonly credentials: Credentials;
  /** what the refused request showed */
  readonly proof: 'nothing' | 'basic' | 'registry-token' | 'bearer';
  /** whether the registry has ever asked for a login that this program knows */
  readonly isAsked: boolean;
  readonly status: number;
  /** those of the refusal */
  readonly challenges: readonly Challenge[];
  /** the origin that refused, where a redirect had led away from the registry */
  readonly elsewhere?: string;
}

/** @returns undefined where credentials were shown as the registry wants them, and do not suffice */
export function whyLoginFailed(shown: Shown): string | undefined {
  const { credentials, proof, isAsked, status, challenges, elsewhere } = shown;
  if (elsewhere !== undefined) {
    return (
      `That answer came from ${elsewhere}, to which the registry redirects and which gets no credentials. ` +
      'Check what is allowed there, or switch off such redirects in the registry'
    );
  }
  if (credentials.kind === 'none') {
    return whyMissing(credentials.why);
  }
  if (proof === 'basic') {
    return isAsked
      ? status === 401
        ? `The credentials were not accepted. ${GIVE}`
        : undefined
      : 'The registry never asked for a login. The credentials were sent anyway: they lack the right to do this, ' +
          `or the registry ignores them. ${GIVE}, or change what the registry, or a proxy in front of it, allows`;
  }
  if (proof !== 'nothing') {
    return undefined;
  }
  if (credentials.kind === 'identity-token') {
    return challenges.some(({ scheme }) => scheme === 'basic')
      ? `The registry asks for user and password, and the Docker config has an identity token for it. ${GIVE}`
      : `The registry never asked for a login by token, so the identity token was not shown. ${GIVE}`;
  }
  const schemes = [...new Set(challenges.map(({ scheme }) => scheme))].slice(0, 3).join(', ');
  return (
    `The credentials were not shown: the registry asks for ${schemes === '' ? 'a login without saying how' : `a login by ${schemes}`}, ` +
    'and this action knows Basic and Bearer. Change its configuration, or that of the proxy in front of it'
  );
}
