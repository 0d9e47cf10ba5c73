/**
 * Whether the workers of one of two masters do the work. Both masters hold the same listening sockets, so neither
 * an open port nor an answer says whose workers there are: what each of them waits for does, and who holds
 * the other end of a connection of ours.
 */
import type { ProcessId, UpgradeStage } from '../event.js';
import { waitUntil } from '../system/clock.js';
import { connectTo } from '../system/connect.js';
import { endpointsOf, reachable } from '../system/endpoints.js';
import type { Endpoint, Listener } from '../system/endpoints.js';
import { polledBy, socketsOf } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { ANY_SIGNAL, look } from './reload.js';
import { readWorkers } from './workers.js';

/**
 * Makes a judge of one master, to be asked until it gives null: it is idle, has `least` workers, and they wait for
 * connections on all of `listeners`. Over several looks, because with accept_mutex one of them at a time does.
 */
export function createReadiness(
  fs: Procfs,
  master: ProcessId,
  { listeners, least }: { readonly listeners: readonly Listener[]; readonly least: number },
): () => UpgradeStage | null {
  const polled = new Set<number>();
  return () => {
    const { serving, untitled } = readWorkers(fs, master);
    if (untitled.length > 0 || serving.length < least || look(fs, master, ANY_SIGNAL) !== 'idle')
      return 'workers';
    const held = new Set(socketsOf(fs, master.pid)?.values());
    if (!listeners.every(({ inode }) => held.has(inode))) return 'listeners';
    let tells = false;
    for (const { pid } of serving) {
      const inodes = polledBy(fs, pid);
      tells ||= inodes !== null;
      for (const inode of inodes ?? []) polled.add(inode);
    }
    // `use poll` and `use select` leave no trace: then the sockets that they hold have to do
    return !tells || listeners.every(({ inode }) => polled.has(inode)) ? null : 'listeners';
  };
}

export interface Taken {
  /** `127.0.0.1:80` or `unix:/path`. */
  readonly address: string;
  readonly pid: number;
}

/**
 * Connects until a worker of the master has taken the connection; nothing is sent. A listener that does not
 * answer in time is passed over for the next. Null after `timeout` ms, or when the signal comes.
 */
export async function awaitTaker(
  fs: Procfs,
  master: ProcessId,
  {
    listeners,
    timeout,
    signal,
  }: { readonly listeners: readonly Listener[]; readonly timeout: number; readonly signal?: AbortSignal },
): Promise<Taken | null> {
  const seen = await waitUntil(
    async () => {
      for (const listener of listeners) {
        const taken = await takerOf(fs, master, listener, Math.min(timeout, ONE_TRY));
        if (taken !== null) return taken;
      }
      return undefined;
    },
    { deadline: timeout, signal },
  );
  return seen.kind === 'seen' ? seen.value : null;
}
/** More than the second after which the kernel hands over a connection that was to wait for data (`deferred`). */
const ONE_TRY = 3000;

async function takerOf(
  fs: Procfs,
  master: ProcessId,
  { address }: Listener,
  timeout: number,
): Promise<Taken | null> {
  const before = ends(fs, master);
  const opened = await connectTo(reachable(address), timeout);
  if (typeof opened === 'string') return null;
  try {
    const seen = await waitUntil(
      () => {
        for (const [pid, held] of ends(fs, master)) {
          const ours = held.some(({ inode, local, remotePort }) => {
            if (local === null) return false;
            if (local.kind === 'tcp')
              return remotePort === opened.localPort && address.kind === 'tcp' && local.port === address.port;
            // a unix socket does not tell its client: it is ours or somebody's who came since, and proves the same
            const old = before.get(pid)?.some((each) => each.inode === inode) === true;
            return address.kind === 'unix' && local.path === address.path && !old;
          });
          if (ours) return pid;
        }
        return undefined;
      },
      { deadline: timeout },
    );
    return seen.kind === 'seen' ? { address: spelled(address), pid: seen.value } : null;
  } finally {
    opened.close();
  }
}

/** The connections of each worker that serves; the kernel's tables are read once. */
function ends(fs: Procfs, master: ProcessId): ReadonlyMap<number, readonly Endpoint[]> {
  const own = readWorkers(fs, master).serving.map(
    ({ pid }) => [pid, new Set(socketsOf(fs, pid)?.values())] as const,
  );
  const { connections } = endpointsOf(fs, new Set(own.flatMap(([, inodes]) => [...inodes])));
  return new Map(own.map(([pid, inodes]) => [pid, connections.filter(({ inode }) => inodes.has(inode))]));
}

const spelled = (address: Listener['address']): string =>
  address.kind === 'unix'
    ? `unix:${address.path}`
    : `${address.host.includes(':') ? `[${address.host}]` : address.host}:${String(address.port)}`;
