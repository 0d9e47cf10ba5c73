/**
 * What a run of the load sender amounts to. PURE.
 */
import type { DemoReport, SwitchKind } from '../event.js';
import type { LoadRecord } from './load.js';

/** Nearest rank, so that every figure is one that was measured; 0 of nothing is 0. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? 0;
}

/** What nginx itself has written down of a run. */
export interface Account {
  /** When a worker was told to finish and go: the second its log names, by its begin, on the clock of now(). */
  readonly reloads: readonly number[];
  /** Ids of the requests that a worker has read. */
  readonly read: ReadonlySet<string>;
}

/**
 * Reads it out of the error log, kept at `notice` and in UTC, and of an access log that has the requests'
 * queries. `origin`: now()'s zero, in ms since the epoch.
 */
export function accountOf(errorLog: string, accessLog: string, origin: number): Account {
  const reloads = [...errorLog.matchAll(SHUTTING_DOWN)].map(
    ([, date = '', time = '']) => Date.parse(`${date.replaceAll('/', '-')}T${time}Z`) - origin,
  );
  const read = [...accessLog.matchAll(/[?&]id=([\w-]+)/g)].map(([, id = '']) => id);
  return { reloads: [...new Set(reloads)], read: new Set(read) };
}

/** What a worker writes, at `notice`, when the master has told it to finish and go. */
const SHUTTING_DOWN = /^(\S+) (\S+) \[notice\] .* gracefully shutting down$/gm;

/**
 * Whether nginx's own reload hit the request: an old worker closes its idle connections at
 * once, without looking whether a request is on its way (ngx_close_idle_connections). Told by
 * the cause and not by what the client was: sent on a kept connection, over before a byte of
 * an answer, read by no worker, and over when workers were being told to go. A new connection
 * waits to be accepted by a new worker, and a body under way means that its head was read, so
 * neither is ever such a hit. A symlink switch reloads nothing, and there nothing is excused.
 */
export function isReloadHit(record: LoadRecord, by: SwitchKind, account: Account): boolean {
  const { class: kind, id, cut, reused, received } = record;
  const over = record.start + record.ms;
  return (
    by === 'rewrite' &&
    (kind === 'fast' || kind === 'idle-keep-alive') &&
    reused &&
    received === 0 &&
    (cut?.why === 'closed' || cut?.why === 'reset') &&
    !account.read.has(id) &&
    account.reloads.some((at) => over >= at - CLOCKS && over <= at + SECOND + TRAVEL)
  );
}

/** nginx's log knows whole seconds, */
const SECOND = 1000;
/** the end of a connection travels as long as the load's distance and until the sender is scheduled, */
const TRAVEL = 150;
/** and two clocks are compared. All in ms. */
const CLOCKS = 20;

export const cuts = (
  records: readonly LoadRecord[],
  by: SwitchKind,
  account: Account,
): readonly LoadRecord[] =>
  records.filter((record) => record.cut !== null && !isReloadHit(record, by, account));

/** One sandbox's records, and what its nginx says of them. */
export interface LoadRun {
  readonly by: SwitchKind;
  readonly records: readonly LoadRecord[];
  readonly account: Account;
}

/** The demo's figures. Milliseconds with one decimal; of answered requests only. */
export function summarize(
  runs: readonly LoadRun[],
): Pick<DemoReport, 'requests' | 'cut' | 'idleKeepAliveCut' | 'classes'> {
  const all = runs.flatMap(({ by, records, account }) => records.map((record) => ({ by, record, account })));
  const isHit = ({ by, record, account }: (typeof all)[number]): boolean => isReloadHit(record, by, account);
  const isCut = (one: (typeof all)[number]): boolean => one.record.cut !== null && !isHit(one);
  return {
    requests: all.length,
    cut: all.filter(isCut).length,
    idleKeepAliveCut: all.filter(isHit).length,
    classes: [...new Set(all.map(({ record }) => record.class))].sort().map((name) => {
      const ofClass = all.filter(({ record }) => record.class === name);
      const ms = ofClass.filter(({ record }) => record.cut === null).map(({ record }) => record.ms);
      return {
        name,
        requests: ofClass.length,
        cut: ofClass.filter(isCut).length,
        p50: round(percentile(ms, 50)),
        p99: round(percentile(ms, 99)),
        max: round(percentile(ms, 100)),
      };
    }),
  };
}

const round = (ms: number): number => Math.round(ms * 10) / 10;
