import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lex } from '../../src/nginx/lexer.js';
import { binary, bytesOf, decode, rawIndex, spell } from '../../src/nginx/spelling.js';
import { growth } from '../support/growth.js';
import { anyBytes, configText } from './generate.js';

const values = (text: string): readonly string[] => lex(bytesOf(text)).tokens.map((token) => token.value);
const problem = (text: string): readonly unknown[] => {
  const found = lex(bytesOf(text)).problem;
  return found === null ? [] : [found.line, found.column, found.what];
};

describe('words are read as nginx reads them', () => {
  it.each([
    ['a b;', ['a', 'b', ';']],
    ['a{b;}', ['a', '{', 'b', ';', '}']],
    ['return 200 /a/${uri} b;', ['return', '200', '/a/${uri}', 'b', ';']],
    ['a ${{{b;', ['a', '${{{b', ';']],
    ['a $b{', ['a', '$b', '{']],
    ['a b#c;', ['a', 'b#c', ';']],
    ['a #b;\n c;', ['a', 'c', ';']],
    ['a\r\n\tb # c\r\n d;', ['a', 'b', 'd', ';']],
    ['a "b c" \'d "e\';', ['a', 'b c', 'd "e', ';']],
    ['a b"c d"e;', ['a', 'b"c', 'd"e', ';']],
    ['a "b\\"c" \'d\\\'e\' f\\\\g;', ['a', 'b"c', "d'e", 'f\\g', ';']],
    ['a \\t\\n\\r\\x\\;b;', ['a', '\t\n\r\\x\\;b', ';']],
    ['a \\ b;', ['a', '\\ b', ';']],
    ['a \\"b c;', ['a', '"b', 'c', ';']],
    ['if ($a = "b") { }', ['if', '($a', '=', 'b', ')', '{', '}']],
    ['a "b"{}', ['a', 'b', '{', '}']],
    ['a "";', ['a', '', ';']],
    ['a }b}c;', ['a']],
    ['a b}c;', ['a', 'b}c', ';']],
    ['a "b\nc";', ['a', 'b\nc', ';']],
    ['a b\0c;', ['a', 'b\0c', ';']],
    ['a \u00e4\u00ff;', ['a', '\u00e4\u00ff', ';']],
    ['\u00ef\u00bb\u00bfuser x;', ['\u00ef\u00bb\u00bfuser', 'x', ';']],
    ['a b\u000cc;', ['a', 'b\u000cc', ';']],
  ])('%j', (text, expected) => {
    expect(values(text)).toEqual(expected);
  });

  it('knows where each word stands and how it is quoted', () => {
    const [, token] = lex(bytesOf('a;\n  b  "c\\"d" e;')).tokens.slice(2);
    expect(token).toEqual({
      kind: 'word',
      offset: 8,
      length: 6,
      line: 2,
      column: 6,
      value: 'c"d',
      quote: '"',
    });
  });
});

describe('what nginx refuses is a problem at the same place', () => {
  it.each([
    ['a "b"c;', [1, 6, 'unexpected "c"']],
    ['a "b"#c\n;', [1, 6, 'unexpected "#"']],
    ['a;\n ;', [2, 2, 'unexpected ";"']],
    ['{', [1, 1, 'unexpected "{"']],
    ['a }', [1, 3, 'unexpected "}"']],
    ['a', [1, 2, 'unexpected end of file, expecting ";" or "}"']],
    ['a b\n', [2, 1, 'unexpected end of file, expecting ";" or "}"']],
    ['a "b', [1, 5, 'unexpected end of file, expecting ";" or "}"']],
    ['a "b\\', [1, 6, 'unexpected end of file, expecting ";" or "}"']],
    ['# fine', []],
    ['', []],
  ])('%j', (text, expected) => {
    expect(problem(text)).toEqual(expected);
  });
});

describe('what does not fit into the buffer of 4096 bytes is refused', () => {
  it.each([
    ['a comment', ` ${'#'.repeat(5000)}\n`, [1, 2, 'too long parameter "##########..." started']],
    ['a word', `a\n ${'b'.repeat(5000)};`, [2, 2, 'too long parameter "bbbbbbbbbb..." started']],
    [
      'quotes',
      `a\n"${'b'.repeat(5000)}"`,
      [2, 1, 'too long parameter, probably missing terminating """ character'],
    ],
    ['no word of 4000 bytes', `a ${'b'.repeat(4000)};`, []],
    ['no space, however much', ' '.repeat(20_000), []],
  ])('%s', (_name, text, expected) => {
    expect(problem(text)).toEqual(expected);
  });
});

describe('laws', () => {
  it('any-bytes-are-tokens-with-only-space-and-comments-between', () => {
    fc.assert(
      fc.property(fc.oneof(anyBytes, configText.map(bytesOf)), (bytes) => {
        const { tokens, problem: found } = lex(bytes);
        let at = 0;
        let printed = '';
        for (const token of tokens) {
          const gap = binary(bytes.subarray(at, token.offset));
          expect(gap).toMatch(/^(?:[ \t\r\n]|#[^\n]*(?:\n|$))*$/);
          at = token.offset + token.length;
          printed += gap + binary(bytes.subarray(token.offset, at));
        }
        expect(printed + binary(bytes.subarray(at))).toBe(binary(bytes));
        if (found === null) expect(binary(bytes.subarray(at))).toMatch(/^(?:[ \t\r\n]|#[^\n]*(?:\n|$))*$/);
      }),
      { numRuns: 2000 },
    );
  });

  it('lines-and-columns-are-those-of-the-offset', () => {
    fc.assert(
      fc.property(configText, (text) => {
        for (const token of lex(bytesOf(text)).tokens) {
          const before = text.slice(0, token.offset).split('\n');
          expect([token.line, token.column]).toEqual([before.length, (before.at(-1) ?? '').length + 1]);
        }
      }),
    );
  });

  it('what-spell-writes-is-read-back', () => {
    const value = fc.string({ unit: fc.constantFrom(...'ab"\'\\ ;{}#$\t\n\r)\u00e4'.split('')) });
    fc.assert(
      fc.property(value, fc.constantFrom('' as const, '"' as const, "'" as const), (text, quote) => {
        const spelled = spell(text, quote, true);
        if (spelled === null) {
          expect(quote).toBe('');
          return;
        }
        const { tokens } = lex(bytesOf(`a ${quote}${spelled}${quote};`));
        expect(tokens.map((token) => token.value)).toEqual(['a', text, ';']);
      }),
      { numRuns: 2000 },
    );
  });

  it('each-byte-of-a-value-is-found-in-its-spelling', () => {
    const raw = fc.string({ unit: fc.constantFrom('a', '\\\\', '\\"', '\\n', '\\x', '"') });
    fc.assert(
      fc.property(raw, fc.nat(20), (text, index) => {
        const value = decode(text);
        const at = rawIndex(text, index);
        expect(decode(text.slice(0, at)) + decode(text.slice(at))).toBe(value);
        expect(decode(text.slice(0, at))).toBe(value.slice(0, index));
      }),
    );
  });

  it('takes-linear-time', () => {
    const many = (unit: string) => (size: number) => lex(bytesOf(unit.repeat(size)));
    for (const unit of ['a;', '"', '\\', '{', 'a{', '${', '#', '}', 'a "b" ', '\n']) {
      // eight times the bytes: about 8, were it quadratic 64
      expect(growth(many(unit), 20_000, 160_000), unit).toBeLessThan(32);
    }
  });
});
