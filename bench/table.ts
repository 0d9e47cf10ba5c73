/**
 * What a small bench gives: a table, and how its figures stand to what they must be.
 */
import type { Bench } from './contender.js';

export interface Table {
  readonly name: string;
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
  readonly notes: readonly string[];
  readonly targets: readonly Target[];
}

/** `noisy`: a time, which is the machine's as well as ours. */
export interface Target {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly unit: string;
  readonly noisy?: true;
}

/** A bench of its own: one file, one table. Throws where it cannot be run. */
export interface SmallBench {
  readonly name: string;
  readonly run: (bench: Bench, options: { readonly quick: boolean }) => Promise<Table>;
}

export const isMet = ({ value, limit }: Target): boolean => value <= limit;

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** With one decimal. */
export const tenths = (value: number): number => Math.round(value * 10) / 10;
export const hundredths = (value: number): number => Math.round(value * 100) / 100;
