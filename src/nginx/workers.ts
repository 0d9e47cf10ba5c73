/**
 * The children of an nginx master as /proc shows them: who takes requests, who only
 * finishes them, who was forked so lately that it has no title of its own yet.
 */
import type { ProcessId } from '../event.js';
import { children, identify, isForkOf, sameProcess, title } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { MASTER_TITLE, RETIRING_TITLE, WORKER_TITLE } from './title.js';

export interface Workers {
  /** Those that take new requests. */
  readonly serving: readonly ProcessId[];
  /** Those that finish what they have, under a configuration of the past. */
  readonly retiring: readonly ProcessId[];
  /** Forked a moment ago: it cannot be told yet what they will be. */
  readonly untitled: readonly ProcessId[];
}

/** The workers of a master. Cache managers and loaders are none. */
export function readWorkers(fs: Procfs, master: ProcessId): Workers {
  const serving: ProcessId[] = [];
  const retiring: ProcessId[] = [];
  const untitled: ProcessId[] = [];
  for (const pid of steadyChildren(fs, master.pid)) {
    const id = identify(fs, pid);
    if (id === null) continue;
    const line = title(fs, pid);
    if (line.startsWith(RETIRING_TITLE)) retiring.push(id);
    else if (line.startsWith(WORKER_TITLE)) serving.push(id);
    // the master of a new binary is a child, too, but was exec'ed
    else if (line.startsWith(MASTER_TITLE) && isForkOf(fs, pid, master.pid) !== false) untitled.push(id);
  }
  return { serving, retiring, untitled };
}

/**
 * The children, read until two reads agree: the kernel walks the list anew for each entry
 * and may pass over a sibling of one that exits meanwhile (proc(5), task/TID/children).
 */
export function steadyChildren(fs: Procfs, pid: number): readonly number[] {
  let last = children(fs, pid);
  const all = new Set(last);
  for (let look = 1; look < MOST_LOOKS; look += 1) {
    const again = children(fs, pid);
    if (again.length === last.length && again.every((each, at) => each === last[at])) return again;
    for (const each of again) all.add(each);
    last = again;
  }
  return [...all];
}
const MOST_LOOKS = 5;

export const contains = (ids: readonly ProcessId[], id: ProcessId): boolean =>
  ids.some((each) => sameProcess(each, id));

export const sameProcesses = (a: readonly ProcessId[], b: readonly ProcessId[]): boolean =>
  a.length === b.length && a.every((id) => contains(b, id));
