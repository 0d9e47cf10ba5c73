import { describe, expect, it } from 'vitest';
import type { LoadRecord } from '../../src/demo/load.js';
import { cuts, isReloadHit, percentile, summarize } from '../../src/demo/summary.js';

const record = (over: Partial<LoadRecord> = {}): LoadRecord => ({
  class: 'fast',
  id: 'fast-1',
  start: 0,
  ms: 1,
  cut: null,
  by: 'blue/1',
  reused: false,
  received: 0,
  ...over,
});
const hit = record({ class: 'idle-keep-alive', cut: { why: 'closed', detail: '' }, reused: true });

it.each([
  [[], 50, 0],
  [[7], 99, 7],
  [[4, 1, 3, 2], 50, 2],
  [[4, 1, 3, 2], 100, 4],
  [Array.from({ length: 100 }, (_, n) => n + 1), 99, 99],
])('of %j the percentile %i is %i', (values, p, is) => {
  expect(percentile(values, p)).toBe(is);
});

describe('a request that nginx’s reload hit is counted apart', () => {
  it('with a rewrite, on an idle connection, before a byte came', () => {
    expect(isReloadHit(hit, 'rewrite')).toBe(true);
    expect(cuts([hit], 'rewrite')).toEqual([]);
  });

  it.each([
    ['with a symlink, which reloads nothing', hit, 'symlink'],
    ['on a new connection', { ...hit, reused: false }, 'rewrite'],
    ['after the answer had begun', { ...hit, received: 1 }, 'rewrite'],
    ['when the answer was a 502', { ...hit, cut: { why: 'status', detail: '502' } }, 'rewrite'],
    ['in a class that is not idle', { ...hit, class: 'fast' }, 'rewrite'],
  ] as const)('but %s it is cut', (_, one, by) => {
    expect(cuts([one], by)).toEqual([one]);
  });
});

it('the summary counts every request once, by class, and times the answered ones', () => {
  const lost = record({ cut: { why: 'reset', detail: '' }, ms: 999 });
  const runs = [
    { by: 'rewrite', records: [record(), record({ ms: 3.26 }), hit] },
    { by: 'symlink', records: [lost, hit] },
  ] as const;
  expect(summarize(runs)).toEqual({
    requests: 5,
    cut: 2,
    idleKeepAliveCut: 1,
    classes: [
      { name: 'fast', requests: 3, cut: 1, p50: 1, p99: 3.3, max: 3.3 },
      { name: 'idle-keep-alive', requests: 2, cut: 1, p50: 0, p99: 0, max: 0 },
    ],
  });
});
