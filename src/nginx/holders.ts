/** What nginx's workers still serve. */
import type { Holder, Notice, ProcessId } from '../event.js';
import { now } from '../system/clock.js';
import { cameIn, endpointsOf } from '../system/endpoints.js';
import type { Listener } from '../system/endpoints.js';
import { socketsOf } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';

/** The sockets that a master listens on (TCP and unix); null when its descriptors may not be read. */
export function listenersOf(fs: Procfs, master: ProcessId): readonly Listener[] | null {
  const sockets = socketsOf(fs, master.pid);
  return sockets === null ? null : endpointsOf(fs, new Set(sockets.values())).listeners;
}

/**
 * The connections of each process, but for the channels between nginx's own processes: of those the master
 * has both ends (ngx_spawn_process). Without a master (null) the others have the one end, the worker the other, and no
 * more can be told of that than that there is one. `known`: where it listens, for a time when it does so no more (after a QUIT); without that knowledge
 * a connection that bears an address counts as a client's.
 */
export function holdersOf(
  fs: Procfs,
  ids: readonly ProcessId[],
  master: ProcessId | null,
  known?: readonly Listener[],
): readonly Holder[] {
  const shared = new Set(master === null ? sharedBy(fs, ids) : socketsOf(fs, master.pid)?.values());
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
    const channels = master === null ? 1 : 0;
    return { pid, clients, upstreams: Math.max(0, held.length - clients - channels) };
  });
}

/** What more than one of them has open. */
function sharedBy(fs: Procfs, ids: readonly ProcessId[]): readonly number[] {
  const all = ids.flatMap(({ pid }) => [...new Set(socketsOf(fs, pid)?.values())]);
  return all.filter((inode, at) => all.indexOf(inode) !== at);
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
