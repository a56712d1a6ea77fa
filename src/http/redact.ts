/**
 * Keeps secrets out of what people read. Every URL and every piece of a server's text that enters a
 * message or a log passes through here first.
 */

/** Query parameters whose values say what was asked for. All others may be signatures or tokens. */
const HARMLESS = new Set(['n', 'last', 'scope', 'service', 'digest', 'artifactType']);

const MASK = '***';

/** The URL without user, password and fragment, with the values of unknown query parameters masked. */
export function redactUrl(url: URL): string {
  const query = [...url.searchParams].map(
    ([name, value]) => `${encodeURIComponent(name)}=${HARMLESS.has(name) ? readable(value) : MASK}`,
  );
  return `${url.protocol}//${url.host}${url.pathname}${query.length > 0 ? `?${query.join('&')}` : ''}`;
}

/** Scopes and digests are full of `:` and `/`, which a query may hold as they are (RFC 3986 sec. 3.4). */
function readable(value: string): string {
  return encodeURIComponent(value).replace(/%3A|%2F|%2C/g, decodeURIComponent);
}

/** The secrets of this run, and a way to take them out of any text. */
export interface SecretStore {
  add(secret: string): void;
  /** `text` with each known secret replaced by `***`, also where it stands URL-encoded or in JSON. */
  redact(text: string): string;
}

export function createSecretStore(): SecretStore {
  const secrets = new Set<string>();
  return {
    add(secret) {
      for (const form of [
        secret,
        encodeURIComponent(secret),
        formEncoded(secret),
        inJson(secret),
      ]) {
        if (form !== '') {
          secrets.add(form);
        }
      }
    },
    redact(text) {
      // Longest first: a secret that is part of another one must not leave the rest of it standing.
      const longestFirst = [...secrets].sort((a, b) => b.length - a.length);
      return longestFirst.reduce((redacted, secret) => redacted.replaceAll(secret, MASK), text);
    },
  };
}

function formEncoded(secret: string): string {
  return new URLSearchParams({ '': secret }).toString().slice(1);
}

function inJson(secret: string): string {
  return JSON.stringify(secret).slice(1, -1);
}
