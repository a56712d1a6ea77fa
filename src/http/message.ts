/**
 * The request and response that every layer of the transport passes on. A layer is a function from a
 * `Send` to a `Send`; `transport.ts` stacks them.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { CodedError, type Code } from '../text/code.js';

export type Method = 'GET' | 'HEAD' | 'PUT' | 'DELETE' | 'POST';

export interface HttpRequest {
  readonly method: Method;
  readonly url: URL;
  /** Never `authorization`: that has a field of its own, so that no layer can send it on by accident. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The Authorization header's value. Sent to `url`'s origin (scheme, host and port) and nowhere else. */
  readonly authorization?: string;
  /** The token scopes that this request needs, such as `repository:team/app:pull`; read by auth. */
  readonly scope?: string;
  /** text, or bytes as they are */
  readonly body?: string | Buffer;
  /** Says that a POST may be sent again after a failure. The other methods are idempotent anyway. */
  readonly repeatable?: boolean;
  /** Ends the run in good order: sent although the run was told to stop. Set by whoever sends such requests. */
  readonly closing?: boolean;
  /** Asked right before each try is sent: once it is true, the request is not sent any more. */
  readonly isLate?: () => boolean;
  /** Sent so often at most after failures, for what can be asked in another way. A rate limit isn't a failure. */
  readonly mostTries?: number;
  /** Which try this is, from 1. Set by retry, read by whoever logs exchanges. */
  readonly attempt?: number;
  /** The largest body, in bytes, that the caller is ready to read. */
  readonly maxBytes: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Whole, or the request was rejected: a body that was cut off never gets here. */
  readonly body: Buffer;
  /** The body as it came, where it was encoded though nobody had asked for that. */
  readonly encoded?: Buffer;
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  /** Why a 401 or 403 isn't about the rights of the login, and what to do. Set by auth; holds no secret. */
  readonly login?: string;
  /** how often the request was sent, where that was more than once */
  readonly tries?: number;
  /** why it was not sent as often as usual */
  readonly gaveUp?: string;
}

export type Send = (request: HttpRequest) => Promise<HttpResponse>;

export type TransportFailure =
  | 'dns'
  | 'refused'
  | 'reset'
  | 'timeout'
  | 'tls'
  | 'truncated'
  | 'too-large'
  | 'redirect'
  | 'other';

/**
 * A request that did not bring what it was sent for, for any reason. The base of all errors that a
 * registry, a token server or the network can cause; its message is safe to print.
 */
export class RequestFailure extends CodedError {
  override name = 'RequestFailure';
}

const CODES: Readonly<Record<TransportFailure, Code>> = {
  dns: 'registry-unreachable',
  refused: 'registry-unreachable',
  reset: 'registry-unreachable',
  timeout: 'registry-unreachable',
  tls: 'certificate-refused',
  truncated: 'answer-truncated',
  'too-large': 'answer-too-large',
  redirect: 'redirect-not-followed',
  other: 'registry-unreachable',
};

/** No answer could be had. The message names method, redacted URL and cause; it holds no secret. */
export class TransportError extends RequestFailure {
  override name = 'TransportError';
  readonly kind: TransportFailure;
  /** whether it was another host that failed, to which the one that was asked had sent us */
  readonly isElsewhere: boolean;
  constructor(
    kind: TransportFailure,
    message: string,
    { isElsewhere = false, ...options }: ErrorOptions & { readonly isElsewhere?: boolean } = {},
  ) {
    super(message, CODES[kind], options);
    this.kind = kind;
    this.isElsewhere = isElsewhere;
  }
}

/**
 * Why a request failed, as its message says.
 *
 * @throws the error itself where it is a fault of this program
 */
export function failureMessage(error: unknown): string {
  if (error instanceof RequestFailure) {
    return error.message;
  }
  throw error;
}
