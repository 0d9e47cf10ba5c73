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

/**
 * Whether nginx's own reload hit the request: sent on a connection that had been idle, and
 * over before a byte of an answer, because an old worker closes idle connections at once
 * without looking whether a request is on its way. Only a reload does that, so with a
 * symlink switch such a request is cut like any other.
 */
export const isReloadHit = (record: LoadRecord, by: SwitchKind): boolean =>
  by === 'rewrite' &&
  record.class === 'idle-keep-alive' &&
  record.reused &&
  record.received === 0 &&
  (record.cut?.why === 'closed' || record.cut?.why === 'reset');

export const cuts = (records: readonly LoadRecord[], by: SwitchKind): readonly LoadRecord[] =>
  records.filter((record) => record.cut !== null && !isReloadHit(record, by));

/** The demo's figures. Milliseconds with one decimal; of answered requests only. */
export function summarize(
  runs: readonly { readonly by: SwitchKind; readonly records: readonly LoadRecord[] }[],
): Pick<DemoReport, 'requests' | 'cut' | 'idleKeepAliveCut' | 'classes'> {
  const all = runs.flatMap(({ by, records }) => records.map((record) => ({ by, record })));
  const isCut = ({ by, record }: (typeof all)[number]): boolean => cuts([record], by).length > 0;
  return {
    requests: all.length,
    cut: all.filter(isCut).length,
    idleKeepAliveCut: all.filter(({ by, record }) => isReloadHit(record, by)).length,
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
