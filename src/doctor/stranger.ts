/** An address that somebody else holds, or that several lives have bound, one after the other. */
import type { SlotView } from '../drivers.js';
import type { Suspect } from '../event.js';
import { look } from '../pool/life.js';
import { fpmProcess, holders, suspect } from '../pool/processes.js';
import type { PoolSlot } from '../pool/slots.js';
import { pids } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { Check, Verdict } from './subject.js';
import { viewsOf } from './subject.js';

export const strangers: Check = ({ fs, slots, views }) =>
  viewsOf({ views }).flatMap((view) => {
    if (view.state !== 'foreign' || slots === null) return [];
    return verdict(fs, slots[view.slot], view);
  });

function verdict(fs: Procfs, own: PoolSlot, { slot, address, holder }: SlotView): readonly Verdict[] {
  const lives = livesOf(fs, own);
  if (lives.length > 1) {
    return [{ severity: 'error', observation: { reason: 'several-lives', slot, address, holders: lives } }];
  }
  const found = holder === null ? null : fpmProcess(fs, holder.pid);
  if (own.kind === 'php-fpm' && holder !== null && found?.role === 'master' && found.config !== null) {
    const config = { runs: found.config, expected: own.config };
    const observation = {
      reason: 'master-of-other-config',
      slot,
      address,
      master: holder,
      ...config,
    } as const;
    return [{ severity: 'error', observation }];
  }
  return [{ severity: 'error', failure: { reason: 'slot-foreign', slot, address, holder } }];
}

/** The topmost process of each listener that is bound to the address: its master, or one of its orphans. */
function livesOf(fs: Procfs, slot: PoolSlot): readonly Suspect[] {
  const seen = look(fs, slot.address);
  if (!seen.ok || seen.value.listeners.length < 2) return [];
  const all = pids(fs);
  const tops = seen.value.listeners.flatMap((inode) => {
    const own = holders(fs, all, new Set([inode]));
    return own.find((pid) => fpmProcess(fs, pid)?.role === 'master') ?? own[0] ?? [];
  });
  return [...new Set(tops)].map((pid) => suspect(fs, pid));
}
