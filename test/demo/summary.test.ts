import { describe, expect, it } from 'vitest';
import type { LoadRecord } from '../../src/demo/load.js';
import { cuts, isReloadHit, percentile, summarize, type Account } from '../../src/demo/summary.js';

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
const cut = { why: 'closed', detail: '' } as const;
const hit = record({ class: 'idle-keep-alive', id: 'idle-1', start: 5_400, ms: 30, cut, reused: true });
const account: Account = { reloads: [1_000, 5_000], read: new Set(['fast-1']) };

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
  it.each([
    ['held over a distance', hit],
    ['used every now and then', { ...hit, class: 'fast', id: 'fast-2', ms: 0.4 }],
    ['reset instead of closed', { ...hit, cut: { why: 'reset', detail: '' } }],
  ] as const)('with a rewrite, on a kept connection that was %s, before a byte came', (_, one) => {
    expect(isReloadHit(one, 'rewrite', account)).toBe(true);
    expect(cuts([one], 'rewrite', account)).toEqual([]);
  });

  it.each([
    ['with a symlink, which reloads nothing', hit, 'symlink'],
    ['on a new connection', { ...hit, reused: false }, 'rewrite'],
    ['after the answer had begun', { ...hit, received: 1 }, 'rewrite'],
    ['when the answer was a 502', { ...hit, cut: { why: 'status', detail: '502' } }, 'rewrite'],
    ['when a worker had read it', { ...hit, id: 'fast-1' }, 'rewrite'],
    ['when its body was under way', { ...hit, class: 'upload' }, 'rewrite'],
    ['when it was over before any reload', { ...hit, start: 4_900 }, 'rewrite'],
    ['when it was over long after it', { ...hit, ms: 800 }, 'rewrite'],
    ['when it was sent in its second but over later', { ...hit, start: 5_900, ms: 300 }, 'rewrite'],
  ] as const)('but %s it is cut', (_, one, by) => {
    expect(cuts([one], by, account)).toEqual([one]);
  });
});

it('the summary counts every request once, by class, and times the answered ones', () => {
  const lost = record({ cut: { why: 'reset', detail: '' }, ms: 999 });
  const runs = [
    { by: 'rewrite', account, records: [record(), record({ ms: 3.26 }), hit] },
    { by: 'symlink', account, records: [lost, hit] },
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
