import { describe, expect, it } from '@jest/globals';

import { LinkError, lastPageNumber, nextPage } from '../../src/http/link.js';

const PAGE = new URL('https://registry.test:5000/v2/_catalog?n=2');

describe('nextPage', () => {
  it.each<[string, string | string[] | undefined, string | undefined]>([
    ['no header', undefined, undefined],
    ['an empty header', '', undefined],
    ["Distribution's path", '</v2/_catalog?last=r0&n=2>; rel="next"', '/v2/_catalog?last=r0&n=2'],
    ["olareg's unquoted rel", '</v2/a/tags/list?last=x>; rel=next', '/v2/a/tags/list?last=x'],
    [
      "Quay's absolute URL",
      '<https://registry.test:5000/v2/x?next_page=abc>; rel="next"',
      '/v2/x?next_page=abc',
    ],
    ['a relative query', '<?last=b>; rel="next"', '/v2/_catalog?last=b'],
    ['rel in any case', '<?last=b>; REL="Next"', '/v2/_catalog?last=b'],
    ['several relations in one', '<?last=b>; rel="last next"', '/v2/_catalog?last=b'],
    ['several links', '<?last=a>; rel="prev", <?last=b>; rel="next"', '/v2/_catalog?last=b'],
    ['several headers', ['<?last=a>; rel="prev"', '<?last=b>; rel=next'], '/v2/_catalog?last=b'],
    ['a comma in the URL', '<?last=a,b>; rel="next"', '/v2/_catalog?last=a,b'],
    ["Harbor's unescaped query", '<?last=a b>; rel="next"', '/v2/_catalog?last=a%20b'],
    ['a parameter without a value', '<?last=b>; foo; rel="next"', '/v2/_catalog?last=b'],
    ['one behind it', '<?last=b>; rel="next"; foo', '/v2/_catalog?last=b'],
    ['empty parameters', '<?last=b>;; ; rel=next;', '/v2/_catalog?last=b'],
    ['blanks around everything', ' , <?last=b> \t; rel = "next" , ,', '/v2/_catalog?last=b'],
    ['no blanks', '<?last=a>;rel=prev,<?last=b>;rel=next', '/v2/_catalog?last=b'],
    ['a quoted comma', '<?last=b>; title="a, b; rel=prev"; rel=next', '/v2/_catalog?last=b'],
    ['a quoted quotation mark', '<?last=b>; title="\\""; rel="n\\ext"', '/v2/_catalog?last=b'],
    ['a semicolon in the URL', '<?last=b;rel=prev>; rel=next', '/v2/_catalog?last=b;rel=prev'],
    ['the same link twice', '<?last=b>; rel=next, <?last=b>; rel=next', '/v2/_catalog?last=b'],
    ['the same relation twice', '<?last=b>; rel=next; rel=next', '/v2/_catalog?last=b'],
    ['an empty anchor', '<?last=b>; rel=next; anchor=""', '/v2/_catalog?last=b'],
    ['prev only', '<?last=a>; rel="prev"', undefined],
    ['first, prev and last', '<?>; rel=first, <?p>; rel="prev", <?z>; rel="LAST"', undefined],
    ['first and last in one', '<?>; rel="first last"', undefined],
  ])('the parser reads %s', (_name, header, expected) => {
    const next = nextPage(header, PAGE);
    expect(next?.href).toBe(expected && `https://registry.test:5000${expected}`);
  });

  it.each([
    ['another host', 'https://registry.evil/v2/_catalog', 'https://registry.evil'],
    ['another port', 'https://registry.test/v2/_catalog', 'https://registry.test'],
    ['another scheme', 'http://registry.test:5000/v2/_catalog', 'http://registry.test:5000'],
    ['no scheme', '//registry.evil/v2/_catalog', 'https://registry.evil'],
  ])('refuses %s, naming both origins', (_name, target, origin) => {
    const read = () => nextPage(`<${target}?token=s3cret>; rel="next"`, PAGE);
    expect(read).toThrow(LinkError);
    expect(read).toThrow(`${PAGE.origin} names its next page at ${origin};`);
    expect(read).not.toThrow(/s3cret/);
  });

  it.each([
    ['other relations', '<?last=a>; rel="prev", <?x>; rel="nextish"'],
    ['no relation', '<?last=a>'],
    ['an empty relation', '<?last=a>; rel=""'],
    ['a relation without a value', '<?last=a>; rel'],
    ['a relation in another charset', "<?last=a>; rel*=UTF-8''next"],
    ['two relations', '<?last=a>; rel=prev; rel=next'],
    ['two next pages', '<?last=a>; rel=next, <?last=b>; rel=next'],
    ['the next page of something else', '<?last=a>; rel=next; anchor="/v2/x"'],
    ['a relation of its own', '<?last=a>; rel="https://x.test/next"'],
    ['garbage behind it', '<?last=a>; rel="prev" garbage'],
    ['garbage before it', 'garbage <?last=a>; rel="prev"'],
    ['a quotation that is open', '<?last=a>; rel="prev'],
    ['an open quotation before the relation', '<?last=a>; title="x; rel="next"'],
    ['a value that is missing', '<?last=a>; rel='],
    ['commas only', ', ,'],
    ['single angle quotes', '\u2039?last=a\u203a; rel=next'],
    ['brackets in brackets', '<<?last=a>>; rel=next'],
    ['a colon for the equals sign', '<?last=a>; rel: next'],
    ['an entity', '&lt;?last=a&gt;; rel=next'],
    ['no angle brackets', '/v2/_catalog?last=a; rel=next'],
    ['an open bracket', '</v2/_catalog?last=a; rel=next'],
    ['no URL at all', '<http://[>; rel="next"'],
  ])('does not take %s for the last page', (_name, header) => {
    expect(() => nextPage(header, PAGE)).toThrow(LinkError);
  });

  it('drops user and password', () => {
    const next = nextPage('<https://joe:pw@registry.test:5000/v2/x>; rel=next', PAGE);
    expect(next?.href).toBe('https://registry.test:5000/v2/x');
  });
});

describe('lastPageNumber', () => {
  const FIRST = new URL('https://api.github.test/orgs/acme/packages/container/app/versions?page=1');

  it.each<[string, string | string[] | undefined, number | undefined]>([
    ['no header', undefined, undefined],
    ['an empty header', '', undefined],
    [
      "GitHub's, which name an organization by its id",
      '<https://api.github.test/organizations/7/packages/container/app/versions?per_page=100&page=2>; rel="next", ' +
        '<https://api.github.test/organizations/7/packages/container/app/versions?per_page=100&page=12>; rel="last"',
      12,
    ],
    ['several headers', ['<?page=2>; rel="next"', '<?page=3>; rel="last"'], 3],
    ['several relations in one', '<?page=2>; rel="next last"', 2],
    ['a relation in any case', '<?page=4>; REL="Last"', 4],
    ['another origin, which nobody follows', '<https://elsewhere.test/?page=5>; rel="last"', 5],
    ['those of a last page', '<?page=1>; rel="prev", <?page=1>; rel="first"', undefined],
    ['a next page only', '<?page=2>; rel="next"', undefined],
    ['a last page without a number', '<?cursor=abc>; rel="last"', undefined],
    ['page 0', '<?page=0>; rel="last"', undefined],
    ['a negative number', '<?page=-3>; rel="last"', undefined],
    ['a fraction', '<?page=1.5>; rel="last"', undefined],
    ['a number in another notation', '<?page=1e3>; rel="last"', undefined],
    ['more digits than any list has', '<?page=1234567890>; rel="last"', undefined],
    ['an address that is none', '<http://[>; rel="last"', undefined],
  ])('the parser reads the number from %s', (_name, header, expected) => {
    expect(lastPageNumber(header, FIRST)).toBe(expected);
  });

  it.each(['garbage', '<?page=2>; rel="last', '<?page=2>; rel="last" garbage'])(
    'does not guess a number from %s',
    (header) => {
      expect(() => lastPageNumber(header, FIRST)).toThrow(LinkError);
    },
  );
});
