/**
 * Who lives in the slot of a server of which nothing is known: the processes that have its
 * listening socket open. One may have forked the others, or none: spawn-fcgi leaves a row of equals
 * behind. So such a life has no master, and nobody of it is told alone.
 *
 * A socket passes from process to process by inheritance alone, so that all who hold it belong
 * together; that they are the slot's is taken from one mark on one of them. Without a mark they are
 * strangers: an address may have been taken by anybody.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result } from '../event.js';
import type { PoolLife } from '../drivers.js';
import {
  children,
  controlGroups,
  identify,
  isAlive,
  pids,
  readStat,
  socketsOf,
  startedWith,
} from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { Residents } from './life.js';
import { pidfileHint } from './pidfile.js';
import { holders, holds, suspect } from './processes.js';
import { spell } from './slots.js';
import type { FastcgiSlot, PoolSlot } from './slots.js';

/**
 * Who holds the listeners. `hints` are pids that held them before: where one still does, it and its
 * descendants are given, and no process table is scanned. Fails with `unobservable` where nobody's
 * descriptors may be read.
 */
export function serversOf(
  fs: Procfs,
  slot: FastcgiSlot,
  listeners: readonly number[],
  hints: readonly number[],
): Result<Residents> {
  const inodes = new Set(listeners);
  // a socket that systemd keeps for a unit (socket activation) is nobody's of a slot: no stop would free it
  if (holds(fs, 1, inodes)) return ok({ kind: 'foreign', holder: suspect(fs, 1) });
  const near = family(fs, hints, inodes);
  const found = near.length > 0 ? near : holders(fs, pids(fs), inodes);
  // one look for all that follows: what a server has just forked has the socket until it calls exec
  const held = new Map(found.map((pid) => [pid, new Set(socketsOf(fs, pid)?.values())]));
  const all = found.filter((pid) => listeners.some((inode) => held.get(pid)?.has(inode)));
  const [first] = all;
  if (first === undefined) {
    const hidden = pids(fs).find((pid) => identify(fs, pid) !== null && socketsOf(fs, pid) === null);
    if (hidden === undefined) return ok({ kind: 'foreign', holder: null });
    const detail = 'somebody listens there whose descriptors may not be read';
    return fail({ reason: 'unobservable', what: spell(slot.address), detail });
  }
  for (const inode of listeners) {
    const own = all.filter((pid) => held.get(pid)?.has(inode));
    // of several listeners at one path all but the last are lives that nobody can reach any more
    const stray = slot.address.kind === 'unix' ? all.find((pid) => !own.includes(pid)) : undefined;
    const odd = stray ?? (own.some((pid) => isMarked(fs, slot, pid)) ? undefined : (own[0] ?? first));
    if (odd !== undefined) return ok({ kind: 'foreign', holder: suspect(fs, odd) });
  }
  return ok({ kind: 'servers', processes: all.flatMap((pid) => identify(fs, pid) ?? []) });
}

/**
 * Everyone of a life as it is now. `thorough`: also who holds its sockets and descends from nobody who
 * is known; for whoever is about to say that nobody works.
 */
export function membersOf(
  fs: Procfs,
  life: PoolLife,
  inodes: ReadonlySet<number>,
  thorough: boolean,
): ProcessId[] {
  const known = life.workers.filter((id) => isAlive(fs, id));
  const found = thorough
    ? holders(fs, pids(fs), inodes)
    : family(
        fs,
        known.map(({ pid }) => pid),
        inodes,
      );
  const others = found.filter((pid) => known.every((id) => id.pid !== pid));
  return [...known, ...others.flatMap((pid) => identify(fs, pid) ?? [])];
}

/**
 * Whether the pidfile of a server names one of its processes, or the parent that keeps it, as a shell does that waits
 * for it. Who is only the parent of what lost its own, pid 1 or a subreaper, keeps nothing: the pidfile is wrong. What
 * is kept has not begun a session of its own.
 */
export function isNamed(fs: Procfs, slot: PoolSlot, pid: number): boolean {
  const named = pidfileHint(slot);
  if (named === null || named === 1) return false;
  if (named === pid) return true;
  const [server, keeper] = [readStat(fs, pid), readStat(fs, named)];
  return server !== null && server.ppid === named && server.session === keeper?.session;
}

/** Whether a process lives in a unit's control group, or in one below it. */
export const isInUnit = (fs: Procfs, pid: number, unit: string): boolean =>
  controlGroups(fs, pid).some((path) => path.split('/').includes(unit));

/** Those of some processes and their descendants that hold one of the sockets. */
function family(fs: Procfs, from: readonly number[], inodes: ReadonlySet<number>): number[] {
  const found = new Set<number>();
  const visit = (pid: number): void => {
    if (found.has(pid) || !holds(fs, pid, inodes)) return;
    found.add(pid);
    children(fs, pid).forEach(visit);
  };
  from.forEach(visit);
  return [...found];
}

/** The unit's control group; else the pidfile's word, or the environment that swap-pool starts a slot with. */
function isMarked(fs: Procfs, slot: FastcgiSlot, pid: number): boolean {
  if (slot.unit !== null && isInUnit(fs, pid, slot.unit)) return true;
  if (isNamed(fs, slot, pid)) return true;
  return startedWith(fs, pid, 'SWAP_POOL_SLOT') === slot.slot;
}
