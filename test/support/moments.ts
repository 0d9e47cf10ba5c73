/** When the program says something happened, on the clock that requests are recorded on. */
import type { LoadClass, LoadRecord } from '../../src/demo/load.js';
import type { Line, Run } from './command.js';

/** A moment of a run, on the clock of now(): when it wrote this line about this step. */
export function moment(run: Run, type: 'step-started' | 'step-done', step: string, revert = false): number {
  const line = run.events.find(
    (one) => one.type === type && one['step'] === step && one['revert'] === revert,
  );
  if (line === undefined) throw new Error(`no ${type} of ${step}:\n${run.stdout}${run.stderr}`);
  return clockOf(line);
}

/** When a line was written, on that clock. */
export const clockOf = (line: Line): number => Date.parse(String(line['time'])) - performance.timeOrigin;

/** Requests of a class that were sent before `from` and answered after `to`. */
export const across = (
  records: readonly LoadRecord[],
  kind: LoadClass,
  from: number,
  to: number,
): readonly LoadRecord[] =>
  records.filter((one) => one.class === kind && one.start < from && one.start + one.ms > to);

/** The slots that answered, of the requests for which that is known. */
export const slotsOf = (records: readonly LoadRecord[]): readonly string[] =>
  [...new Set(records.flatMap(({ by }) => by?.split('/')[0] ?? []))].sort();
