import { describe, expect, it } from '@jest/globals';

import { CODES, CodedError, codeIn, coded, withoutCodes } from '../../src/text/code.js';

describe('codes', () => {
  it('codes are kebab-case names of one to four words, each once', () => {
    expect(CODES.filter((code) => !/^[a-z]+(-[a-z]+){0,3}$/.test(code))).toEqual([]);
    expect(new Set(CODES).size).toBe(CODES.length);
  });
});

describe('a message', () => {
  it('ends with its code', () => {
    expect(coded('no tag is left', 'no-tag-left')).toBe('no tag is left [no-tag-left]');
    expect(codeIn(coded('no tag is left', 'no-tag-left'))).toBe('no-tag-left');
  });

  it('keeps the code of the message that it quotes, at its end', () => {
    const inner = coded('405', 'deletes-disabled');
    expect(coded(`a couldn't be deleted: ${inner}. Switch it on`, 'delete-failed')).toBe(
      "a couldn't be deleted: 405. Switch it on [deletes-disabled]",
    );
  });

  it('has one code where it quotes two messages', () => {
    const [one, other] = [coded('405', 'deletes-disabled'), coded('500', 'server-failed')];
    expect(coded(`${one}; ${other}`, 'delete-failed')).toBe('405; 500 [server-failed]');
  });

  it('keeps its code when it is cut', () => {
    const cut = coded('x'.repeat(100), 'gap-found', 30);
    expect(cut).toBe(`${'x'.repeat(17)}… [gap-found]`);
  });

  it.each(['nothing', 'in brackets [of-no-kind]', '[gap-found] at the start'])(
    'a message without a code at its end has none: %s',
    (message) => {
      expect(codeIn(message)).toBeUndefined();
    },
  );
});

describe('foreign text', () => {
  it('loses what would be taken for a code of ours, and nothing else', () => {
    const text = 'denied [deletes-disabled] by rule [42] [gap-found]';
    expect(withoutCodes(text)).toBe('denied by rule [42]');
    expect(coded(`refused: ${withoutCodes(text)}`, 'right-missing')).toBe(
      'refused: denied by rule [42] [right-missing]',
    );
  });
});

describe('an error with a code', () => {
  it('has the code at the end of its message, or that of the cause that it quotes', () => {
    const cause = new CodedError('405', 'deletes-disabled');
    expect(cause.message).toBe('405 [deletes-disabled]');
    const outer = new CodedError(`no delete: ${cause.message}`, 'delete-failed', { cause });
    expect(outer.message).toBe('no delete: 405 [deletes-disabled]');
    expect(outer.cause).toBe(cause);
  });
});
