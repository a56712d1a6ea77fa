/**
 * Turns what Node says when an exchange breaks into a TransportError: its kind, which decides whether to
 * try again, and words for the person who has to correct it.
 */
import { codeOf, messageOf } from '../text/error.js';
import { redactUrl } from './redact.js';
import { TransportError, type HttpRequest, type TransportFailure } from './message.js';

/** A failure of `request`: the message names method and redacted URL. */
export function failure(
  request: Pick<HttpRequest, 'method' | 'url'>,
  kind: TransportFailure,
  detail: string,
  cause?: unknown,
): TransportError {
  const message = `${request.method} ${redactUrl(request.url)}: ${detail}`;
  return new TransportError(kind, message, cause === undefined ? undefined : { cause });
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

/** Alerts that a server sends which asked for a certificate and got none: as TLS 1.3 has it, and as 1.2 has. */
const NO_CERTIFICATE = /ALERT_(?:CERTIFICATE_REQUIRED|BAD_CERTIFICATE)/;

/** A TLS record of the type alert, which is how a TLS server answers plain HTTP (RFC 8446 sec. 5.1). */
const TLS_ALERT = Buffer.from([0x15, 0x03]);

const NOT_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|wrong version number/i;

/** @param error what the connection failed with, before the answer's headers had come */
export function connectionFailure(request: HttpRequest, error: unknown): TransportError {
  if (error instanceof TransportError) {
    return error;
  }
  const code = codeOf(error);
  const text = messageOf(error, '');
  if (text.startsWith('tunneling socket')) {
    // The tunnel says ECONNRESET for anything that went wrong between us and the proxy.
    const { protocol, hostname } = request.url;
    const detail =
      `the proxy opened no tunnel (${text}). Is ${protocol === 'http:' ? 'http_proxy' : 'https_proxy'} right? If ` +
      `the registry needs no proxy, put ${hostname} into \`no_proxy\``;
    return failure(request, 'refused', detail, error);
  }
  const kind = TLS_CODE.test(code) ? 'tls' : (KINDS[code] ?? 'other');
  if (code.startsWith('HPE_')) {
    return failure(request, 'other', notHttp(request.url, code, error), error);
  }
  return failure(request, kind, explain(kind, request.url, code, text), error);
}

/** Where a connection could not be made: mostly the runner stands on the wrong side of something. */
export const CAN_IT_REACH =
  'Can the runner reach it? A GitHub-hosted runner reaches only what is open to the internet: for a registry in a ' +
  'private network use a self-hosted runner';

/** Where a server asks for one, by TLS or in HTTP. */
export const CLIENT_CERTIFICATE =
  "The server wants a client certificate, which this action can't send: let the runner in without one, or give an " +
  'address of the registry that asks for none';

function notHttp({ protocol, host }: URL, code: string, error: unknown): string {
  const raw: unknown =
    typeof error === 'object' && error !== null ? Reflect.get(error, 'rawPacket') : undefined;
  const isAlert = raw instanceof Uint8Array && TLS_ALERT.equals(raw.subarray(0, 2));
  return protocol === 'http:' && isAlert
    ? `the server wants TLS on this port. Put https://${host} into registry-url`
    : `the answer isn't valid HTTP (${code}). Does something else listen on this port?`;
}

function explain(
  kind: TransportFailure,
  { hostname, host, protocol }: URL,
  code: string,
  text: string,
): string {
  switch (kind) {
    case 'dns':
      return `the name ${hostname} could not be resolved (${code}). Is it spelled right? ${CAN_IT_REACH}`;
    case 'refused':
      return `no connection (${code}). Does the registry listen on this port? ${CAN_IT_REACH}`;
    case 'reset':
      return (
        `the connection broke off before an answer came (${code})` +
        (protocol === 'http:'
          ? `. If the server wants TLS, put https://${host} into registry-url`
          : '')
      );
    case 'timeout':
      return `the connection timed out (${code}). ${CAN_IT_REACH}`;
    case 'tls':
      if (NO_CERTIFICATE.test(code)) {
        return `the handshake was refused (${code}). ${CLIENT_CERTIFICATE}`;
      }
      return NOT_TLS.test(`${code} ${text}`)
        ? `the server does not speak TLS on this port (${code}); if it is meant to be plain HTTP, ` +
            'put http:// in front of registry-url'
        : `the TLS certificate or handshake was rejected (${code || text}). If the certificate ` +
            'comes from a private authority, give that in `ca-file`; `insecure: true` skips the check';
    default:
      return text || 'the exchange failed';
  }
}
