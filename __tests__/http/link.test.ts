import { describe, expect, it } from '@jest/globals';

import { LinkError, nextPage } from '../../src/http/link.js';

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
    ['other relations only', '<?last=a>; rel="prev", <?x>; rel="nextish"', undefined],
    ['no relation', '<?last=a>', undefined],
  ])('%s', (_name, header, expected) => {
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
    expect(read).toThrow(`${PAGE.origin} is said to be at ${origin};`);
    expect(read).not.toThrow(/s3cret/);
  });

  it.each([
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
