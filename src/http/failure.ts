/**
 * Turns what Node says when an exchange breaks into a TransportError: its kind, which decides whether to
 * try again, and words for the person who has to mend it.
 */
import { redactUrl } from './redact.js';
import { TransportError, type HttpRequest, type TransportFailure } from './message.js';

/** A failure of `request`: the message names method and redacted URL. */
export function failure(
  request: HttpRequest,
  kind: TransportFailure,
  detail: string,
  cause?: unknown,
): TransportError {
  const message = `${request.method} ${redactUrl(request.url)}: ${detail}`;
  return new TransportError(kind, message, cause === undefined ? undefined : { cause });
}

/** The `code` that Node puts on system, TLS and parser errors, or `''`. */
export function codeOf(error: unknown): string {
  return textOf(error, 'code');
}

/** Read by name and not by `instanceof`: an error of another realm is an error too. */
function textOf(error: unknown, property: 'code' | 'message'): string {
  const value: unknown =
    typeof error === 'object' && error !== null ? Reflect.get(error, property) : undefined;
  return typeof value === 'string' ? value : '';
}

const KINDS: Readonly<Record<string, TransportFailure>> = {
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'refused',
  ENETUNREACH: 'refused',
  EADDRNOTAVAIL: 'refused',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timeout',
  EPROTO: 'tls',
};

/** OpenSSL's verification results come as bare codes such as SELF_SIGNED_CERT_IN_CHAIN. */
const TLS_CODE = /^ERR_(?:SSL|TLS)_|CERT|^UNABLE_TO_|^CRL_|^HOSTNAME_MISMATCH$/;

const NOT_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|wrong version number/i;

/** @param error what the connection failed with, before the answer's headers had come */
export function connectionFailure(request: HttpRequest, error: unknown): TransportError {
  if (error instanceof TransportError) {
    return error;
  }
  const code = codeOf(error);
  const text = textOf(error, 'message');
  if (text.startsWith('tunneling socket')) {
    // The tunnel says ECONNRESET for whatever went wrong between us and the proxy.
    return failure(request, 'refused', `the proxy opened no tunnel (${text})`, error);
  }
  const kind = TLS_CODE.test(code) ? 'tls' : (KINDS[code] ?? 'other');
  return failure(request, kind, explain(kind, request.url.hostname, code, text), error);
}

function explain(kind: TransportFailure, host: string, code: string, text: string): string {
  switch (kind) {
    case 'dns':
      return `the name ${host} could not be resolved (${code})`;
    case 'refused':
      return `no connection (${code})`;
    case 'reset':
      return `the connection broke off before an answer came (${code})`;
    case 'timeout':
      return `no connection in time (${code})`;
    case 'tls':
      return NOT_TLS.test(`${code} ${text}`)
        ? `the server does not speak TLS on this port (${code}); if it is meant to be plain HTTP, ` +
            'put http:// in front of registry-url'
        : `the TLS certificate or handshake was rejected (${code || text}). If the certificate ` +
            'comes from a private authority, name that in ca-file; insecure: true skips the check';
    default:
      return text || 'the exchange failed';
  }
}
