import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DrainPace } from '../../src/deploy/drain-pace.js';

interface Looks {
  readonly short: number;
  readonly whole: number;
  readonly shownAt: readonly number[];
  readonly longest: number;
}

/** A drain of so many ms of a pool at work, whose looks take so long. */
function drained(ms: number, cost: { short: number; whole: number }, connections: number): Looks {
  const pace = new DrainPace(0);
  const shownAt: number[] = [];
  const sum = { short: 0, whole: 0 };
  let longest = 0;
  let at = 0;
  while (at < ms) {
    const kind = pace.begins(at) ? 'whole' : 'short';
    at += cost[kind];
    sum[kind] += cost[kind];
    pace.ends(at, kind, 'work');
    if (kind === 'whole' && pace.shows(at)) shownAt.push(at);
    const rest = pace.next(at, connections);
    longest = Math.max(longest, rest);
    at += rest;
  }
  return { ...sum, shownAt, longest };
}

const short = fc.double({ min: 0.01, max: 5, noNaN: true });
const whole = fc.double({ min: 0.01, max: 100, noNaN: true });
const connections = fc.integer({ min: 0, max: 500 });

describe('the pace of a drain', () => {
  it('takes a hundredth of a core at most for short looks, and one for whole ones', () => {
    fc.assert(
      fc.property(short, whole, connections, (a, b, held) => {
        const minutes = drained(300_000, { short: a, whole: b }, held);
        // what began quickly on purpose, and the looks at both ends
        expect(minutes.short).toBeLessThanOrEqual(3000 + 100 + 2 * a);
        expect(minutes.whole).toBeLessThanOrEqual(3000 + 2 * b);
      }),
    );
  });

  it('never waits for longer than half a second', () => {
    fc.assert(
      fc.property(short, whole, connections, (a, b, held) => {
        expect(drained(60_000, { short: a, whole: b }, held).longest).toBeLessThanOrEqual(500);
      }),
    );
  });

  it('is quick at first: what ends within the first tenth of a second is seen within milliseconds', () => {
    const { short: sum } = drained(100, { short: 0.1, whole: 0.5 }, 1);
    expect(sum / 0.1).toBeGreaterThan(80);
  });

  it('shows figures at once, five times a second, and every two seconds of what lasts', () => {
    const { shownAt } = drained(60_000, { short: 0.5, whole: 2 }, 5);
    const gaps = shownAt.slice(1).map((at, index) => at - (shownAt[index] ?? 0));
    expect(shownAt[0]).toBeLessThan(10);
    expect(gaps.slice(0, 5).every((gap) => gap >= 200 && gap < 260)).toBe(true);
    expect(Math.max(...gaps)).toBeLessThan(2100);
    expect(gaps.slice(-5).every((gap) => gap >= 2000)).toBe(true);
  });

  it('looks again at once when nobody works any more, and the later the more slowly', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 20_000, noNaN: true }), (since) => {
        const pace = new DrainPace(0);
        pace.begins(60_000);
        pace.ends(60_001, 'whole', 'idle');
        expect(pace.next(60_000 + since, 0)).toBeCloseTo(Math.max(1, Math.min(500, since / 10)), 6);
        // somebody came: it is a drain like any other again
        pace.begins(60_000 + since);
        pace.ends(60_001 + since, 'short', 'work');
        expect(pace.next(60_001 + since, 0)).toBeGreaterThanOrEqual(10);
      }),
    );
  });

  it('is in less of a hurry while there are many connections', () => {
    const pace = new DrainPace(0);
    expect([20, 21].map((held) => pace.next(1000, held))).toEqual([10, 50]);
    expect([20, 21].map((held) => pace.next(8000, held))).toEqual([40, 80]);
    expect([20, 21].map((held) => pace.next(60_000, held))).toEqual([50, 100]);
  });

  it('does not go by what a look cost that was due, or that found nobody at work', () => {
    const pace = new DrainPace(0);
    expect(pace.begins(1000)).toBe(true);
    pace.ends(1050, 'whole', 'work');
    pace.shows(1050);
    expect(pace.next(1050, 0)).toBe(10);
    expect(pace.begins(1060)).toBe(false);
    pace.ends(1064, 'short', 'idle');
    expect(pace.begins(20_000)).toBe(true);
    pace.ends(20_050, 'whole', 'work');
    expect(pace.next(20_050, 0)).toBe(50);
  });

  it('goes by what a look cost that had to be a whole one', () => {
    const pace = new DrainPace(0);
    pace.begins(1000);
    pace.shows(1000);
    pace.ends(1000, 'whole', 'work');
    expect(pace.begins(1010)).toBe(false);
    pace.ends(1014, 'whole', 'work');
    expect(pace.next(1014, 0)).toBe(400);
  });
});
