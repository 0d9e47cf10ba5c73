/**
 * Who lives in a slot: found from the listening socket, never from a title or a pidfile. Both
 * slots' masters may carry the same title; the kernel knows which of them holds the socket.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result, Suspect } from '../event.js';
import type { PoolLife, PoolLoad } from '../drivers.js';
import { errorCode } from '../system/files.js';
import { children, identify, isAlive, pids, socketsOf } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { atOneMoment, socketsAt } from '../system/sockets.js';
import type { Address, SocketView } from '../system/sockets.js';
import { fpmPids, fpmProcess, holders, holds, runsConfig, suspect } from './processes.js';
import { membersOf, serversOf } from './servers.js';
import { spell } from './slots.js';
import type { FpmSlot, PoolSlot } from './slots.js';
import { fpmWorkerState, serverState } from './waiting.js';

export type Residents =
  | { readonly kind: 'none' }
  | { readonly kind: 'pool'; readonly master: ProcessId }
  /** Of a server that is no FPM: whoever holds the socket. */
  | { readonly kind: 'servers'; readonly processes: readonly ProcessId[] }
  /** Workers that serve without a master: it was killed, or got a HUP. */
  | { readonly kind: 'orphans'; readonly workers: readonly ProcessId[] }
  | { readonly kind: 'foreign'; readonly holder: Suspect | null };

/** The workers that serve a slot, and what they do at this moment. */
export interface Staff {
  readonly workers: readonly ProcessId[];
  readonly working: number;
  readonly idle: number;
  /** Those of `workers` that are at work. */
  readonly busy: readonly ProcessId[];
  /** Those of the candidates that hold none of the sockets, or have gone. */
  readonly others: readonly ProcessId[];
}

/** The sockets of an address; `unobservable` when the kernel's tables cannot be read. */
export function look(fs: Procfs, address: Address): Result<SocketView> {
  try {
    return ok(socketsAt(fs, address));
  } catch (error) {
    return fail({ reason: 'unobservable', what: spell(address), detail: errorCode(error) });
  }
}

/**
 * Who holds the listeners of a slot. `hints` are pids that may be the master: with a right one
 * no process table is scanned. Several listeners of one path are several lives: only the one that
 * holds all of them is ours, else another life still goes on unreachable there.
 *
 * Fails with `unobservable` where an FPM's descriptors may not be read (another user's).
 */
export function residents(
  fs: Procfs,
  slot: PoolSlot,
  listeners: readonly number[],
  hints: readonly number[],
): Result<Residents> {
  if (listeners.length === 0) return ok({ kind: 'none' });
  if (slot.kind === 'fastcgi') return serversOf(fs, slot, listeners, hints);
  const inodes = new Set(listeners);
  for (const pid of hints) {
    const found = fpmProcess(fs, pid, slot.binary);
    if (found?.role !== 'master' || !runsConfig(fs, found, slot.config)) continue;
    if (holdsAll(fs, pid, listeners)) return ok({ kind: 'pool', master: found.id });
  }
  const fpms = fpmPids(fs, slot.binary);
  const known = holders(fs, fpms, inodes).flatMap((pid) => fpmProcess(fs, pid, slot.binary) ?? []);

  const titled = known.filter(({ role }) => role !== 'worker');
  const masters = titled.filter(({ ppid }) => !titled.some(({ id }) => id.pid === ppid));
  const ours = masters.filter((master) => runsConfig(fs, master, slot.config));
  const stranger = masters.find((master) => !ours.includes(master)) ?? ours[1];
  if (stranger !== undefined) return ok({ kind: 'foreign', holder: suspect(fs, stranger.id.pid) });
  if (ours[0] !== undefined) {
    return holdsAll(fs, ours[0].id.pid, listeners)
      ? ok({ kind: 'pool', master: ours[0].id })
      : ok({ kind: 'foreign', holder: null });
  }
  const workers = known.filter(({ role }) => role === 'worker');
  if (workers.length > 0) {
    const other = workers.find(({ pool }) => !isPoolOf(slot, pool));
    if (other !== undefined) return ok({ kind: 'foreign', holder: suspect(fs, other.id.pid) });
    return ok({ kind: 'orphans', workers: workers.map(({ id }) => id) });
  }
  const holder = holders(fs, pids(fs), inodes)[0];
  if (holder !== undefined) return ok({ kind: 'foreign', holder: suspect(fs, holder) });
  const hidden = fpms.find((pid) => identify(fs, pid) !== null && socketsOf(fs, pid) === null);
  if (hidden !== undefined) {
    const detail = `the descriptors of process ${String(hidden)} may not be read`;
    return fail({ reason: 'unobservable', what: spell(slot.address), detail });
  }
  return ok({ kind: 'foreign', holder: null });
}

/**
 * The processes among `candidates` that serve the slot, and which of them wait for a connection.
 * Workers of the status page hold another socket: they are none of the pool's.
 */
export function staff(
  fs: Procfs,
  { kind }: Pick<PoolSlot, 'kind'>,
  candidates: readonly ProcessId[],
  inodes: ReadonlySet<number>,
): Result<Staff> {
  const stateOf = kind === 'php-fpm' ? fpmWorkerState : serverState;
  const workers: ProcessId[] = [];
  const busy: ProcessId[] = [];
  const others: ProcessId[] = [];
  let idle = 0;
  for (const id of candidates) {
    const state = stateOf(fs, id, inodes);
    if (state === 'unreadable') {
      const detail = 'neither syscall nor wchan may be read';
      return fail({ reason: 'unobservable', what: `/proc/${String(id.pid)}`, detail });
    }
    if (state === 'none') {
      others.push(id);
      continue;
    }
    workers.push(id);
    if (state === 'idle') idle += 1;
    else busy.push(id);
  }
  return ok({ workers, working: busy.length, idle, busy, others });
}

/** The children of a living master: its workers, those of other pools and of the status page included. */
export const childrenOf = (fs: Procfs, master: ProcessId): ProcessId[] =>
  isAlive(fs, master) ? children(fs, master.pid).flatMap((pid) => identify(fs, pid) ?? []) : [];

/**
 * The master of a life as it is now: the recorded one, or the one it made of itself. USR2 and HUP
 * make a daemonized FPM run itself again: another pid, but the very sockets, handed down. null when
 * there is none: it ended, or the life was orphaned from the first.
 */
export function masterNow(fs: Procfs, slot: PoolSlot, life: PoolLife): ProcessId | null {
  if (life.master === null || isAlive(fs, life.master)) return life.master;
  const seen = look(fs, slot.address);
  if (!seen.ok) return null;
  const { listeners } = seen.value;
  if (listeners.every((inode) => !isSocketOf(fs, life, inode))) return null;
  const found = residents(fs, slot, listeners, []);
  return found.ok && found.value.kind === 'pool' ? found.value.master : null;
}

/** Whether a socket can be one that a life listened on: another pool may have been started in its slot since. */
function isSocketOf(fs: Procfs, { master, workers, sockets }: PoolLife, inode: number): boolean {
  const boot = (master ?? workers[0])?.boot ?? fs.bootId;
  return boot === fs.bootId && sockets?.includes(inode) !== false;
}

/**
 * Everyone of a life who can still be at work: the children of `master` (masterNow) as they are, and
 * those that were recorded. Without a master also who else of FPM holds one of its sockets: workers that
 * were born after the record and lost their master since, those of its other pools and of the status page.
 * Of another server: who holds its sockets; `thorough` is for those alone. `listeners`: of the slot's pools, asked for
 * where they matter alone.
 */
export function present(
  fs: Procfs,
  slot: PoolSlot,
  life: PoolLife,
  master: ProcessId | null,
  listeners: () => readonly number[],
  thorough = true,
): ProcessId[] {
  const sockets = (): Set<number> =>
    new Set([...listeners(), ...statusListeners(fs, slot)].filter((inode) => isSocketOf(fs, life, inode)));
  if (slot.kind === 'fastcgi') return membersOf(fs, life, sockets(), thorough);
  const found = new Map<number, ProcessId>();
  if (master !== null) for (const id of childrenOf(fs, master)) found.set(id.pid, id);
  for (const id of life.workers) {
    const child = found.get(id.pid);
    if (child === undefined && isAlive(fs, id)) found.set(id.pid, id);
  }
  // one that has died meanwhile has no children any more, but they may serve on
  if (master !== null && isAlive(fs, master)) return [...found.values()];
  const own = sockets();
  if (own.size > 0) {
    for (const pid of holders(fs, fpmPids(fs, slot.binary), own)) {
      const worker = fpmProcess(fs, pid, slot.binary);
      if (worker?.role !== 'worker' || !isPoolOf(slot, worker.pool)) continue;
      // somebody else's pool of that name has a master
      if (fpmProcess(fs, worker.ppid, slot.binary)?.role !== 'master') found.set(pid, worker.id);
    }
  }
  return [...found.values()];
}

/** Sockets whose workers serve the status page alone: no request of a site waits there, but they outlive a master. */
export const statusListeners = (fs: Procfs, slot: PoolSlot): readonly number[] =>
  slot.statusListens.flatMap((address) => {
    const seen = look(fs, address);
    return seen.ok ? seen.value.listeners : [];
  });

/** The listeners and connections of every pool of the slot's master, taken together. */
export function connectionsOf(fs: Procfs, slot: PoolSlot): Result<SocketView> {
  const listeners: number[] = [];
  const held: number[] = [];
  let queued = 0;
  for (const address of [slot.address, ...slot.others]) {
    const seen = look(fs, address);
    if (!seen.ok) return seen;
    listeners.push(...seen.value.listeners);
    held.push(...seen.value.held);
    queued += seen.value.connections.queued;
  }
  return ok({ listeners, connections: { accepted: held.length, queued }, held });
}

/**
 * A drain's look at one life. Connections first, then the workers: a request is in the one or
 * the other, and it moves in that order (fastcgi_finish_request closes its connection and works on).
 * Then the connections again, if there were none and the workers do not say so themselves: one read can pass over an
 * entry. Where one of FPM's workers waits in accept(2), nothing is queued that was not just now; where all of them do,
 * nothing is accepted. Who could connect just now, whoever asks knows: nobody any more.
 */
export function loadOf(fs: Procfs, slot: PoolSlot, life: PoolLife): Result<Loaded> {
  const seen = loadAt(fs, slot, life);
  // a life whose recorded processes have all gone is known by its sockets alone
  return seen.ok && !seen.value.load.alive ? loadAt(fs, slot, life) : seen;
}

function loadAt(fs: Procfs, slot: PoolSlot, life: PoolLife): Result<Loaded> {
  const moment = atOneMoment(fs);
  const first = connectionsOf(moment, slot);
  if (!first.ok) return first;
  const { listeners } = first.value;
  const inodes = new Set(listeners);
  const master = masterNow(moment, slot, life);
  let people = present(moment, slot, life, master, () => listeners, false);
  let seen = staff(fs, slot, people, inodes);
  if (!seen.ok) return seen;
  if (slot.kind === 'fastcgi' && seen.value.working === 0) {
    people = present(moment, slot, life, master, () => listeners);
    seen = staff(fs, slot, people, inodes);
    if (!seen.ok) return seen;
  }
  const { idle, others } = seen.value;
  const busy = [...seen.value.busy, ...leavingWorkers(moment, slot, others)];
  let sockets = first.value;
  const said = slot.kind === 'php-fpm' && slot.others.length === 0 && busy.length === 0 && idle > 0;
  if (!said && sockets.connections.accepted + sockets.connections.queued === 0) {
    const second = connectionsOf(atOneMoment(fs), slot);
    if (!second.ok) return second;
    sockets = second.value;
  }
  const alive = people.length > 0 || master !== null;
  const { connections } = sockets;
  const requests = requestsOf(fs, sockets, busy);
  return ok({
    load: { connections, working: busy.length, requests, alive },
    busy,
    listeners: inodes,
  });
}

/**
 * Workers of FPM that live and hold no listener any more: told QUIT (by USR1, where there is an access.log), one closes it
 * at once, and goes on with what it has until that is over. Those of the status page have a socket of their own.
 */
function leavingWorkers(fs: Procfs, slot: PoolSlot, others: readonly ProcessId[]): readonly ProcessId[] {
  if (slot.kind === 'fastcgi' || others.length === 0) return [];
  const ofStatus = new Set(statusListeners(fs, slot));
  return others.filter((id) => isAlive(fs, id) && !holds(fs, id.pid, ofStatus));
}

export interface Loaded {
  readonly load: PoolLoad;
  /** The workers at work, and where they would wait. */
  readonly busy: readonly ProcessId[];
  readonly listeners: ReadonlySet<number>;
}

/**
 * How many requests there are at most. Each that is not over is queued, or on an accepted connection, or was
 * answered and is worked on without one (fastcgi_finish_request); an FPM worker has one at a time. So a worker
 * counts only where it holds none of the connections that are counted already. As the connections were read
 * before the workers, one that moves on in between counts once more, never less.
 */
function requestsOf(
  fs: Procfs,
  { connections, held }: Pick<SocketView, 'connections' | 'held'>,
  busy: readonly ProcessId[],
): number {
  const counted = new Set(held);
  const apart = busy.filter(({ pid }) => !holds(fs, pid, counted));
  return connections.queued + connections.accepted + apart.length;
}

const isPoolOf = ({ poolNames }: FpmSlot, pool: string | null): boolean =>
  pool !== null && poolNames.includes(pool);

function holdsAll(fs: Procfs, pid: number, listeners: readonly number[]): boolean {
  const sockets = new Set(socketsOf(fs, pid)?.values());
  return listeners.every((inode) => sockets.has(inode));
}
