/**
 * Answers and error bodies, spelled as Distribution 2.8.2 spells them: Go's JSON encoder, which ends in a
 * line feed, and `detail` after `message`.
 */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const JSON_TYPE = 'application/json; charset=utf-8';

const MESSAGES = {
  BLOB_UNKNOWN: [404, 'blob unknown to registry'],
  DIGEST_INVALID: [400, 'provided digest did not match uploaded content'],
  MANIFEST_BLOB_UNKNOWN: [400, 'blob unknown to registry'],
  MANIFEST_INVALID: [400, 'manifest invalid'],
  MANIFEST_UNKNOWN: [404, 'manifest unknown'],
  BLOB_UPLOAD_INVALID: [404, 'blob upload invalid'],
  BLOB_UPLOAD_UNKNOWN: [404, 'blob upload unknown to registry'],
  NAME_UNKNOWN: [404, 'repository name not known to registry'],
  PAGINATION_NUMBER_INVALID: [400, 'invalid number of results requested'],
  UNAUTHORIZED: [401, 'authentication required'],
  UNKNOWN: [500, 'unknown error'],
  UNSUPPORTED: [405, 'The operation is unsupported.'],
} as const;

export type ErrorCode = keyof typeof MESSAGES;

export interface RegistryError {
  readonly code: ErrorCode;
  readonly message?: string;
  readonly detail?: unknown;
}

export function empty(status: number, headers: Record<string, string> = {}): Answer {
  return { status, headers, body: Buffer.alloc(0) };
}

export function json(status: number, value: unknown, headers: Record<string, string> = {}): Answer {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  return { status, headers: { 'Content-Type': JSON_TYPE, ...headers }, body };
}

export function text(status: number, line: string, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: {
      'Content-Type': 'text/plain; charset=utf-8',
      'X-Content-Type-Options': 'nosniff',
      ...headers,
    },
    body: Buffer.from(`${line}\n`),
  };
}

/** One error answer; the first error's code decides the status, as in Distribution's errcode package. */
export function failure(first: RegistryError, ...others: readonly RegistryError[]): Answer {
  const errors = [first, ...others].map(({ code, message, detail }) => ({
    code,
    message: message ?? MESSAGES[code][1],
    ...(detail === undefined ? {} : { detail }),
  }));
  return json(MESSAGES[first.code][0], { errors });
}

export function pageNotFound(): Answer {
  return text(404, '404 page not found');
}

export function methodNotAllowed(allow: readonly string[]): Answer {
  return text(405, 'Method not allowed', { Allow: allow.join(', ') });
}
