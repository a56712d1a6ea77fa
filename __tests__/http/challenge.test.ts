import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { parseChallenges } from '../../src/http/challenge.js';

type Plain = [scheme: string, params: Record<string, string>];

function plain(header: string | string[] | undefined): Plain[] {
  return parseChallenges(header).map(({ scheme, params }) => [scheme, Object.fromEntries(params)]);
}

describe('parseChallenges', () => {
  it.each<[string, string | string[] | undefined, Plain[]]>([
    ['nothing', undefined, []],
    ['an empty header', '', []],
    ['a scheme alone', 'Basic', [['basic', {}]]],
    [
      'Distribution, htpasswd',
      'Basic realm="Registry Realm"',
      [['basic', { realm: 'Registry Realm' }]],
    ],
    [
      'Distribution, token: commas inside quotes',
      'Bearer realm="https://auth.test/token",service="reg",scope="repository:a/b:pull,push",error="invalid_token"',
      [
        [
          'bearer',
          {
            realm: 'https://auth.test/token',
            service: 'reg',
            scope: 'repository:a/b:pull,push',
            error: 'invalid_token',
          },
        ],
      ],
    ],
    [
      'several challenges in one value',
      'Negotiate, Basic realm="a", Bearer realm="b", service="c"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b', service: 'c' }],
      ],
    ],
    [
      'several values',
      ['Basic realm="a"', 'Bearer realm="b"'],
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b' }],
      ],
    ],
    [
      "RFC 9110's own example",
      'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
      [
        ['basic', { realm: 'simple' }],
        ['newauth', { realm: 'apps', type: '1', title: 'Login to "apps"' }],
      ],
    ],
    ['schemes and names in any case', 'bEARER ReALM="X"', [['bearer', { realm: 'X' }]]],
    [
      'token68',
      'Negotiate YWJj==, Basic realm="a"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    [
      'blanks around =',
      'Bearer realm = "a" , service\t=\tb',
      [['bearer', { realm: 'a', service: 'b' }]],
    ],
    [
      'empty list elements',
      ', ,Basic realm="a",, charset="UTF-8",',
      [['basic', { realm: 'a', charset: 'UTF-8' }]],
    ],
    ['a missing comma', 'Bearer realm="a" service="b"', [['bearer', { realm: 'a', service: 'b' }]]],
    [
      'an unquoted URL',
      'Bearer realm=https://a.test/t?x=1,service=b',
      [['bearer', { realm: 'https://a.test/t?x=1', service: 'b' }]],
    ],
    ['an empty value', 'Bearer realm="",service="b"', [['bearer', { realm: '', service: 'b' }]]],
    [
      'a repeated name: the first counts',
      'Bearer realm="a",realm="b"',
      [['bearer', { realm: 'a' }]],
    ],
    [
      'a challenge inside a quotation',
      'Basic realm="x, Bearer realm=y"',
      [['basic', { realm: 'x, Bearer realm=y' }]],
    ],
    [
      'an escaped backslash at the end',
      'Basic realm="a\\\\", x="b"',
      [['basic', { realm: 'a\\', x: 'b' }]],
    ],
    ['a quotation that never ends', 'Basic x=1, realm="a, Bearer realm=b', [['basic', { x: '1' }]]],
    ['a parameter before any scheme', 'realm="a", Basic realm="b"', [['basic', { realm: 'b' }]]],
    [
      'junk between',
      '@@ (), "stray, text" Basic realm="a"; x="b"',
      [['basic', { realm: 'a', x: 'b' }]],
    ],
    [
      'a name with a meaning in JavaScript',
      'Basic __proto__="a"',
      [['basic', { ['__proto__']: 'a' }]],
    ],
  ])('the parser reads %s', (_name, header, expected) => {
    expect(plain(header)).toEqual(expected);
  });

  it('reads back any challenges that were written by the grammar', () => {
    const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]{0,8}$/);
    const params = fc.uniqueArray(fc.tuple(token, fc.string()), {
      selector: ([name]) => name.toLowerCase(),
      maxLength: 4,
    });
    const challenges = fc.array(fc.record({ scheme: token, params }), { maxLength: 4 });
    fc.assert(
      fc.property(challenges, (written) => {
        const header = written
          .map(({ scheme, params }) => {
            const list = params.map(
              ([name, value]) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`,
            );
            return `${scheme} ${list.join(', ')}`.trim();
          })
          .join(', ');
        expect(plain(header)).toEqual(
          written.map(({ scheme, params }) => [
            scheme.toLowerCase(),
            Object.fromEntries(params.map(([name, value]) => [name.toLowerCase(), value])),
          ]),
        );
      }),
    );
  });

  it('ends without throwing for any text', () => {
    const soup = fc.array(
      fc.constantFrom('Basic', ' ', ',', '=', '"', '\\', 'realm', 'é', '\t', ';', '=='),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          soup.map((parts) => parts.join('')),
        ),
        (text) => {
          for (const { scheme } of parseChallenges(text)) {
            expect(scheme).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+$/);
          }
        },
      ),
    );
  });
});
