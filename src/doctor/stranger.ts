/** An address that somebody else holds, or that several lives have bound, one after the other. */
import type { SlotView } from '../drivers.js';
import type { Life } from '../event.js';
import { fpmProcess } from '../pool/processes.js';
import type { PoolSlot } from '../pool/slots.js';
import type { Procfs } from '../system/proc.js';
import type { Check, Verdict } from './subject.js';
import { viewsOf } from './subject.js';

export const strangers: Check = ({ fs, slots, views, lives, active, led }) =>
  viewsOf({ views }).flatMap((view) => {
    if (view.state !== 'foreign' || slots === null) return [];
    const serves = active === null || led !== 'known' ? null : view.slot === active;
    return verdict(fs, slots[view.slot], view, { lives: lives[view.slot] ?? [], serves });
  });

function verdict(
  fs: Procfs,
  own: PoolSlot,
  { slot, address, holder }: SlotView,
  { lives, serves }: { readonly lives: readonly Life[]; readonly serves: boolean | null },
): readonly Verdict[] {
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
      serves,
      ...config,
    } as const;
    return [{ severity: 'error', observation }];
  }
  return [{ severity: 'error', failure: { reason: 'slot-foreign', slot, address, holder } }];
}
