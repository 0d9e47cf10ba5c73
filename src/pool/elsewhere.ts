/**
 * A slot's master that lives and does not listen where the slot's configuration has it: `listen` was edited while
 * the pool ran. No look at the address shows it, and its title may be the other slot's, too; what was written down
 * while the address was right tells which slot it is of.
 */
import type { ProcessId, Slot } from '../event.js';
import { isAlive, socketsOf } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { listeningAmong } from '../system/sockets.js';
import type { Address } from '../system/sockets.js';
import { look } from './life.js';
import { pidfileHint } from './pidfile.js';
import { fpmProcess, holds, mastersOfSlot, runsConfig } from './processes.js';
import { boundAddresses } from './slots.js';
import type { PoolSlot } from './slots.js';

/** Who was seen to live in a slot when a deploy of it was recorded last. */
export type Recorded = (slot: Slot) => readonly ProcessId[];

/**
 * Those of a slot who live, wherever they listen: whom the journal recorded, whom its pidfile names, and who holds a
 * socket that the slot had when it was deployed last. Never the other slot's.
 */
export function livesOf(fs: Procfs, slot: PoolSlot, other: PoolSlot, recorded: Recorded): ProcessId[] {
  const found = recorded(slot.slot).filter((id) => isAlive(fs, id));
  if (slot.kind === 'fastcgi') return found;
  const add = (id: ProcessId): void => {
    if (found.some(({ pid }) => pid === id.pid) || isOfOther(fs, id, other, recorded)) return;
    found.push(id);
  };
  const hint = pidfileHint(slot);
  const named = hint === null ? null : fpmProcess(fs, hint, slot.binary);
  if (named?.role === 'master' && runsConfig(fs, named, slot.config)) add(named.id);
  const former = listenersAt(fs, slot.former);
  if (former.size === 0) return found;
  for (const { id } of mastersOfSlot(fs, slot)) if (holds(fs, id.pid, former)) add(id);
  return found;
}

/** Whether one of livesOf() listens, and at none of the slot's own addresses: it is on no way in or out. */
export function listensElsewhere(fs: Procfs, { pid }: ProcessId, slot: PoolSlot, other: PoolSlot): boolean {
  const open = [...(socketsOf(fs, pid)?.values() ?? [])];
  const known = listenersAt(fs, [...boundAddresses(slot), ...boundAddresses(other)]);
  if (open.some((inode) => known.has(inode))) return false;
  return listeningAmong(fs, open).length > 0;
}

function isOfOther(fs: Procfs, id: ProcessId, other: PoolSlot, recorded: Recorded): boolean {
  if (recorded(other.slot).some(({ pid, start }) => pid === id.pid && start === id.start)) return true;
  const former = other.kind === 'php-fpm' ? other.former : [];
  return holds(fs, id.pid, listenersAt(fs, [...boundAddresses(other), ...former]));
}

/** What cannot be looked at has nobody: whoever asks for the slot's own address is told. */
const listenersAt = (fs: Procfs, addresses: readonly Address[]): ReadonlySet<number> =>
  new Set(
    addresses.flatMap((address) => {
      const seen = look(fs, address);
      return seen.ok ? seen.value.listeners : [];
    }),
  );
