/**
 * A run of the bench as it is kept: everything the three forms of the report are made of.
 */
import type { RowFigures } from '../figures.js';
import type { Table } from '../table.js';

export interface Document {
  readonly schema: 1;
  /** RFC 3339 */
  readonly date: string;
  readonly quick: boolean;
  readonly deploys: number;
  readonly machine: Machine;
  readonly rows: readonly Row[];
  readonly tables: readonly Table[];
  /** Benches that could not be run, and why. */
  readonly failed: readonly { readonly name: string; readonly why: string }[];
}

/** What a figure depends on, and nothing that tells whose machine it is. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly system: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Load averages of the last minute: at the begin, and at the end, ours included. */
  readonly load: readonly [number, number];
}

export interface Row {
  readonly name: string;
  readonly title: string;
  readonly notes: readonly string[];
  readonly result:
    | { readonly kind: 'played'; readonly figures: RowFigures }
    | { readonly kind: 'skipped'; readonly why: string };
}
