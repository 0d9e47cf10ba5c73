/**
 * Whether the workers of one of two masters do the work. Both masters hold the same listening sockets, so neither
 * an open port nor an answer says whose workers there are: what each of them waits for does, and who holds
 * the other end of a connection of ours, and has outlived it.
 */
import type { ProcessId, UpgradeStage } from '../event.js';
import { waitUntil } from '../system/clock.js';
import { connectTo } from '../system/connect.js';
import type { Opened, Words } from '../system/connect.js';
import { endpointsOf, reachable } from '../system/endpoints.js';
import type { Endpoint, Listener } from '../system/endpoints.js';
import { isAlive, polledBy, socketsOf } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { Address } from '../system/sockets.js';
import type { Manner } from './listens.js';
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

/** What became of a connection to each address. */
export interface Tried {
  /** A worker of the master took it, answered or closed it in order, and serves on. */
  readonly taken: readonly { readonly address: Address; readonly pid: number }[];
  /** One took it, and an answer is still due. */
  readonly silent: readonly Address[];
  /** A worker of the other master was quicker. */
  readonly passed: readonly Address[];
  /** Workers of the master that took one and died of it. */
  readonly died: readonly ProcessId[];
}

export interface Trial {
  readonly listeners: readonly Listener[];
  /** How nginx is spoken to there. */
  readonly manners: (address: Address) => Manner;
  /** A master whose workers take connections, too; those are left at once. */
  readonly beside?: ProcessId;
  /** How long a connection may wait for a worker, ms; by default longer than the kernel keeps one back (`deferred`). */
  readonly patience?: number;
  readonly signal?: AbortSignal;
}

/**
 * Connects to every address once, at the same time, waits until each connection is in some worker's hands, and asks
 * for something there: HTTP's TRACE, which nginx refuses by itself (405) before any location, script or pool has a
 * say; who does not speak HTTP is told that nothing will come. A worker that ends has let go of its listening sockets
 * before its client hears of it, so that one that still has them afterwards has lived through it.
 *
 * An address that cannot be connected to, or whose connection none of the workers takes in time (somebody else's
 * narrower socket, a firewall), proves nothing and is left out.
 */
export async function tryAddresses(
  fs: Procfs,
  master: ProcessId,
  addresses: readonly Address[],
  trial: Trial,
): Promise<Tried> {
  const { listeners, manners } = trial;
  const tried = { taken: [] as Tried['taken'][number][], silent: [] as Address[], passed: [] as Address[] };
  const died: ProcessId[] = [];
  for (let at = 0; at < addresses.length; at += AT_ONCE) {
    const opened = await openAll(fs, master, addresses.slice(at, at + AT_ONCE), trial);
    tried.passed.push(...opened.passed);
    const heard = opened.taken.map(async ({ address, connection, worker }) => {
      const closed = await connection.say(wordsFor(manners(address)), ONE_TRY);
      connection.close();
      return { address, worker, closed };
    });
    for (const { address, worker, closed } of await Promise.all(heard)) {
      if (!livesOn(fs, worker, listeners)) died.push(worker);
      // HTTP has an answer within that time; what a stream leads to may take longer
      else if (!closed && manners(address).protocol === 'http') tried.silent.push(address);
      else tried.taken.push({ address, pid: worker.pid });
    }
  }
  return { ...tried, died };
}
/** Far fewer than the least worker_connections that anybody sets. */
const AT_ONCE = 16;
/** More than the second after which the kernel hands over a connection that was to wait for data (`deferred`). */
const ONE_TRY = 3000;

/** Each address once: with `reuseport` it has a socket for each worker. */
export const addressesOf = (listeners: readonly Listener[]): readonly Address[] => [
  ...new Map(listeners.map(({ address }) => [spelled(address), address])).values(),
];

/** `127.0.0.1:80` or `unix:/path`. */
export const spelled = (address: Address): string =>
  address.kind === 'unix'
    ? `unix:${address.path}`
    : `${address.host.includes(':') ? `[${address.host}]` : address.host}:${String(address.port)}`;

interface Opening {
  readonly address: Address;
  readonly connection: Opened;
  readonly worker: ProcessId;
}

/** The connections that workers of the master have taken; the others are closed again. */
async function openAll(
  fs: Procfs,
  master: ProcessId,
  addresses: readonly Address[],
  { beside, signal, patience = ONE_TRY }: Trial,
): Promise<{ readonly taken: readonly Opening[]; readonly passed: readonly Address[] }> {
  const masters = beside === undefined ? [master] : [master, beside];
  const before = ends(fs, masters);
  const opened = await Promise.all(
    addresses.map(async (address) => {
      const connection = await connectTo(reachable(address), patience);
      return typeof connection === 'string' ? [] : [{ address, connection }];
    }),
  );
  const pending = new Set(opened.flat());
  const taken: Opening[] = [];
  const passed: Address[] = [];
  await waitUntil(
    () => {
      const now = ends(fs, masters);
      const own = readWorkers(fs, master).serving;
      for (const one of pending) {
        const pid = takerOf(one, now, before);
        if (pid === null) continue;
        pending.delete(one);
        const worker = own.find((id) => id.pid === pid);
        if (worker !== undefined) taken.push({ ...one, worker });
        else {
          one.connection.close();
          passed.push(one.address);
        }
      }
      return pending.size === 0 ? true : undefined;
    },
    { deadline: patience, signal },
  );
  for (const { connection } of pending) connection.close();
  return { taken, passed };
}

/** Who holds the other end of a connection of ours. */
function takerOf({ address, connection }: Omit<Opening, 'worker'>, now: Ends, before: Ends): number | null {
  for (const [pid, held] of now) {
    const ours = held.some(({ inode, local, remotePort }) => {
      if (local === null) return false;
      if (local.kind === 'tcp')
        return remotePort === connection.localPort && address.kind === 'tcp' && local.port === address.port;
      // a unix socket does not tell its client: it is ours or somebody's who came since, and proves the same
      const old = before.get(pid)?.some((each) => each.inode === inode) === true;
      return address.kind === 'unix' && local.path === address.path && !old;
    });
    if (ours) return pid;
  }
  return null;
}

/** Whether a worker has outlived what it was asked; one that ends is seen without its sockets, or is gone. */
function livesOn(fs: Procfs, worker: ProcessId, listeners: readonly Listener[]): boolean {
  const held = new Set(socketsOf(fs, worker.pid)?.values());
  return isAlive(fs, worker) && listeners.some(({ inode }) => held.has(inode));
}

/** HTTP/1.0, so that the connection ends with the answer. */
const TRACE = 'TRACE / HTTP/1.0\r\nHost: localhost\r\nUser-Agent: swap-pool\r\n\r\n';

/** Pure. Of a client that is not known the PROXY protocol says so. */
const wordsFor = ({ protocol, tls, proxyProtocol }: Manner): Words => ({
  first: proxyProtocol ? 'PROXY UNKNOWN\r\n' : '',
  tls,
  then: protocol === 'http' ? TRACE : '',
});

type Ends = ReadonlyMap<number, readonly Endpoint[]>;

/** The connections of each worker that serves; the kernel's tables are read once. */
function ends(fs: Procfs, masters: readonly ProcessId[]): Ends {
  const workers = masters.flatMap((master) => readWorkers(fs, master).serving);
  const own = workers.map(({ pid }) => [pid, new Set(socketsOf(fs, pid)?.values())] as const);
  const { connections } = endpointsOf(fs, new Set(own.flatMap(([, inodes]) => [...inodes])));
  return new Map(own.map(([pid, inodes]) => [pid, connections.filter(({ inode }) => inodes.has(inode))]));
}
