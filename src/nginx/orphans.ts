/**
 * Workers that have lost their master. They go on serving what they have read, hear of no reload, and keep
 * their addresses from any nginx that is to come; a pidfile or a master's absence says nothing of them.
 */
import { basename } from 'node:path';
import type { Failure, ProcessId } from '../event.js';
import { endpointsOf } from '../system/endpoints.js';
import type { Listener } from '../system/endpoints.js';
import { commandName, identify, pids, readStat, sessionOf, socketsOf, title } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { loadTree, pidfileOf } from './config-tree.js';
import { listenersOf } from './holders.js';
import { mannersOf } from './listens.js';
import { isElsewhere, isNginx, pidIn } from './master.js';
import type { Nginx } from './master.js';
import { MASTER_TITLE, RETIRING_TITLE, WORKER_TITLE } from './title.js';
import { contains } from './workers.js';

export interface Orphans {
  readonly all: readonly ProcessId[];
  /** Those that take new requests. */
  readonly serving: readonly ProcessId[];
  readonly retiring: readonly ProcessId[];
  /** Where they listen. */
  readonly listeners: readonly Listener[];
}

/**
 * Those of one nginx. While a master runs: who shares its listening sockets (another master's, of an upgrade).
 * While none does: who listens nowhere but where this configuration listens, and who is in the session that the
 * master of its pidfile led, as nginx does as a daemon.
 */
export async function orphansOf(fs: Procfs, nginx: Nginx): Promise<Orphans> {
  const { master, binary } = nginx;
  if (master !== null) return told(fs, orphansOn(fs, listenersOf(fs, master) ?? []));
  const masterless = withoutMaster(fs, binary);
  // the common case needs no look at any file
  if (masterless.length === 0) return told(fs, []);
  const tree = loadTree(nginx);
  const pidfile = tree.ok ? await pidfileOf(nginx, tree.value) : tree;
  const former = pidfile.ok ? pidIn(pidfile.value) : null;
  const left = former === null ? [] : sessionOf(fs, former);
  const manners = tree.ok ? mannersOf(tree.value) : null;
  const own = masterless.filter((id) => {
    if (contains(left, id)) return true;
    const listeners = listenersOf(fs, id) ?? [];
    return listeners.length > 0 && listeners.every(({ address }) => (manners?.(address) ?? null) !== null);
  });
  return told(fs, own);
}

/** Why a verb has nobody to do it: nginx does not run, or without its master. */
export async function absent(fs: Procfs, nginx: Nginx): Promise<Failure> {
  const { config } = nginx;
  const { all } = await orphansOf(fs, nginx);
  return all.length === 0
    ? { reason: 'nginx-not-running', config }
    : { reason: 'nginx-orphaned', config, pids: all.map(({ pid }) => pid) };
}

/** Workers that listen on one of the sockets and whose parent is no master: theirs was killed. */
export function orphansOn(fs: Procfs, listeners: readonly Listener[]): readonly ProcessId[] {
  const inodes = new Set(listeners.map(({ inode }) => inode));
  if (inodes.size === 0) return [];
  return pids(fs).flatMap((pid) => {
    const id = masterlessWorker(fs, pid);
    if (id === null) return [];
    return [...(socketsOf(fs, pid)?.values() ?? [])].some((inode) => inodes.has(inode)) ? [id] : [];
  });
}

const withoutMaster = (fs: Procfs, binary: string): readonly ProcessId[] =>
  pids(fs).flatMap((pid) => {
    // comm is cheap: most processes end here
    if (!isNginx(commandName(fs, pid) ?? '', basename(binary))) return [];
    const id = masterlessWorker(fs, pid);
    return id === null || isElsewhere(fs, pid) ? [] : [id];
  });

function masterlessWorker(fs: Procfs, pid: number): ProcessId | null {
  if (!title(fs, pid).startsWith(WORKER_TITLE)) return null;
  const parent = readStat(fs, pid)?.ppid ?? 0;
  return title(fs, parent).startsWith(MASTER_TITLE) ? null : identify(fs, pid);
}

function told(fs: Procfs, all: readonly ProcessId[]): Orphans {
  const retires = ({ pid }: ProcessId): boolean => title(fs, pid).startsWith(RETIRING_TITLE);
  const sockets = all.flatMap(({ pid }) => [...(socketsOf(fs, pid)?.values() ?? [])]);
  return {
    all,
    serving: all.filter((id) => !retires(id)),
    retiring: all.filter(retires),
    listeners: endpointsOf(fs, new Set(sockets)).listeners,
  };
}
