import { expect, it } from 'vitest';
import type { DemoReport, HistoryEntry, NginxStatus, PoolStatus } from '../../src/event.js';
import { PLAIN } from '../../src/ui/style.js';
import { COLORED } from '../../src/ui/tty.js';
import {
  align,
  demoLines,
  diffLines,
  historyLines,
  planLines,
  resultTables,
  nginxLines,
  statusLines,
  visible,
} from '../../src/ui/table.js';
import { FAILURES, OBSERVATIONS, PLAN, STATUS } from './samples.js';

const holder = { pid: 4711, user: 'root', command: 'deploy shop', since: '2026-11-21T20:43:01.000Z' };

it('status: blue and green side by side', () => {
  expect(statusLines([STATUS], { pid: 812, workers: 2, retiring: 1 }, PLAIN).join('\n')).toBe(
    `shop: green serves
               blue                      green (active)
  state        stopped                   running
  pid                                    4121
  since                                  2026-11-21 20:43:01Z
  listen       unix:/run/shop-blue.sock  unix:/run/shop-green.sock
  connections                            3 accepted, 0 queued
  workers                                3 active, 5 idle
  pidfile                                ok
  last deploy 20261121T204301.000Z-4711: done
nginx: pid 812, 2 workers, 1 retiring`,
  );
});

it('status: what is wrong is said, an app after the other', () => {
  const broken = {
    ...STATUS,
    app: 'blog',
    active: null,
    served: false,
    slots: null,
    last: null,
    failure: FAILURES['nginx-gone'],
  };
  const busy = {
    ...STATUS,
    served: false,
    open: { deploy: 'd1', step: 'drain' as const },
    lock: holder,
  };
  const lines = statusLines([broken, busy], null, PLAIN);
  expect(lines.slice(0, 4)).toEqual([
    'blog: cannot be told',
    "  nginx's master, pid 812, is gone.",
    '',
    'shop: not served',
  ]);
  expect(lines.slice(-3)).toEqual([
    '  open deploy d1, at drain',
    '  locked by pid 4711 (deploy shop, by root) since 2026-11-21 20:43:01Z',
    'nginx: not observed',
  ]);
});

it('history: one deploy a row', () => {
  const entry: HistoryEntry = {
    deploy: 'd1',
    app: 'shop',
    time: '2026-11-21T20:43:01.000Z',
    who: 'root',
    command: 'deploy',
    from: 'blue',
    to: 'green',
    outcome: 'done',
    ms: { total: 392 },
    cut: 0,
    reason: null,
  };
  const entries: HistoryEntry[] = [
    entry,
    { ...entry, from: null, outcome: 'reverted', reason: 'probe-failed', ms: { total: 10_038 } },
    { ...entry, outcome: null, ms: {} },
    { ...entry, cut: 3 },
  ];
  expect(historyLines(entries, PLAIN).join('\n')).toBe(
    `when                  who   command  switch         outcome                    took        cut
2026-11-21 20:43:01Z  root  deploy   blue -> green  done                     392 ms          0
2026-11-21 20:43:01Z  root  deploy   - -> green     reverted (probe-failed)    10 s          0
2026-11-21 20:43:01Z  root  deploy   blue -> green  open                          -          0
2026-11-21 20:43:01Z  root  deploy   blue -> green  done                     392 ms  at most 3`,
  );
  expect(historyLines([entry, { ...entry, app: 'blog' }], PLAIN)[0]).toContain('app');
  expect(bare(historyLines(entries, COLORED))).toBe(historyLines(entries, PLAIN).join('\n'));
  expect(historyLines([], PLAIN)).toEqual(['No deploy yet.']);
});

it('demo: deploys, request classes, verdict', () => {
  const demo: DemoReport = {
    rows: [
      { switch: 'rewrite', from: 'blue', to: 'green', deployMs: 3390.4 },
      { switch: 'symlink', from: 'green', to: 'blue', deployMs: 71 },
    ],
    requests: 12_345,
    cut: 0,
    idleKeepAliveCut: 3,
    classes: [
      { name: 'fast', requests: 12_000, cut: 0, p50: 2.2, p99: 11, max: 40 },
      { name: '3 s', requests: 345, cut: 0, p50: 3001, p99: 3010, max: 3012 },
    ],
  };
  expect(demoLines(demo, PLAIN).join('\n')).toBe(
    `switch   deploy          took
rewrite  blue -> green  3.4 s
symlink  green -> blue  71 ms

requests    sent  cut   p50    p99    max
fast      12,000    0  2 ms  11 ms  40 ms
3 s          345    0   3 s    3 s    3 s

3 requests on idle keep-alive connections met nginx's own reload (rewrite only): not counted above.
0 of 12,345 requests cut`,
  );
  expect(bare(demoLines(demo, COLORED))).toBe(demoLines(demo, PLAIN).join('\n'));
});

/** Without its colours. */
const bare = (lines: readonly string[]): string =>
  // eslint-disable-next-line no-control-regex -- colours are what is taken away
  lines.join('\n').replace(/\u001b\[\d+m/g, '');

it('dry run: slots, steps, the change as a diff, programs, signals', () => {
  expect(planLines({ ...PLAN, dryRun: true }, 'shop', PLAIN).join('\n')).toBe(
    `deploy shop: blue -> green by rewrite (dry run: nothing is touched)
  steps    start green, probe green, switch green, verify green, drain blue, retire blue, stop blue
  changes  /etc/nginx/conf.d/shop.conf, lines 2 and 3
             --- /etc/nginx/conf.d/shop.conf
             +++ /etc/nginx/conf.d/shop.conf
             @@ -1,4 +1,4 @@
              upstream shop {
             -\tserver unix:/run/shop-blue.sock;
             +\tserver unix:/run/shop-green.sock;
  runs     /usr/sbin/php-fpm8.2 -y /srv/shop.fpm.conf -D
           /usr/sbin/nginx -t -g 'daemon on;'
  signals  SIGHUP to nginx, pid 812
           SIGQUIT to blue, pid 4000`,
  );
});

it('a diff is coloured by its first character, and what the file holds is cleaned', () => {
  const mark = {
    ...PLAIN,
    red: (s: string) => `<r>${s}`,
    green: (s: string) => `<g>${s}`,
    bold: (s: string) => `<b>${s}`,
  };
  expect(diffLines('--- a\n+++ a\n-x\u001b[2J\n+y\u202e\n z\n', mark)).toEqual([
    '<b>--- a',
    '<b>+++ a',
    '<r>-x',
    '<g>+y',
    ' z',
  ]);
});

it('colours take no room in a table', () => {
  expect(visible('\u001b[1m\u001b[31mred\u001b[39m\u001b[22m')).toBe(3);
  expect(
    align([
      ['\u001b[31mab\u001b[39m', 'x'],
      ['abc', 'y'],
    ]),
  ).toEqual(['\u001b[31mab\u001b[39m   x', 'abc  y']);
  expect(align([])).toEqual([]);
});

it('a deploy has no table', () => {
  expect(resultTables({ command: 'deploy', exit: 0 }, PLAIN)).toEqual([]);
});

it('nginx: its master, generations with what they hold, an upgrade that is not finished', () => {
  const generation = { since: '2026-11-21T20:43:01.000Z', retiring: false };
  const status: NginxStatus = {
    state: 'running',
    pid: 812,
    workers: 1,
    retiring: 1,
    config: '/etc/nginx/nginx.conf',
    binary: '/usr/sbin/nginx',
    since: '2026-11-21T20:43:01.000Z',
    pidfile: '/run/nginx.pid',
    generations: [
      { ...generation, workers: [{ pid: 815, clients: 4, upstreams: 2 }] },
      { ...generation, retiring: true, workers: [{ pid: 813, clients: 1, upstreams: 0 }] },
    ],
    upgrade: { old: 700, new: 812, ours: true, generations: [] },
  };
  expect(nginxLines(status, PLAIN)).toEqual([
    'nginx: running, pid 812 since 2026-11-21 20:43:01Z',
    '  config   /etc/nginx/nginx.conf',
    '  binary   /usr/sbin/nginx',
    '  pidfile  /run/nginx.pid',
    '  serving since 2026-11-21 20:43:01Z',
    '    worker 815 (4 clients, 2 upstreams)',
    '  retiring since 2026-11-21 20:43:01Z',
    '    worker 813 (1 client, 0 upstreams)',
    '  upgrade pending: old master 700, new master 812; `swap-pool recover` ends it',
  ]);
  const gone = { pid: null, since: null, workers: 0, retiring: 0, generations: [], upgrade: null };
  expect(nginxLines({ ...status, ...gone, state: 'dead' }, PLAIN)).toEqual([
    'nginx: stopped',
    '  config   /etc/nginx/nginx.conf',
    '  binary   /usr/sbin/nginx',
    '  pidfile  /run/nginx.pid (left behind)',
  ]);
});

it('pool status: the slot of every app asked about, one below the other', () => {
  const pools = [
    { app: 'shop', ...STATUS.slots?.green, retired: true } as PoolStatus,
    { app: 'blog', failure: FAILURES['nginx-gone'] },
  ];
  const lines = resultTables({ command: 'pool', verb: 'status', slot: 'green', exit: 4, pools }, PLAIN);
  expect(lines).toEqual([
    'shop',
    '  state        running, its socket has no name',
    '  pid          4121',
    '  since        2026-11-21 20:43:01Z',
    '  listen       unix:/run/shop-green.sock',
    '  connections  3 accepted, 0 queued',
    '  workers      3 active, 5 idle',
    '  pidfile      ok',
    '',
    'blog',
    "  nginx's master, pid 812, is gone.",
  ]);
});

it('doctor: each app with its findings, then the host; one that has none says so', () => {
  const lines = resultTables(
    {
      command: 'doctor',
      exit: 1,
      examined: ['blog', 'shop'],
      findings: [
        { severity: 'error', app: 'shop', fixable: true, observation: OBSERVATIONS.orphans },
        {
          severity: 'advice',
          app: null,
          fixable: false,
          observation: OBSERVATIONS['shutdown-timeout-unset'],
        },
      ],
      mended: [{ severity: 'warning', app: 'blog', fixable: true, failure: FAILURES['nginx-gone'] }],
    },
    PLAIN,
  );
  expect(lines.map((line) => line.slice(0, 55))).toEqual([
    "blog: mended: nginx's master, pid 812, is gone.",
    'blog: nothing is wrong',
    'shop:',
    '  error    The green pool has lost its master, as after',
    '           | pid 11 and 12',
    '           hint: `swap-pool doctor shop --fix` mends it',
    'this host:',
    '  advice   `worker_shutdown_timeout` is not set in /etc',
    '           hint: Set it to more than your longest reque',
  ]);
});
