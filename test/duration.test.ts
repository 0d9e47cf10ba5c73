import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LONGEST_MS, parseDuration } from '../src/duration.js';

const write = (ms: number): string => {
  const parts = [
    [Math.floor(ms / 3_600_000), 'h'],
    [Math.floor(ms / 60_000) % 60, 'm'],
    [Math.floor(ms / 1000) % 60, 's'],
    [ms % 1000, 'ms'],
  ] as const;
  return parts.map(([n, unit]) => (n > 0 ? `${String(n)}${unit}` : '')).join('') || '0s';
};

describe('durations', () => {
  test.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1h5ms', 3_600_005],
    ['90m', 5_400_000],
    ['0s', 0],
    ['1m1ms', 60_001],
    ['007s', 7000],
    ['596h', 2_145_600_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toEqual({ ok: true, ms });
  });

  test.each(['30', '0', '1', '99999999999999999999999'])(
    'a-bare-number-is-an-error-that-says-so: %s',
    (text) => {
      expect(parseDuration(text)).toMatchObject({ ok: false, what: 'is a bare number' });
    },
  );

  test.each([
    '',
    ' ',
    '30 s',
    ' 30s',
    '30s\n',
    '-5s',
    '1.5s',
    '5d',
    '5S',
    's',
    'ms',
    '1m1h',
    '1s1s',
    '1ms1s',
    '٣s',
    '1e3s',
  ])('what-is-no-duration-is-refused: %j', (text) => {
    expect(parseDuration(text)).toMatchObject({ ok: false, what: 'is no duration' });
  });

  test.each(['597h', '9999999999999999999999999s', `${'9'.repeat(400)}h`])(
    'what-a-timer-cannot-hold-is-refused: %s',
    (text) => {
      expect(parseDuration(text)).toMatchObject({ ok: false, what: 'is too long' });
    },
  );

  test('every-duration-is-read-back-as-it-was-written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: LONGEST_MS }), (ms) => {
        expect(parseDuration(write(ms))).toEqual({ ok: true, ms });
      }),
    );
  });

  test('any-text-is-a-duration-within-the-limit-or-a-reason', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[0-9hms ]{0,12}$/));
    fc.assert(
      fc.property(text, (text) => {
        const read = parseDuration(text);
        if (read.ok) expect(read.ms >= 0 && read.ms <= LONGEST_MS && Number.isInteger(read.ms)).toBe(true);
        else expect(read.what !== '' && read.fix !== '').toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});
