/**
 * The names of a slot's sockets: taking one away so that nobody new can connect, giving it
 * back, and removing what a gone life left.
 */
import { basename, dirname, join } from 'node:path';
import { fail, ok } from '../event.js';
import type { Result, WrongAnswer } from '../event.js';
import { removeDeadSocket } from '../system/dead-socket.js';
import {
  errorCode,
  facts,
  isSameFile,
  openSocketFile,
  removeFile,
  rename,
  renameToFree,
} from '../system/files.js';
import { identify } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { atOneMoment, withinMoment } from '../system/sockets.js';
import { asUser, currentUser } from '../system/user.js';
import type { User } from '../system/user.js';
import { look } from './life.js';
import { lookAtPidfile } from './pidfile.js';
import { mastersOfSlot } from './processes.js';
import { boundAddresses, spell } from './slots.js';
import type { PoolSlot } from './slots.js';

/** Where a socket's name is kept while it is retired: the same folder, so that a rename does it. */
export const retiredName = (path: string): string =>
  join(dirname(path), `.${basename(path)}.swap-pool-retired`);

/**
 * `here`: a socket stands at the path. `retired`: only at its retired name. `other`: something
 * else stands at the path.
 */
export function socketFile(path: string): 'here' | 'retired' | 'missing' | 'other' {
  const found = facts(path);
  if (found.ok) return found.value.kind === 'socket' ? 'here' : 'other';
  const kept = facts(retiredName(path));
  return kept.ok && kept.value.kind === 'socket' ? 'retired' : 'missing';
}

/**
 * Renames the slot's socket away; the listener lives on, a connect gets ENOENT before it has
 * sent anything. Idempotent. Only while exactly one listener is bound to the path: with several nobody
 * knows whose the file is. A pool on TCP has no name to take.
 */
export function retireSocket(fs: Procfs, slot: PoolSlot): Result<void> {
  const { address } = slot;
  if (address.kind === 'tcp' || socketFile(address.path) !== 'here') return ok(undefined);
  const seen = look(fs, address);
  if (!seen.ok) return seen;
  if (seen.value.listeners.length === 0) return ok(undefined);
  if (seen.value.listeners.length > 1) return unclear(slot, 'several listeners are bound to it');
  return moveAway(address.path);
}

/** The same for a socket of which is known that it is the pool's. */
export function moveAway(path: string): Result<void> {
  const kept = retiredName(path);
  // rename(2) of one name of a socket to another of its names takes none away: a restore that broke off left both
  const moved = isSameFile(path, kept) ? removeFile(path) : rename(path, kept);
  return moved.ok ? ok(undefined) : fail({ reason: 'state-unwritable', path, code: moved.code });
}

/** Gives a retired name back, never over a file that stands there; idempotent. */
export function restoreSocket(fs: Procfs, slot: PoolSlot): Result<void> {
  const { address } = slot;
  if (address.kind === 'tcp') return ok(undefined);
  const seen = look(fs, address);
  if (!seen.ok) return seen;
  const { path } = address;
  if (seen.value.listeners.length === 0) return ok(undefined);
  switch (socketFile(path)) {
    case 'retired': {
      const moved = renameToFree(retiredName(path), path);
      return moved.ok ? ok(undefined) : fail({ reason: 'state-unwritable', path, code: moved.code });
    }
    case 'here':
      // both names: the crash of a restore between its two acts left one socket with two names
      return unlinkTwin(slot, path);
    default:
      return unclear(slot, 'its name is gone, and the retired one too');
  }
}

/** As PoolDriver.reach: null, `no-socket`, or `permission` with the user's name. */
export function reachable({ address }: PoolSlot, user: User | null): WrongAnswer | null {
  if (address.kind === 'tcp') return null;
  const { path } = address;
  if (isNameless(path)) return { kind: 'no-socket' };
  const self = currentUser();
  if (user === null || (self.uid !== 0 && self.uid !== user.uid)) return null;
  try {
    // a connect asks for what an open for writing asks for: write on the socket, search on every folder (unix(7))
    const code = asUser(user, () => openSocketFile(path));
    return code === 'EACCES' ? { kind: 'permission', user: user.name } : null;
  } catch (error) {
    // we cannot become that user; without a code it is worse
    errorCode(error);
    return null;
  }
}

/** No socket stands at the path. To somebody who may not walk there, nothing is known to be missing. */
export function isNameless(path: string): boolean {
  const found = facts(path);
  return found.ok ? found.value.kind !== 'socket' : found.code === 'ENOENT';
}

/** Whether a folder for each of the sockets is there; else the first that is missing. `-t` does not see this. */
export const missingFolder = (slot: PoolSlot): string | null =>
  boundAddresses(slot)
    .flatMap((address) => (address.kind === 'unix' ? dirname(address.path) : []))
    .find((folder) => !facts(folder).ok) ?? null;

/**
 * Removes what a gone life left: sockets without a listener, retired names, a pidfile that names nobody of ours.
 * Fails with `slot-foreign` where somebody answers at one of them whom the kernel's table does not show: he lives
 * in another network namespace, and is nobody of whom we could know anything.
 */
export async function sweepFiles(fs: Procfs, slot: PoolSlot): Promise<Result<void>> {
  if (filesOf(slot).every(isMissing)) return ok(undefined);
  let living = false;
  const moment = withinMoment(fs);
  for (const address of boundAddresses(slot)) {
    const seen = look(moment, address);
    if (!seen.ok) return seen;
    if (seen.value.listeners.length === 0) {
      if (address.kind === 'tcp') continue;
      const dead = await Promise.all([address.path, retiredName(address.path)].map(removeDeadSocket));
      if (!dead.includes(false)) continue;
      // whoever has come meanwhile is seen by now
      const again = look(atOneMoment(fs), address);
      if (!again.ok) return again;
      if (again.value.listeners.length === 0) {
        return fail({ reason: 'slot-foreign', slot: slot.slot, address: spell(address), holder: null });
      }
    }
    living = true;
  }
  if (living || slot.pidfile === null) return ok(undefined);
  const { state, pid } = lookAtPidfile(fs, slot, null);
  const stale =
    ['empty', 'garbage', 'several-lines', 'dead', 'reused', 'init'].includes(state) ||
    (state === 'writable' && (pid === null || identify(fs, pid) === null));
  // a file, or a link itself: whatever a link leads to is not ours
  const kind = facts(slot.pidfile);
  const isPlain = kind.ok && (kind.value.kind === 'file' || kind.value.kind === 'link');
  if (stale && isPlain && mastersOfSlot(fs, slot).every(({ id }) => id.pid !== pid)) removeFile(slot.pidfile);
  return ok(undefined);
}

/** Every file that a life of the slot may leave. */
const filesOf = (slot: PoolSlot): readonly string[] => [
  ...boundAddresses(slot).flatMap((address) =>
    address.kind === 'unix' ? [address.path, retiredName(address.path)] : [],
  ),
  ...(slot.pidfile === null ? [] : [slot.pidfile]),
];

function isMissing(path: string): boolean {
  const found = facts(path);
  return !found.ok && found.code === 'ENOENT';
}

function unlinkTwin(slot: PoolSlot, path: string): Result<void> {
  const [here, kept] = [facts(path), facts(retiredName(path))];
  if (here.ok && kept.ok && here.value.inode !== kept.value.inode) {
    return unclear(slot, `another socket stands there, and a retired one beside it`);
  }
  if (kept.ok) removeFile(retiredName(path));
  return ok(undefined);
}

const unclear = (slot: PoolSlot, detail: string): Result<never> =>
  fail({ reason: 'unobservable', what: spell(slot.address), detail });
