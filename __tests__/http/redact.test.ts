import { describe, expect, it } from '@jest/globals';

import { secretsOf, type Credentials } from '../../src/http/credentials.js';
import { createSecretStore, redactUrl } from '../../src/http/redact.js';

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
  ])('%s', (url, expected) => {
    expect(redactUrl(new URL(url))).toBe(expected);
  });
});

describe('createSecretStore', () => {
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
