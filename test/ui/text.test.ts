import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { argv, clean, count, duration, inline, list, say, tail, when } from '../../src/ui/text.js';

const CONTROL = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;
const nasty = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\u001b',
        '\u001b[',
        '\u001b]',
        '\u001b\\',
        '\u0007',
        '\u009b',
        '\u009c',
        '\u009d',
        '\r',
        '\n',
        '\t',
        '\u202e',
        ';',
      ),
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.string({ maxLength: 4 }),
    ),
  )
  .map((parts) => parts.join(''));

describe('clean', () => {
  it('no control character survives but tab and line end', () => {
    fc.assert(
      fc.property(nasty, (text) => {
        expect(clean(text).replace(/[\n\t]/g, '')).not.toMatch(CONTROL);
      }),
    );
  });

  it('cleaning twice changes nothing more', () => {
    fc.assert(
      fc.property(nasty, (text) => {
        expect(clean(clean(text))).toBe(clean(text));
      }),
    );
  });

  it('text without control characters stays as it is', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(clean(text)).toBe(text);
      }),
    );
  });

  it.each([
    ['colours', '\u001b[1;31mred\u001b[0m', 'red'],
    ['a window title', '\u001b]0;you are root\u0007after', 'after'],
    ['a hyperlink, its text kept', '\u001b]8;;http://x\u001b\\text\u001b]8;;\u001b\\', 'text'],
    ['a device control string', '\u001bP1$tx\u001b\\y', 'y'],
    ['8-bit CSI and OSC', '\u009b31mred\u009d0;t\u009c.', 'red.'],
    ['an unterminated OSC does not swallow what follows', '\u001b]0;title\nnext', '0;title\nnext'],
    ['an unfinished CSI at the end', 'a\u001b[', 'a'],
    ['a charset switch and a reset', '\u001b(0x\u001bcy', 'xy'],
    ['a carriage return that would overwrite the line', 'real\rfake', 'realfake'],
    ['Windows line ends', 'a\r\nb', 'a\nb'],
    ['backspaces, bell, DEL', 'a\b\u0007\u007fb', 'ab'],
    ['right-to-left override', 'safe\u202etxt.exe', 'safetxt.exe'],
  ])('%s', (_name, text, cleaned) => {
    expect(clean(text)).toBe(cleaned);
  });
});

describe('inline', () => {
  it('is one line, whatever it is given', () => {
    fc.assert(
      fc.property(nasty, (text) => {
        expect(inline(text)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
      }),
    );
  });

  it('is bounded, and never cuts a character in two', () => {
    expect(inline('\u{1f418}'.repeat(500), 3)).toBe('\u{1f418}\u{1f418}\u{1f418}...');
  });
});

it('say cleans what is inserted and nothing else', () => {
  expect(say`a\n${'x\u001b[31m\ny'} and ${3}`).toBe('a\nx y and 3');
});

it('tail keeps the last lines, without blank ones', () => {
  const text = Array.from({ length: 30 }, (_, i) => `line ${String(i)}\r\n\n`).join('');
  expect(tail(text)).toHaveLength(20);
  expect(tail(text).at(-1)).toBe('line 29');
  expect(tail('')).toEqual([]);
});

it('argv can be pasted into a shell', () => {
  expect(argv(['/usr/sbin/php-fpm8.2', '-y', "/srv/it's.conf", '', '$x'])).toBe(
    `/usr/sbin/php-fpm8.2 -y '/srv/it'\\''s.conf' '' '$x'`,
  );
});

it.each([
  [0, '0 ms'],
  [24.4, '24 ms'],
  [999.6, '1 s'],
  [1000, '1 s'],
  [3450, '3.5 s'],
  [59_949, '59.9 s'],
  [59_960, '1 min'],
  [63_000, '1 min 3 s'],
  [3_599_900, '1 h'],
  [5_400_000, '1 h 30 min'],
])('duration %d is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});

it('counts, lists and times read as English', () => {
  expect([count(0, 'request'), count(1, 'request'), count(12_345, 'request')]).toEqual([
    '0 requests',
    '1 request',
    '12,345 requests',
  ]);
  expect([list([]), list(['a']), list(['a', 'b', 'c']), list([1, 2, 3], 2)]).toEqual([
    '',
    'a',
    'a, b and c',
    '1, 2 and 1 more',
  ]);
  expect([when('2026-11-21T20:43:01.000Z'), when('yesterday\u0007')]).toEqual([
    '2026-11-21 20:43:01Z',
    'yesterday',
  ]);
});
