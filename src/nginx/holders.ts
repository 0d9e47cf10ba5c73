/** What nginx's workers still serve, and who of them has lost its master. */
import type { Holder, Notice, ProcessId } from '../event.js';
import { now } from '../system/clock.js';
import { cameIn, endpointsOf } from '../system/endpoints.js';
import type { Listener } from '../system/endpoints.js';
import { identify, pids, readStat, socketsOf, title } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { MASTER_TITLE, WORKER_TITLE } from './title.js';

/** The sockets that a master listens on (TCP and unix); null when its descriptors may not be read. */
export function listenersOf(fs: Procfs, master: ProcessId): readonly Listener[] | null {
  const sockets = socketsOf(fs, master.pid);
  return sockets === null ? null : endpointsOf(fs, new Set(sockets.values())).listeners;
}

/**
 * The connections of each process, but for the channels between nginx's own processes: of those the master
 * has both ends. `known`: where it listens, for a time when it does so no more (after a QUIT); without that knowledge
 * a connection that bears an address counts as a client's.
 */
export function holdersOf(
  fs: Procfs,
  ids: readonly ProcessId[],
  master: ProcessId,
  known?: readonly Listener[],
): readonly Holder[] {
  const shared = new Set(socketsOf(fs, master.pid)?.values());
  const own = ids.map(({ pid }) => {
    const sockets = [...(socketsOf(fs, pid)?.values() ?? [])].filter((inode) => !shared.has(inode));
    return { pid, sockets: new Set(sockets) };
  });
  const all = endpointsOf(fs, new Set([...shared, ...own.flatMap(({ sockets }) => [...sockets])]));
  const listeners = known ?? all.listeners;
  return own.map(({ pid, sockets }) => {
    const held = all.connections.filter(({ inode }) => sockets.has(inode));
    const clients = held.filter((end) =>
      listeners.length === 0 ? end.local !== null : cameIn(end, listeners),
    ).length;
    return { pid, clients, upstreams: held.length - clients };
  });
}

/** Workers that listen on one of the sockets and whose parent is no master: theirs was killed. */
export function orphansOn(fs: Procfs, listeners: readonly Listener[]): readonly ProcessId[] {
  const inodes = new Set(listeners.map(({ inode }) => inode));
  return pids(fs).flatMap((pid) => {
    if (!title(fs, pid).startsWith(WORKER_TITLE)) return [];
    const parent = readStat(fs, pid)?.ppid ?? 0;
    if (title(fs, parent).startsWith(MASTER_TITLE)) return [];
    const holds = [...(socketsOf(fs, pid)?.values() ?? [])].some((inode) => inodes.has(inode));
    const id = holds ? identify(fs, pid) : null;
    return id === null ? [] : [id];
  });
}

/** Tells who is waited for: after a second, and then at every change, once a second at most. */
export function createWaitingVoice(
  tell: (notice: Notice) => void,
): (holders: () => readonly Holder[]) => void {
  let at = now();
  let last = '';
  return (holders) => {
    if (now() - at < QUIET) return;
    at = now();
    const found = holders();
    const text = JSON.stringify(found);
    if (text === last) return;
    last = text;
    tell({ kind: 'nginx-waits', holders: found });
  };
}
const QUIET = 1000;
