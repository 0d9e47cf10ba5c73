import { expect, it } from 'vitest';
import { figuresOf, type RowFigures } from '../../bench/figures.js';
import { packed, unpacked } from '../../bench/record.js';
import { chart } from '../../bench/report/chart.js';
import type { Document, Row } from '../../bench/report/document.js';
import { html } from '../../bench/report/html.js';
import { markdown } from '../../bench/report/markdown.js';
import { targetsOf } from '../../bench/report/main-table.js';
import { missing, type Seen } from '../../bench/row.js';
import type { LoadRecord } from '../../src/demo/load.js';

let count = 0;
const record = (over: Partial<LoadRecord> = {}): LoadRecord => ({
  class: 'fast',
  id: `fast-${(count += 1)}`,
  start: 0,
  ms: 1,
  cut: null,
  by: 'blue/1',
  reused: false,
  received: 0,
  ...over,
});
const fast = (start: number, ms: number): LoadRecord => record({ start, ms });

/** Two deploys of a second each, at 3 s and at 13 s, and a burst after each. */
const seen = (records: readonly LoadRecord[], over: Partial<Seen> = {}): Seen => ({
  records,
  account: null,
  sender: { records: records.length, lag: { p50: 0, p99: 1, max: 2 }, peakRss: 0 },
  deploys: [
    { start: 3_000, end: 4_000, marks: [{ what: 'start', at: 3_000 }] },
    {
      start: 13_000,
      end: 14_000,
      marks: [
        { what: 'start', at: 13_000 },
        { what: 'stop', at: 13_400 },
      ],
    },
  ],
  from: 0,
  to: 20_000,
  bursts: [
    [6_000, 8_000],
    [16_000, 18_000],
  ],
  samples: [{ at: 3_100, inFlight: { blue: 2, green: 7 } }],
  memory: { before: 10, peak: 35 },
  finished: new Set(['finish-1']),
  ...over,
});

it('latency around a deploy is compared with that right before it, and neither the first deploy nor a burst counts', () => {
  const figures = figuresOf(
    seen([
      fast(3_500, 9_000), // the first deploy
      fast(6_500, 8_000), // a burst
      fast(9_000, 2),
      fast(13_500, 6),
      fast(15_999, 8), // in the tail
      fast(16_001, 7_000),
    ]),
    2_000,
  );
  expect(figures.classes['fast']).toMatchObject({
    deploying: { requests: 2, p50: 6, max: 8 },
    steady: { requests: 1, max: 2 },
  });
  expect(figures.p999Ratio).toBe(4);
});

it('a cut is counted whenever it comes, by its class and its cause', () => {
  const status = { why: 'status', detail: '502 Bad Gateway' } as const;
  const reset = { why: 'reset', detail: 'ECONNRESET' } as const;
  const figures = figuresOf(
    seen([
      fast(1, 1),
      record({ class: 'slow', start: 2_000, cut: status }),
      record({ class: 'slow', start: 19_999, cut: reset }),
    ]),
    2_000,
  );
  expect(figures).toMatchObject({ requests: 3, cut: 2, keptHits: 0 });
  expect(figures.classes['slow']).toMatchObject({ requests: 2, cut: 2, causes: { '502': 1, reset: 1 } });
});

it('what a reload closed is counted apart where a proxy reloads, and nowhere else', () => {
  const closed = { why: 'closed', detail: '' } as const;
  const hit = record({ class: 'idle-keep-alive', start: 5_000, ms: 50, cut: closed, reused: true });
  const account = { reloads: [5_000], read: new Set<string>() };
  expect(figuresOf(seen([hit], { account }), 2_000)).toMatchObject({ cut: 0, keptHits: 1 });
  expect(figuresOf(seen([hit]), 2_000)).toMatchObject({ cut: 1, keptHits: 0 });
  const late = { ...hit, ms: 1_500 };
  expect(figuresOf(seen([late], { account }), 2_000)).toMatchObject({ cut: 1 });
  const sender = { records: 1, lag: { p50: 0, p99: 1, max: 400 }, peakRss: 0 };
  expect(figuresOf(seen([late], { account, sender }), 2_000)).toMatchObject({ cut: 0, keptHits: 1 });
});

it('work after the answer that left no trace is lost, unless the request was cut', () => {
  const finish = (id: string, cut: LoadRecord['cut'] = null): LoadRecord =>
    record({ class: 'finish', id, cut });
  const closed = { why: 'closed', detail: '' } as const;
  const records = [finish('finish-1'), finish('finish-2'), finish('finish-3', closed)];
  expect(figuresOf(seen(records), 2_000)).toMatchObject({ workLost: 1, cut: 1 });
});

it('a deploy’s parts end where the next begins, and memory is what it took beyond before', () => {
  const figures = figuresOf(seen([fast(1, 1)]), 2_000);
  expect(figures.parts).toEqual({ start: 400, stop: 600 });
  expect(figures.memory).toMatchObject({ extra: 25 });
  expect(figures.deployMs).toEqual({ median: 1_000, min: 1_000, max: 1_000 });
  // and what nobody has looked at since stays as it was
  expect(figures.chart.inFlight.green.slice(11, 15)).toEqual([0, 7, 7, 7]);
});

it('a record survives its way through a file, onto another clock', () => {
  const cut = { why: 'status', detail: '502 <"\n' } as const;
  const before = record({ start: 100.25, cut, by: null, reused: true, received: 9 });
  expect(unpacked(packed(before, 1_000), 900)).toEqual({ ...before, start: 200.25 });
});

const figures: RowFigures = figuresOf(seen([fast(9_000, 1), fast(13_500, 3)]), 2_000);
const rows: readonly Row[] = [
  {
    name: 'swap-pool-symlink',
    title: 'ours & best',
    notes: ['a <note>'],
    result: { kind: 'played', figures },
  },
  { name: 'caddy', title: 'theirs', notes: [], result: { kind: 'skipped', why: 'not to be had' } },
];
const document: Document = {
  schema: 1,
  date: '2026-01-02T03:04:05.678Z',
  quick: false,
  deploys: 2,
  machine: {
    cpu: 'a CPU',
    cores: 2,
    memoryGb: 4,
    kernel: '6.1',
    system: 'a system',
    versions: { nginx: '1.2' },
    load: [0.1, 3],
  },
  rows,
  tables: [
    {
      name: 'one',
      title: 'One',
      columns: ['a|b', 'c'],
      rows: [['x', 2]],
      notes: [],
      targets: [{ what: 'that', value: 3, limit: 2, unit: 'ms' }],
    },
  ],
  failed: [{ name: 'other', why: 'it could not' }],
};

it('a row that was skipped says so with its reason, and a target that was missed is told, in each form', () => {
  for (const text of [markdown(document), html(document)]) {
    expect(text).toContain('skipped: not to be had');
    expect(text).toMatch(/missed(\*\*)?: that 3 ms, at most 2/);
    expect(text).toContain('other: it could not');
  }
});

it('a contender whose program is not there is told by its path', () => {
  const open = (): never => {
    throw new Error('nobody opens it');
  };
  const needs = [process.execPath, '/no/such/program'];
  expect(missing({ name: 'it', title: 'It', notes: [], needs, open })).toEqual(['/no/such/program']);
});

it('the page is one file that asks nobody for anything', () => {
  const page = html(document);
  expect(page).not.toMatch(/src=|href=|url\(|@import|<script/);
  expect(page).toContain('a &lt;note&gt;');
  expect(page).toContain('ours &amp; best');
});

it('a chart has a mark for every step of every deploy, and no coordinate that is none', () => {
  const svg = chart(figures.chart, 'it');
  expect(svg.match(/class="step"/g)).toHaveLength(3);
  expect(svg.match(/class="deploy"/g)).toHaveLength(2);
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
});

it('a class that was sent less than planned is told, so that no zero is one of nothing', () => {
  const every = (ms: number, kind: LoadRecord['class']): LoadRecord[] =>
    Array.from({ length: 20_000 / ms }, (_, n) => record({ class: kind, start: n * ms }));
  const all = [
    ...every(4, 'fast'),
    ...every(50, 'post'),
    ...every(500, 'slow'),
    ...every(1000, 'upload'),
    ...every(1000, 'finish'),
    ...every(3.75, 'idle-keep-alive'),
  ];
  const finished = new Set(all.map(({ id }) => id));
  expect(figuresOf(seen(all, { finished }), 2_000).unsent).toBe(0);
  const fewer = all.filter(({ class: kind, start }) => kind !== 'upload' || start >= 5_000);
  expect(figuresOf(seen(fewer, { finished }), 2_000).unsent).toBe(25);
});

it('of our own rows the zeros and the latency around a deploy are targets, of others’ nothing is', () => {
  expect(rows.flatMap(targetsOf).map(({ what, value, limit }) => [what, value, limit])).toEqual([
    ['requests cut', 0, 0],
    ['requests on kept connections closed', 0, 0],
    ['work lost', 0, 0],
    ['of the plan of one class not sent', 100, 50],
    ['p99.9 of the fast class around a deploy by that before it', 3, 1.5],
  ]);
});
