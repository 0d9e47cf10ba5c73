/**
 * What the sender and its reader say to each other.
 */
import type { Cut } from '../src/demo/connection.js';
import type { LoadClass, LoadOptions, LoadRecord } from '../src/demo/load.js';

export type SenderOptions = LoadOptions & {
  /** Gets the records. */
  readonly file: string;
};

/** The sender's last line. */
export interface SenderEnd {
  readonly records: number;
  /** How late its event loop turned, ms. */
  readonly lag: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Bytes. */
  readonly peakRss: number;
}

type Row = [LoadClass, string, number, number, string | null, 0 | 1, number, ...([Cut['why'], string] | [])];

/** A record as a line; `origin` is now()'s zero of the sender, in ms since the epoch. */
export const packed = (record: LoadRecord, origin: number): string => {
  const { class: kind, id, start, ms, by, reused, received, cut } = record;
  const row: Row = [kind, id, thousandths(start + origin), thousandths(ms), by, reused ? 1 : 0, received];
  if (cut !== null) row.push(cut.why, cut.detail);
  return JSON.stringify(row);
};

/** The record of a line; its start is on the clock whose zero is `origin`. */
export function unpacked(line: string, origin: number): LoadRecord {
  const [kind, id, start, ms, by, reused, received, why, detail] = JSON.parse(line) as Row;
  const cut = why === undefined ? null : { why, detail: detail ?? '' };
  return { class: kind, id, start: start - origin, ms, by, reused: reused === 1, received, cut };
}

const thousandths = (ms: number): number => Math.round(ms * 1000) / 1000;
