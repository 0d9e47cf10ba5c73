/** The three kinds of lock, where they stand, and in which order they are taken. */
import { ok } from '../event.js';
import type { LockHolder, Result } from '../event.js';
import { lockHolder, takeLock } from './lock.js';
import type { Lock } from './lock.js';
import { appLock, lockFolder, proxyLock, slotLock } from './places.js';
import type { Places } from './places.js';
import { identify, isAlive, procfs, startedAt } from './proc.js';
import type { Address } from './sockets.js';

export interface Locks {
  /**
   * The app's lock, waited for up to `wait` ms or until `signal`, and then those of its slots' real addresses,
   * not waited for: whoever holds one of them under another name is at the same pools.
   */
  takeApp(
    app: string,
    addresses: readonly Address[],
    wait: number,
    signal: AbortSignal,
  ): Promise<Result<Lock>>;
  /** The first and the second of these alone: what the addresses are may change while the app is waited for. */
  takeName(app: string, wait: number, signal: AbortSignal): Promise<Result<Lock>>;
  takeSlots(addresses: readonly Address[]): Promise<Result<Lock>>;
  /** The lock of one proxy. */
  takeProxy(key: string, wait: number): Promise<Result<Lock>>;
  /** Who has the app's lock. One who was killed has not, though its file still says so. */
  holder(app: string): LockHolder | null;
}

export function createLocks(
  where: Places,
  caller: { readonly uid: number; readonly who: string; readonly command: string },
): Locks {
  const { uid, command } = caller;
  const self = () => ({ user: caller.who, command });

  const takeName: Locks['takeName'] = async (app, wait, signal) => {
    const run = lockFolder(where.run, uid);
    return run.ok ? takeLock(appLock(run.value, app), 'app', { wait, signal, ...self() }) : run;
  };

  const takeSlots: Locks['takeSlots'] = async (addresses) => {
    const folder = lockFolder(where.locks, uid);
    if (!folder.ok) return folder;
    // two addresses on one TCP port share a lock; one order for all callers
    const paths = [...new Set(addresses.map((address) => slotLock(folder.value, address)))].sort();
    const taken = await Promise.all(paths.map((path) => takeLock(path, 'slot', { wait: 0, ...self() })));
    const held = all(taken.flatMap((lock) => (lock.ok ? [lock.value] : [])));
    const refused = taken.find((lock) => !lock.ok);
    if (refused === undefined) return ok(held);
    held.release();
    return refused;
  };

  return {
    takeName,
    takeSlots,
    takeApp: async (app, addresses, wait, signal) => {
      const name = await takeName(app, wait, signal);
      if (!name.ok) return name;
      const slots = await takeSlots(addresses);
      if (slots.ok) return ok(all([name.value, slots.value]));
      name.value.release();
      return slots;
    },
    takeProxy: async (key, wait) => {
      const folder = lockFolder(where.locks, uid);
      return folder.ok ? takeLock(proxyLock(folder.value, key), 'nginx', { wait, ...self() }) : folder;
    },
    holder: (app) => {
      const holder = lockHolder(appLock(where.run, app));
      return holder !== null && lives(holder) ? holder : null;
    },
  };
}

/** Whether the process that took the lock is there: the one with its pid, started before it took it. */
function lives({ pid, since }: LockHolder): boolean {
  const fs = procfs();
  const id = identify(fs, pid);
  return id !== null && isAlive(fs, id) && startedAt(fs, id) <= Date.parse(since);
}

const all = (held: readonly Lock[]): Lock => ({
  release: () => {
    for (const lock of [...held].reverse()) lock.release();
  },
});
