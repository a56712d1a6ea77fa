/**
 * Answers of what stands between here and a registry, where they can be told from the registry's: a port for TLS that
 * was spoken to in plain HTTP, a redirect, a proxy with its own pages and limits. In words that say what to do.
 */
import type { Code } from '../../text/code.js';
import { CLIENT_CERTIFICATE } from '../../http/failure.js';
import type { HttpResponse } from '../../http/message.js';
import { isRedirect } from '../../http/redirect.js';
import type { RegistryErrorKind } from '../registry-error.js';
import { isPage } from './page.js';

/** Go's net/http; nginx; Apache; Tomcat. Each with 400. */
const WANTS_TLS =
  /HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS port|plain HTTP to an SSL-enabled server port|requires TLS/i;
/** nginx, with 400, and with 495 and 496 in between. */
const WANTS_CERTIFICATE = /No required SSL certificate was sent|The SSL certificate error/i;

/**
 * @param doing what was asked for, as in "could not …", and whether it was a write
 * @param error whether a registry's error was in the body
 * @returns the message without what was asked for, or `undefined` when it may well be the registry's own answer
 */
export function fromBetween(
  response: HttpResponse,
  doing: { readonly deletes?: boolean; readonly pushes?: boolean },
  hasError: boolean,
): { readonly kind: RegistryErrorKind; readonly code: Code; readonly text: string } | undefined {
  const { status, url } = response;
  const head = response.body.toString('utf8', 0, 4096);
  if (status === 400 && url.protocol === 'http:' && WANTS_TLS.test(head)) {
    const text = `the server wants TLS on this port. Put \`https://${url.host}\` into \`registry-url\``;
    return { kind: 'not-a-registry', code: 'tls-expected', text };
  }
  if (status === 400 && WANTS_CERTIFICATE.test(head)) {
    const text = `${String(status)}. ${CLIENT_CERTIFICATE}`;
    return { kind: 'unexpected', code: 'client-certificate-wanted', text };
  }
  if (isRedirect(response)) {
    return { kind: 'not-a-registry', code: 'redirect-not-followed', text: redirected(response) };
  }
  if (status === 413) {
    const text =
      '413: what was sent is larger than the registry, or a proxy before it, takes. Raise the limit there: in nginx it ' +
      'is `client_max_body_size`, and 0 means none';
    return { kind: 'unexpected', code: 'upload-too-large', text };
  }
  if (hasError || ![403, 405, 501].includes(status) || !isPage(response)) {
    return undefined;
  }
  const isWrite = doing.deletes === true || doing.pushes === true;
  const methods = doing.deletes ? 'DELETE' : doing.pushes ? 'POST, PUT and HEAD' : 'GET and HEAD';
  return {
    code: 'proxy-refused',
    kind: status === 403 ? 'forbidden' : isWrite ? 'read-only' : 'unexpected',
    text:
      `${String(status)} with a page of HTML, which registries don't send: a proxy or firewall between here and the ` +
      `registry refused it. Let it pass ${methods} of \`/v2/\`, or give the registry's own address in \`registry-url\``,
  };
}

function redirected({ status, headers, url }: HttpResponse): string {
  const { location = '' } = headers;
  const target = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
  const isOther = target !== undefined && target.origin !== url.origin;
  const isHttp = isOther && /^https?:$/.test(target.protocol);
  const address = isHttp ? `\`${target.origin}\`` : 'its address';
  return (
    `${String(status)}, a redirect${isHttp ? ` to ${target.origin}` : ''}, which is followed for reads only. If the registry is there, ` +
    `put ${address} into \`registry-url\``
  );
}
