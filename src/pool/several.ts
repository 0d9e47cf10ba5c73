/**
 * Several lives of one slot, one started over the other. FPM's last act is to unlink its socket and its pidfile,
 * whoever owns what stands there by then: so it has to be known which of them answers, and which can be ended.
 */
import { ok } from '../event.js';
import type { Life, ProcessId, Result, Suspect } from '../event.js';
import { waitUntil } from '../system/clock.js';
import { connectTo } from '../system/connect.js';
import { identify, pids } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { Address } from '../system/sockets.js';
import { childrenOf, look, staff } from './life.js';
import { fpmProcess, holders, suspect } from './processes.js';
import type { PoolSlot } from './slots.js';

/** A life and the listeners that it holds. */
interface Found {
  readonly top: number;
  readonly master: ProcessId | null;
  readonly listeners: readonly number[];
}

/** The topmost process of each life that has bound the address: its master, or one of its orphans. */
export const livesAt = (fs: Procfs, address: Address): readonly Suspect[] => {
  const lives = found(fs, [address]);
  return lives.length < 2 ? [] : lives.map(({ top }) => suspect(fs, top));
};

/** The lives of a slot, and which of them can be reached. Asks by a connection of its own that says nothing. */
export async function livesOf(fs: Procfs, slot: PoolSlot): Promise<Result<readonly Life[]>> {
  const addresses = [slot.address, ...slot.others];
  const lives = found(fs, addresses);
  const answers = await Promise.all(addresses.map((address) => answerer(fs, address, lives)));
  const looks = addresses.map((address) => look(fs, address));
  const judged: Life[] = [];
  for (const life of lives) {
    const bound = looks.map((seen) => (seen.ok ? seen.value.listeners.some(isOneOf(life.listeners)) : true));
    const asked = answers.filter((_, at) => bound[at]);
    const members = membersOf(fs, life);
    const crew = staff(fs, slot, members, new Set(life.listeners));
    if (!crew.ok) return crew;
    const { workers, working, idle } = crew.value;
    const own = members.map(({ pid }) => pid);
    const accepted = looks
      .flatMap((seen) => (seen.ok ? seen.value.held : []))
      .filter((inode) => holders(fs, own, new Set([inode])).length > 0).length;
    const queued = looks.reduce((sum, seen) => sum + (seen.ok ? seen.value.connections.queued : 1), 0);
    judged.push({
      ...suspect(fs, life.top),
      leads: life.master !== null,
      workers: workers.map(({ pid }) => pid),
      reachable: asked.includes(life.top) ? true : asked.includes(null) ? null : false,
      accepted,
      working,
      // whose backlog a connection waits in is not told; a worker that waits for one has none in its own
      idle: accepted + working === 0 && (idle > 0 || queued === 0),
    });
  }
  return ok(judged);
}

function found(fs: Procfs, addresses: readonly Address[]): readonly Found[] {
  const all = pids(fs);
  const lives = new Map<number, Found>();
  for (const address of addresses) {
    const seen = look(fs, address);
    for (const inode of seen.ok ? seen.value.listeners : []) {
      const own = holders(fs, all, new Set([inode]));
      const leader = own.find((pid) => fpmProcess(fs, pid)?.role === 'master');
      const top = leader ?? own[0];
      if (top === undefined) continue;
      const master = leader === undefined ? null : identify(fs, leader);
      const before = lives.get(top)?.listeners ?? [];
      lives.set(top, { top, master, listeners: [...before, inode] });
    }
  }
  return [...lives.values()];
}

const membersOf = (fs: Procfs, { master, listeners }: Found): readonly ProcessId[] =>
  master === null
    ? holders(fs, pids(fs), new Set(listeners)).flatMap((pid) => identify(fs, pid) ?? [])
    : childrenOf(fs, master);

/**
 * The life that takes what comes to the address; `nobody` where a connection is turned away, null where it cannot be
 * told. The kernel's tables show which path a socket was bound to, and not whose file stands there by now. But once
 * nothing is queued, whoever holds a connection that was not there before is the one that the path leads to.
 */
async function answerer(
  fs: Procfs,
  address: Address,
  lives: readonly Found[],
): Promise<number | 'nobody' | null> {
  const quiet = await waitUntil(
    () => {
      // one read can pass over an entry
      const seen = [look(fs, address), look(fs, address)].flatMap((one) => (one.ok ? [one.value] : []));
      const none = seen.length === 2 && seen.every(({ connections }) => connections.queued === 0);
      return none ? new Set(seen.flatMap(({ held }) => held)) : undefined;
    },
    { deadline: AT_ONCE },
  );
  if (quiet.kind !== 'seen') return null;
  const opened = await connectTo(address, AT_ONCE);
  if (typeof opened === 'string') return opened === 'ECONNREFUSED' || opened === 'ENOENT' ? 'nobody' : null;
  try {
    const taken = await waitUntil(
      () => {
        const seen = look(fs, address);
        const fresh = new Set(seen.ok ? seen.value.held.filter((inode) => !quiet.value.has(inode)) : []);
        if (fresh.size === 0) return undefined;
        return lives.find((life) => {
          const own = membersOf(fs, life).map(({ pid }) => pid);
          return holders(fs, own, fresh).length > 0;
        })?.top;
      },
      { deadline: AT_ONCE },
    );
    return taken.kind === 'seen' ? taken.value : null;
  } finally {
    opened.close();
  }
}

/** An idle worker takes a connection at once; where all are at work, nobody may be found. ms */
const AT_ONCE = 1000;

const isOneOf =
  (some: readonly number[]) =>
  (one: number): boolean =>
    some.includes(one);
