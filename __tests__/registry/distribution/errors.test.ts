import { describe, expect, it } from '@jest/globals';
import { ADVICE } from '../../../src/registry/families/distribution.js';

import type { RegistryErrorKind } from '../../../src/registry/registry-error.js';
import { codeIn, type Code } from '../../../src/text/code.js';
import type { HttpResponse } from '../../../src/http/message.js';
import {
  errorOf,
  mayLackRoute,
  refusal,
  saysBlobUnknown,
  saysUnknown,
  type Doing,
} from '../../../src/registry/distribution/errors.js';
import { printable } from '../../../src/text/printable.js';

const { allowDeletes: ALLOW_DELETES } = ADVICE;

function response(
  status: number,
  body: unknown = '',
  headers: HttpResponse['headers'] = {},
): HttpResponse {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { status, headers, body: Buffer.from(text), url: new URL('https://r.example/v2/') };
}

const error = (code: unknown, message?: unknown) => ({ errors: [{ code, message }] });

describe('errorOf', () => {
  it.each<[string, unknown, ReturnType<typeof errorOf>]>([
    ['the first error', error('DENIED', 'no'), { code: 'DENIED', message: 'no' }],
    ['without a message', error('DENIED'), { code: 'DENIED', message: '' }],
    ['with a message that is no text', error('DENIED', 7), { code: 'DENIED', message: '' }],
    ['with a code that is no text', error(7, 'no'), { code: '', message: 'no' }],
    ['without a code', { errors: [{ message: 'no' }] }, { code: '', message: 'no' }],
    [
      'with a detail',
      { errors: [{ code: 'DENIED', detail: 'why' }] },
      { code: 'DENIED', message: '', detail: 'why' },
    ],
    [
      'with a detail that is no text',
      { errors: [{ code: 'DENIED', detail: [{ Type: 'registry' }] }] },
      { code: 'DENIED', message: '', detail: [{ Type: 'registry' }] },
    ],
    ['none', { errors: [] }, undefined],
    ['errors that are no list', { errors: 'DENIED' }, undefined],
    ['another object', { message: 'Not Found' }, undefined],
    ['null', null, undefined],
    ['HTML', '<html>', undefined],
    ['nothing', '', undefined],
  ])('the first error of a body is read: %s', (_, body, expected) => {
    expect(errorOf(response(404, body))).toEqual(expected);
  });
});

describe('saysUnknown', () => {
  it.each<[string, number, unknown, boolean]>([
    ['404 MANIFEST_UNKNOWN', 404, error('MANIFEST_UNKNOWN', 'manifest unknown'), true],
    ['404 NAME_UNKNOWN', 404, error('NAME_UNKNOWN'), true],
    ["Harbor's 404 NOT_FOUND", 404, error('NOT_FOUND', 'artifact team/app:v1 not found'), true],
    ['NOT_FOUND in text', 404, 'NOT_FOUND', false],
    ['NOT_FOUND in a page', 404, '<html>{"errors":[{"code":"NOT_FOUND"}]}</html>', false],
    ['NOT_FOUND of another API', 404, { code: 'NOT_FOUND', message: 'no' }, false],
    [
      'an OCI manifest that Accept left out',
      404,
      error('MANIFEST_UNKNOWN', 'OCI index found, but Accept Header does not support OCI indexes'),
      false,
    ],
    ['another code', 404, error('DENIED'), false],
    ['BLOB_UNKNOWN', 404, error('BLOB_UNKNOWN'), false],
    ['another status', 400, error('NAME_UNKNOWN'), false],
    ['plain text', 404, '404 page not found\n', false],
    ['HTML', 404, '<html>MANIFEST_UNKNOWN</html>', false],
    ['nothing', 404, '', false],
  ])('an answer says it or not, as its body has it: %s: %i', (_, status, body, expected) => {
    expect(saysUnknown(response(status, body))).toBe(expected);
  });
});

describe('saysBlobUnknown', () => {
  it.each<[string, number, unknown, boolean]>([
    ['404 BLOB_UNKNOWN', 404, error('BLOB_UNKNOWN', 'blob unknown to registry'), true],
    ['404 NAME_UNKNOWN', 404, error('NAME_UNKNOWN'), true],
    ["Harbor's 404 NOT_FOUND", 404, error('NOT_FOUND', 'artifact team/app:v1 not found'), true],
    ['NOT_FOUND in text', 404, 'NOT_FOUND', false],
    ['NOT_FOUND in a page', 404, '<html>{"errors":[{"code":"NOT_FOUND"}]}</html>', false],
    ['NOT_FOUND of another API', 404, { code: 'NOT_FOUND', message: 'no' }, false],
    ['404 MANIFEST_UNKNOWN', 404, error('MANIFEST_UNKNOWN'), true],
    ['DENIED', 404, error('DENIED'), false],
    ['UNAVAILABLE', 404, error('UNAVAILABLE'), false],
    ['no code', 404, { errors: [{ message: 'blob unknown' }] }, false],
    ['another status', 400, error('BLOB_UNKNOWN'), false],
    ['plain text', 404, '404 page not found\n', false],
    ['HTML', 404, '<html>BLOB_UNKNOWN</html>', false],
    ['nothing', 404, '', false],
  ])('an answer says it or not, as its body has it: %s: %i', (_, status, body, expected) => {
    expect(saysBlobUnknown(response(status, body))).toBe(expected);
  });
});

describe('mayLackRoute', () => {
  it.each<[string, number, unknown, boolean]>([
    ['404 in plain text', 404, '404 page not found\n', true],
    ['404 without a body', 404, '', true],
    ['a page that was not found', 404, '<html>', true],
    ['404 NOT_FOUND', 404, error('NOT_FOUND'), true],
    ['404 MANIFEST_UNKNOWN', 404, error('MANIFEST_UNKNOWN'), true],
    ['405 UNSUPPORTED', 405, error('UNSUPPORTED'), true],
    ['501', 501, '', true],
    ['a page', 200, '<html>', true],
    ['404 DENIED', 404, error('DENIED'), false],
    ['404 UNAUTHORIZED', 404, error('UNAUTHORIZED'), false],
    ['405 TOOMANYREQUESTS', 405, error('TOOMANYREQUESTS'), false],
    ['501 UNAVAILABLE', 501, error('UNAVAILABLE'), false],
    ['200 DENIED', 200, error('DENIED'), false],
    ['403', 403, '', false],
    ['500 UNSUPPORTED', 500, error('UNSUPPORTED'), false],
  ])('an answer tells of a missing route or not: %s', (_, status, body, expected) => {
    expect(mayLackRoute(response(status, body))).toBe(expected);
  });
});

describe('refusal', () => {
  const deleting: Doing = {
    what: 'delete team/app@sha256:00',
    scope: 'repository:team/app:pull,delete',
    deletes: true,
  };
  const listing: Doing = { what: 'list the tags of team/app', scope: 'repository:team/app:pull' };
  const catalog: Doing = { what: 'list them all', scope: 'registry:catalog:*', optional: true };
  const readOnly = {
    errors: [{ code: 'DENIED', message: 'no', detail: 'repository is read-only' }],
  };
  const bearer = { 'www-authenticate': 'Bearer realm="https://a/t",scope="repository:x:delete"' };

  it.each<[HttpResponse, Doing, Code]>([
    [response(401, error('UNAUTHORIZED')), listing, 'credentials-refused'],
    [response(403, error('DENIED')), listing, 'right-missing'],
    [response(405, error('UNSUPPORTED')), deleting, 'deletes-disabled'],
    [response(405), deleting, 'registry-read-only'],
    [response(404, 'no'), listing, 'not-a-registry'],
    [response(413, '<html>'), listing, 'upload-too-large'],
    [response(429), listing, 'rate-limited'],
    [response(503), listing, 'server-failed'],
    [response(400, error('X')), listing, 'unexpected-answer'],
    [response(405, '<html>', { 'content-type': 'text/html' }), deleting, 'proxy-refused'],
    [
      response(400, '<html>400 No required SSL certificate was sent</html>'),
      listing,
      'client-certificate-wanted',
    ],
    [response(307, '', { location: 'https://other.example/' }), deleting, 'redirect-not-followed'],
  ])('ends with the code of its cause: case %#', (answer, doing, code) => {
    expect(codeIn(refusal(answer, doing, printable, ALLOW_DELETES).message)).toBe(code);
  });

  it.each<[string, HttpResponse, Doing, RegistryErrorKind, string[]]>([
    [
      '401',
      response(401, error('UNAUTHORIZED', 'authentication required')),
      listing,
      'unauthorized',
      [
        'list the tags of team/app',
        '`repository:team/app:pull`',
        'UNAUTHORIZED authentication required',
        '`username`',
        '`password`',
      ],
    ],
    [
      '401 whose challenge says it better',
      response(401, '', bearer),
      deleting,
      'unauthorized',
      ['`repository:x:delete`', 'delete team/app@'],
    ],
    [
      '401 with a Basic challenge',
      response(401, '', { 'www-authenticate': 'Basic realm="r",scope="not a scope"' }),
      listing,
      'unauthorized',
      ['`repository:team/app:pull`'],
    ],
    [
      '401 where no scope was asked for',
      response(401),
      { ...listing, scope: '' },
      'unauthorized',
      ['credentials were not accepted'],
    ],
    [
      '403',
      response(403, error('DENIED', 'no')),
      deleting,
      'forbidden',
      ['403', '`repository:team/app:pull,delete`', 'DENIED no'],
    ],
    [
      '405 UNSUPPORTED',
      response(405, error('UNSUPPORTED', 'The operation is unsupported.')),
      deleting,
      'deletes-off',
      [
        'REGISTRY_STORAGE_DELETE_ENABLED=true',
        'storage.delete.enabled',
        'olareg with `--api-delete`',
        'pull-through cache',
        'delete team/app@',
      ],
    ],
    [
      '403 of olareg in read-only mode',
      response(403, readOnly),
      deleting,
      'read-only',
      ['delete team/app@', '403 (DENIED no)', '`--store-ro`', 'when it accepts writes'],
    ],
    [
      '403 that says so of the account',
      response(403, { errors: [{ ...readOnly.errors[0], detail: 'your token is read-only' }] }),
      deleting,
      'forbidden',
      ['`repository:team/app:pull,delete`'],
    ],
    [
      '403 with another code',
      response(403, { errors: [{ ...readOnly.errors[0], code: 'UNAUTHORIZED' }] }),
      deleting,
      'forbidden',
      ['`repository:team/app:pull,delete`'],
    ],
    [
      '401 with the words of a read-only mode',
      response(401, readOnly),
      deleting,
      'unauthorized',
      ['`repository:team/app:pull,delete`'],
    ],
    [
      '403 with the words of a read-only mode on a listing',
      response(403, readOnly),
      listing,
      'forbidden',
      ['`repository:team/app:pull`'],
    ],
    [
      '405 in plain text',
      response(405, 'Method not allowed\n'),
      deleting,
      'read-only',
      ['read-only', 'storage.maintenance.readonly'],
    ],
    [
      '405 with another code',
      response(405, error('DENIED', 'child')),
      deleting,
      'unexpected',
      ['405 (DENIED child)'],
    ],
    ['405 on a listing', response(405, error('UNSUPPORTED')), listing, 'unexpected', ['405']],
    ['405 in plain text on a listing', response(405, 'no'), listing, 'unexpected', ['405']],
    [
      'a page',
      response(200, '<html>', { 'content-type': 'text/html' }),
      listing,
      'not-a-registry',
      ['registry-url', 'text/html', 'proxy'],
    ],
    ['404 in plain text', response(404, 'no'), listing, 'not-a-registry', ['no Content-Type']],
    ['404 with nothing', response(404), listing, 'not-a-registry', ['registry-url']],
    [
      '404 with nothing where the route may be missing',
      response(404),
      catalog,
      'unexpected',
      ['could not list them all', '404 without a body'],
    ],
    [
      '404 in HTML where the route may be missing',
      response(404, '<html>', { 'content-type': 'text/html' }),
      catalog,
      'not-a-registry',
      ['registry-url', 'text/html'],
    ],
    ['a redirect', response(302), listing, 'not-a-registry', ['302']],
    [
      '404 with a code',
      response(404, error('DENIED', 'x')),
      listing,
      'unexpected',
      ['404 (DENIED x)'],
    ],
    ['500', response(500, error('UNKNOWN', 'disk')), listing, 'unexpected', ['500 (UNKNOWN disk)']],
    ['502 in HTML', response(502, '<html>'), listing, 'unexpected', ['answered 502']],
    [
      '503 to each try',
      { ...response(503), tries: 6 },
      listing,
      'unexpected',
      ['answered 503 to each of 6 tries. The registry, or a proxy before it, is overloaded'],
    ],
    ['429 to each try', { ...response(429), tries: 10 }, listing, 'unexpected', ['`concurrency`']],
    [
      'a detail that is text',
      response(400, { errors: [{ code: 'MANIFEST_INVALID', detail: 'no such type' }] }),
      listing,
      'unexpected',
      ['400 (MANIFEST_INVALID: no such type)'],
    ],
    [
      'a detail that is small',
      response(400, { errors: [{ code: 'X', message: 'no', detail: { mediaType: 'a/b' } }] }),
      listing,
      'unexpected',
      ['400 (X no: {"mediaType":"a/b"})'],
    ],
    ...[{}, [], null, 7, 'no', { long: 'x'.repeat(300) }].map(
      (detail): [string, HttpResponse, Doing, RegistryErrorKind, string[]] => [
        `no detail of use: ${JSON.stringify(detail).slice(0, 20)}`,
        response(400, { errors: [{ code: 'X', message: 'no', detail }] }),
        listing,
        'unexpected',
        ['400 (X no)'],
      ],
    ),
    ...[
      'Client sent an HTTP request to an HTTPS server.\n',
      '<html><center>The plain HTTP request was sent to HTTPS port</center></html>',
      "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
      'Bad Request\nThis combination of host and port requires TLS.\n',
    ].map((body): [string, HttpResponse, Doing, RegistryErrorKind, string[]] => [
      `plain HTTP on a port for TLS: ${body.slice(0, 20)}`,
      { ...response(400, body), url: new URL('http://r.example:5000/v2/') },
      listing,
      'not-a-registry',
      ['Put `https://r.example:5000` into `registry-url`'],
    ]),
    [
      'the same words over TLS',
      response(400, 'Client sent an HTTP request to an HTTPS server.\n'),
      listing,
      'unexpected',
      ['answered 400'],
    ],
    [
      'a client certificate that is wanted',
      response(400, '<html>400 No required SSL certificate was sent</html>'),
      listing,
      'unexpected',
      ['wants a client certificate'],
    ],
    ['413', response(413, '<html>'), listing, 'unexpected', ['`client_max_body_size`']],
    ['413 of a registry', response(413, error('SIZE_INVALID')), listing, 'unexpected', ['limit']],
    ...(
      [
        [403, deleting, 'forbidden', 'Let it pass DELETE'],
        [405, deleting, 'read-only', 'Let it pass DELETE'],
        [501, deleting, 'read-only', 'Let it pass DELETE'],
        [403, listing, 'forbidden', 'Let it pass GET and HEAD'],
        [405, listing, 'unexpected', 'Let it pass GET and HEAD'],
        [501, listing, 'unexpected', 'Let it pass GET and HEAD'],
        [405, { ...listing, pushes: true }, 'read-only', 'Let it pass POST, PUT and HEAD'],
        [501, { ...listing, pushes: true }, 'read-only', 'Let it pass POST, PUT and HEAD'],
      ] as const
    ).flatMap(
      ([status, doing, kind, words]): [
        string,
        HttpResponse,
        Doing,
        RegistryErrorKind,
        string[],
      ][] =>
        [
          response(status, 'no', { 'content-type': 'text/html; charset=utf-8' }),
          response(status, '\r\n<!DOCTYPE html><title>Blocked</title>'),
        ].map((answer) => [
          `${String(status)} with a page`,
          answer,
          doing,
          kind,
          [`${String(status)} with a page of HTML`, words, 'proxy or firewall'],
        ]),
    ),
    [
      'a redirect of a write to another address',
      response(308, '', { location: 'https://other.example/v2/x?secret=1' }),
      deleting,
      'not-a-registry',
      ['308, a redirect to https://other.example,', 'put `https://other.example` into'],
    ],
    [
      'a redirect to what is no address',
      response(308, '', { location: 'javascript:alert(1)' }),
      deleting,
      'not-a-registry',
      ['308, a redirect, which', 'put its address into'],
    ],
  ])('the message says what to do: %s', (_, answer, doing, kind, words) => {
    const refused = refusal(answer, doing, printable, ALLOW_DELETES);
    expect(refused.kind).toBe(kind);
    words.forEach((word) => {
      expect(refused.message).toContain(word);
    });
  });

  it.each([403, 405, 501])(
    'blames no account and no mode for the page of a proxy: %d',
    (status) => {
      const page = response(status, '<html>', { 'content-type': 'text/html' });
      const { message } = refusal(page, deleting, printable, ALLOW_DELETES);
      expect(message).not.toMatch(/credentials|read-only|switched off|scope/);
    },
  );

  it('takes an answer with a million errors for none of a registry', () => {
    const errors = `{"errors":[{"code":"X"}${',{}'.repeat(1_000_000)}]}`;
    expect(errorOf(response(404, errors))).toBeUndefined();
  });

  it('never speaks of switched-off deletes where nothing was to be deleted', () => {
    const { message } = refusal(
      response(405, error('UNSUPPORTED')),
      listing,
      printable,
      ALLOW_DELETES,
    );
    expect(message).not.toMatch(/delet/i);
  });

  it('speaks of no credentials where the registry is read-only', () => {
    const { message } = refusal(response(403, readOnly), deleting, printable, ALLOW_DELETES);
    expect(message).not.toMatch(/credentials|password/);
  });

  it('does not ask for the URL where only a route that may be missing is', () => {
    const { message } = refusal(response(404), catalog, printable, ALLOW_DELETES);
    expect(message).not.toContain('registry-url');
  });

  it.each([
    ['code and message', response(500, error('SECRET', 'SECRET'))],
    ['scope', response(401, '', { 'www-authenticate': 'Bearer scope="SECRET"' })],
    ['Content-Type', response(200, '', { 'content-type': 'SECRET' })],
  ])('passes what the registry says through the quote: %s', (_, answer) => {
    const { message } = refusal(
      answer,
      listing,
      (text) => printable(text.replaceAll('SECRET', '***')),
      ALLOW_DELETES,
    );
    expect(message).toContain('***');
    expect(message).not.toContain('SECRET');
  });
});
