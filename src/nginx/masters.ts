/** The two masters of a binary upgrade: a new binary's is the old one's child, but was exec'ed. */
import type { ProcessId } from '../event.js';
import { identify, isForkOf, readStat, title } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { MASTER_TITLE } from './title.js';
import { steadyChildren } from './workers.js';

export interface Heirs {
  /** Children that are masters of their own: one at most, nginx refuses a second upgrade. */
  readonly masters: readonly ProcessId[];
  /** There are children of which it cannot be told yet what they will be: forked a moment ago, or without a title. */
  readonly unborn: boolean;
  /** Those without nginx's title: a new binary that has yet to come up, or never will. */
  readonly untitled: readonly ProcessId[];
}

/** The masters that a master has started. */
export function heirsOf(fs: Procfs, master: ProcessId): Heirs {
  const masters: ProcessId[] = [];
  const untitled: ProcessId[] = [];
  let unborn = false;
  for (const pid of steadyChildren(fs, master.pid)) {
    const id = identify(fs, pid);
    if (id === null) continue;
    const line = title(fs, pid);
    if (!line.startsWith('nginx: ')) {
      unborn = true;
      untitled.push(id);
    } else if (!line.startsWith(MASTER_TITLE)) continue;
    // a fork bears its master's title until it has its own, or another program
    else if (isForkOf(fs, pid, master.pid) === true) unborn = true;
    else masters.push(id);
  }
  return { masters, unborn, untitled };
}

/** The master that a new binary's master was started by; null when it is gone, or there was none. */
export function parentMaster(fs: Procfs, master: ProcessId): ProcessId | null {
  const parent = readStat(fs, master.pid)?.ppid ?? 0;
  return parent > 1 && title(fs, parent).startsWith(MASTER_TITLE) ? identify(fs, parent) : null;
}
