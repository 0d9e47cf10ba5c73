/**
 * The last lines of a pool's own log since a start: what FPM printed while it started, and what
 * it wrote into its error_log since then.
 */
import { wallClock } from '../system/clock.js';
import { factsThroughLinks, readTail } from '../system/files.js';

/** Where a start's words are. `from`: how long the error_log was when the start began, bytes. */
export interface StartLog {
  /** null: it printed nothing, as a reload does. */
  readonly output: string | null;
  readonly errorLog: string | null;
  readonly from: number;
  /** When the start began, ms since the epoch. */
  readonly began: number;
}

/** Remembers where the error_log ends now. `output`: the file that FPM's own output goes to. */
export const markLog = <Output extends string | null>(
  output: Output,
  errorLog: string | null,
): StartLog & { readonly output: Output } => ({
  output,
  errorLog,
  from: sizeOf(errorLog),
  began: wallClock(),
});

/** At most 20 lines and 4 KiB, without a line that FPM wrote to both places; '' when there are none. */
export function readLog({ output, errorLog, from }: StartLog): string {
  // a log that was rotated meanwhile is shorter than it was
  const since = sizeOf(errorLog) < from ? 0 : from;
  const printed = tail(output, 0);
  const logged = tail(errorLog, since).filter((line) => !printed.includes(line));
  return [...printed, ...logged].slice(-LINES).join('\n').slice(-BYTES);
}

const LINES = 20;
const BYTES = 4096;

function tail(path: string | null, offset: number): string[] {
  if (path === null || !isLog(path)) return [];
  const bytes = readTail(path, offset, 4 * BYTES);
  if (!bytes.ok) return [];
  return bytes.value
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
}

const sizeOf = (path: string | null): number => {
  const found = path === null || !isLog(path) ? null : factsThroughLinks(path);
  return found?.ok === true ? found.value.size : 0;
};

/** error_log = /proc/self/fd/2 would be our own stderr, and reading a FIFO would take its content away. */
function isLog(path: string): boolean {
  if (/^\/(proc|dev)\//.test(path)) return false;
  const found = factsThroughLinks(path);
  return found.ok && found.value.kind === 'file';
}
