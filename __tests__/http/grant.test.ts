import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { grantOf } from '../../src/http/grant.js';

const SCOPE = 'repository:team/app:pull,delete';

const segment = (text: string) => Buffer.from(text).toString('base64url');
/** A token with this text as its claims. */
const raw = (claims: string) => `${segment('{"alg":"ES256"}')}.${segment(claims)}.c2lnbmF0dXJl`;
const jwt = (claims: unknown) => raw(JSON.stringify(claims));
const access = (...entries: unknown[]) => jwt({ access: entries });
const entry = (actions: unknown, name = 'team/app', type = 'repository') => ({
  type,
  name,
  actions,
});

describe('a token that lists what it grants', () => {
  it.each<[string, string]>([
    ['exactly that', access(entry(['pull', 'delete']))],
    ['that in another order', access(entry(['delete', 'pull']))],
    ['more', access(entry(['pull', 'push', 'delete']))],
    ['everything', access(entry(['*']))],
    ['everything, among others', access(entry(['pull', '*']))],
    ['that in two entries', access(entry(['pull']), entry(['delete']))],
    [
      'that beside other repositories',
      access(entry(['pull'], 'team/b'), entry(['pull', 'delete'])),
    ],
    ['that with fields of its own', access({ ...entry(['pull', 'delete']), class: 'image' })],
    ['that among claims of all kinds', jwt({ iss: 7, exp: 'x', access: [entry(['*'])] })],
  ])('the scope is granted: %s', (_name, token) => {
    expect(grantOf(token, SCOPE)).toEqual({ kind: 'granted' });
  });

  it.each<[string, string, string[]]>([
    ['less', access(entry(['pull'])), ['pull']],
    ['something else', access(entry(['pull', 'push'])), ['pull', 'push']],
    ['only deletes', access(entry(['delete'])), ['delete']],
    ['nothing', access(), []],
    ['nothing, as Go writes an empty list', jwt({ access: null }), []],
    ['no action', access(entry([])), []],
    ['no action, as Go writes an empty list', access(entry(null)), []],
    ['an entry without actions', access({ type: 'repository', name: 'team/app' }), []],
    ['another repository', access(entry(['*'], 'team/apple'), entry(['*'], 'app')), []],
    ['another type', access(entry(['*'], 'team/app', 'registry')), []],
    ['its parent', access(entry(['*'], 'team')), []],
    ['a part, and the rest elsewhere', access(entry(['pull']), entry(['delete'], 'b')), ['pull']],
    ['words that are like it', access(entry(['deleted', 'PULL', ''])), ['deleted', 'PULL', '']],
    [
      'names that would shift the colons',
      access(entry(['*'], 'app', 'repository:team'), entry(['*'], 'app:pull,delete', 'team')),
      [],
    ],
  ])('the scope is lacking: %s', (_name, token, actions) => {
    expect(grantOf(token, SCOPE)).toEqual({ kind: 'lacking', actions });
  });

  it('knows a name with a colon, such as that of a host with its port', () => {
    const token = access(entry(['pull', 'delete'], 'mirror:5000/app'));
    expect(grantOf(token, 'repository:mirror:5000/app:pull,delete')).toEqual({ kind: 'granted' });
  });

  it('knows a scope of another type', () => {
    const token = access(entry(['*'], 'catalog', 'registry'));
    expect(grantOf(token, 'registry:catalog:*')).toEqual({ kind: 'granted' });
  });
});

describe('a token that says nothing', () => {
  it.each<[string, string]>([
    ['an opaque token', 'djE6dXNlcjpzZWNyZXQ='],
    ['nothing', ''],
    ['two parts', `${segment('{}')}.${segment('{"access":[]}')}`],
    ['an encrypted token', 'a.b.c.d.e'],
    ['dots', '..'],
    ['a hundred thousand dots', '.'.repeat(100_000)],
    ['claims that are no base64', 'a.%%%.c'],
    ['claims that are no JSON', raw('{"access":')],
    ['claims that are no UTF-8', `a.${Buffer.from([0xff, 0xfe, 0x80]).toString('base64url')}.c`],
    ['claims that are no object', raw('"access"')],
    ['null', raw('null')],
    ['a list', raw('[]')],
    ['claims without access', jwt({ sub: 'joe' })],
    ['access by another name', jwt({ Access: [entry(['*'])] })],
    ['access that is no list', jwt({ access: 'repository:team/app:pull,delete' })],
    ['access that is an object', jwt({ access: { 0: entry(['*']), length: 1 } })],
    ['an entry that is no object', access('repository:team/app:pull,delete')],
    ['an entry that is null', access(null)],
    ['names in capitals', access({ Type: 'repository', Name: 'team/app', Actions: ['*'] })],
    ['a name that is no text', access(entry(['*'], 7 as never))],
    ['actions that are no list', access(entry('pull,delete'))],
    ['an action that is no text', access(entry(['pull', 7]))],
    ['access in the prototype', raw('{"__proto__":{"access":[]}}')],
    ['lists in lists', raw(`{"access":${'['.repeat(40_000)}${']'.repeat(40_000)}}`)],
    ['lists without an end', raw('['.repeat(90_000))],
  ])('the grant is unknown: %s', (_name, token) => {
    expect(grantOf(token, SCOPE)).toEqual({ kind: 'unknown' });
  });

  it('one entry that is not understood spoils them all', () => {
    expect(grantOf(access(entry(['*']), { type: 'repository' }), SCOPE)).toEqual({
      kind: 'unknown',
    });
  });
});

it('never throws, and grants nothing that no entry of the repository names', () => {
  const name = fc.constantFrom('team/app', 'team/apple', 'team', '', 'a:b');
  const action = fc.constantFrom('pull', 'push', 'delete', '*', 'Delete', '');
  const entries = fc.array(
    fc.record({
      type: fc.constantFrom('repository', 'registry', ''),
      name,
      actions: fc.array(action, { maxLength: 4 }),
    }),
    { maxLength: 5 },
  );
  const tokens = fc.oneof(
    fc.string(),
    fc.string().map(raw),
    fc.json().map(raw),
    fc.anything().map((value) => raw(JSON.stringify({ access: [value] }, skipBigints))),
  );
  fc.assert(
    fc.property(tokens, (token) => {
      expect(['granted', 'lacking', 'unknown']).toContain(grantOf(token, SCOPE).kind);
    }),
  );
  fc.assert(
    fc.property(entries, (list) => {
      const held = list
        .filter(({ type, name: of }) => type === 'repository' && of === 'team/app')
        .flatMap(({ actions }) => actions);
      const has = (wanted: 'pull' | 'delete') => held.includes(wanted) || held.includes('*');
      expect(grantOf(jwt({ access: list }), SCOPE)).toEqual(
        has('pull') && has('delete') ? { kind: 'granted' } : { kind: 'lacking', actions: held },
      );
    }),
  );
});

function skipBigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

describe("a token of Gitea's, which has the scopes of an access token", () => {
  const gitea = (Scope: unknown) => jwt({ UserID: 1, Scope, ActionsUserTaskID: 0 });

  it.each([
    'read:package',
    'read:package,read:user',
    'public-only,read:package',
    'write:repository,read:package',
  ])('can pull and not delete: %s', (scopes) => {
    expect(grantOf(gitea(scopes), SCOPE)).toEqual({ kind: 'lacking', actions: ['pull'] });
  });

  // The account behind it may lack the right all the same.
  it.each<[string, unknown]>([
    ['all', 'all'],
    ['write:package', 'write:package'],
    ['both', 'read:package,write:package'],
    ['none, as that of nobody and of a job', ''],
    ['other things', 'read:user'],
    ['a number', 7],
  ])('says nothing of deletes: %s', (_name, scopes) => {
    expect(grantOf(gitea(scopes), SCOPE)).toEqual({ kind: 'unknown' });
  });

  it('tells nothing where the user is missing', () => {
    expect(grantOf(jwt({ Scope: 'read:package' }), SCOPE)).toEqual({ kind: 'unknown' });
  });
});
