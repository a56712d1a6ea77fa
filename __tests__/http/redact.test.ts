import { describe, expect, it } from '@jest/globals';

import { secretsOf, type Credentials } from '../../src/http/credentials.js';
import { createSecretStore, redactUrl } from '../../src/http/redact.js';
import { spellings } from '../../src/http/spellings.js';
import { inCodeSpan } from '../../src/text/markdown.js';
import { printable } from '../../src/text/printable.js';

describe('redactUrl', () => {
  it.each([
    ['https://r.test/v2/', 'https://r.test/v2/'],
    ['https://joe:pw@r.test:5000/v2/#frag', 'https://r.test:5000/v2/'],
    ['https://r.test/v2/_catalog?n=100&last=a/b', 'https://r.test/v2/_catalog?n=100&last=a/b'],
    ['https://cdn.test/x?X-Amz-Signature=abc&n=1', 'https://cdn.test/x?X-Amz-Signature=***&n=1'],
    [
      'https://a.test/t?service=r&scope=repository:a/b:pull,push&account=joe',
      'https://a.test/t?service=r&scope=repository:a/b:pull,push&account=***',
    ],
    [
      'https://r.test/r?digest=sha256:ab&artifactType=x',
      'https://r.test/r?digest=sha256:ab&artifactType=x',
    ],
    ['https://r.test/?n=%0A%3A%3Aerror', 'https://r.test/?n=%0A::error'],
  ])('a URL shows no secret: %s', (url, expected) => {
    expect(redactUrl(new URL(url))).toBe(expected);
  });
});

const SECRET = `p"q's&<t>/ü+= 7%`;

describe('spellings', () => {
  const bytes = Buffer.from(SECRET);
  it.each<[string, string]>([
    ['itself', SECRET],
    ['base64', bytes.toString('base64')],
    ['base64 without padding', bytes.toString('base64').replace(/=+$/, '')],
    ['base64url', bytes.toString('base64url')],
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
    ['a URL', encodeURIComponent(SECRET)],
    [
      'a URL in small letters',
      encodeURIComponent(SECRET).replace(/%../g, (code) => code.toLowerCase()),
    ],
    ['HTML', 'p&quot;q&#39;s&amp;&lt;t&gt;/ü+= 7%'],
  ])('the spellings have %s', (_name, form) => {
    expect(spellings(SECRET)).toContain(form);
  });

  it('an empty secret has no spellings', () => {
    expect(spellings('')).toEqual([]);
  });

  it('a short secret has no base64 and hex, which digests hold by chance', () => {
    expect(spellings('pw1')).toEqual(['pw1']);
    expect(spellings('pw12')).toContain('70773132');
  });
});

describe('a secret in another spelling', () => {
  const redact = (text: string) => {
    const store = createSecretStore();
    store.add(SECRET);
    return store.redact(text);
  };
  const codes = (form: (code: number) => string) =>
    Array.from(SECRET, (char) => form(char.codePointAt(0) ?? 0)).join('');

  it.each<[string, string]>([
    ...spellings(SECRET).map((form): [string, string] => [form, form]),
    ['every byte in %xx', [...Buffer.from(SECRET)].map((byte) => `%${byte.toString(16)}`).join('')],
    ['decimal references', codes((code) => `&#${String(code)};`)],
    ['hexadecimal references', codes((code) => `&#X00${code.toString(16)};`)],
    ['JSON escapes', codes((code) => `\\u${code.toString(16).padStart(4, '0')}`)],
    ['escapes in braces', codes((code) => `\\u{${code.toString(16)}}`)],
    ['a mixture', `p%22q&#39;s\\u0026&lt;t%3e\\/%c3%BC+= 7%`],
    ['a URL in a URL', encodeURIComponent(encodeURIComponent(SECRET))],
    ['JSON in JSON', JSON.stringify(JSON.stringify(SECRET)).slice(3, -3)],
    ['base64 in a URL', encodeURIComponent(Buffer.from(SECRET).toString('base64'))],
  ])('the store takes it out as %s', (_name, form) => {
    expect(redact(`before ${form} after`)).toBe('before *** after');
  });

  it.each<[string, string]>([
    ['some"%aaword', 'some&#x22;%aaword'],
    ['some"%aaword', 'some\\u0022%aaword'],
    ['some&lt"word', 'some&lt%22word'],
    ['some\\u0041"w', 'some\\u0041%22w'],
  ])(
    'the store takes it out where it holds something like another escape: %s as %s',
    (secret, form) => {
      const store = createSecretStore();
      store.add(secret);
      expect(store.redact(`before ${form} after`)).toBe('before *** after');
    },
  );

  it.each([0, 1, 2, 3])(
    'the store takes it out of the base64 of a longer text, %i bytes in',
    (offset) => {
      const whole = Buffer.from(`${'x'.repeat(offset)}${SECRET}yyy`).toString('base64');
      const middle = whole.slice(4, -6);
      expect(redact(whole)).not.toContain(middle);
      expect(redact(whole)).toContain('***');
    },
  );

  it('leaves escapes of other things as they are', () => {
    const text = '%41&amp;&#x41;\\u0041\\" %zz &unknown; %c3 %ff&#99999999;&#9999999;';
    expect(redact(text)).toBe(text);
  });

  it('the store is quick in a text of a million escapes', () => {
    const text = '%41&amp;'.repeat(500_000);
    expect(redact(text)).toBe(text);
  });
});

describe('createSecretStore', () => {
  it('leaves nothing of secrets that overlap', () => {
    const store = createSecretStore();
    store.add('abcd');
    store.add('cdefgh');
    expect(store.redact('-abcdefgh-abcd-cdefgh-')).toBe('-***-***-***-');
  });

  it.each<[string, Credentials, string]>([
    ['the password', { kind: 'basic', username: 'joe', password: 'p/w d"x' }, 'p/w d"x'],
    [
      'the password, URL-encoded',
      { kind: 'basic', username: 'joe', password: 'p/w d' },
      'p%2Fw%20d',
    ],
    ['the password in a form', { kind: 'basic', username: 'joe', password: 'p/w d' }, 'p%2Fw+d'],
    ['the password in JSON', { kind: 'basic', username: 'j', password: 'a"\nb' }, 'a\\"\\nb'],
    ['user:password in base64', { kind: 'basic', username: 'joe', password: 'pw' }, 'am9lOnB3'],
    ['an identity token', { kind: 'identity-token', token: 'id-tok' }, 'id-tok'],
    ['a registry token', { kind: 'registry-token', token: 'reg-tok' }, 'reg-tok'],
  ])('takes out %s', (_name, credentials, secret) => {
    const store = createSecretStore();
    secretsOf(credentials).forEach((found) => store.add(found));
    expect(store.redact(`before ${secret} and ${secret} after`)).toBe('before *** and *** after');
  });

  it('takes out a secret that changed when it was made safe to print or to show', () => {
    const store = createSecretStore();
    const secret = 'pw::a`b|c\u200b##[d';
    store.add(secret);
    for (const text of [printable(`x ${secret} y`), inCodeSpan(`x ${secret} y`)]) {
      expect(text).not.toContain(secret);
      expect(store.redact(text)).toBe('x *** y');
    }
  });

  it('leaves nothing of a secret that begins with another one', () => {
    const store = createSecretStore();
    store.add('abc');
    store.add('abcdef');
    expect(store.redact('abcdef abc')).toBe('*** ***');
  });

  it('leaves a text alone when there is no secret, or an empty one', () => {
    const store = createSecretStore();
    secretsOf({ kind: 'none' }).forEach((found) => store.add(found));
    store.add('');
    expect(store.redact('text')).toBe('text');
  });
});
