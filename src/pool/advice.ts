/** What of a pool's configuration deserves a warning before a deploy. */
import type { Warning } from '../event.js';
import type { SlotView } from '../drivers.js';
import { availableMemory, proportionalBytes } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { FpmSlot, ProbeSettings } from './slots.js';

/**
 * `from`: the slot that serves now, null when none does; its workers say what the new pool has to
 * carry from its first second on. Changes nothing, asks nobody.
 */
export function advice(
  fs: Procfs,
  from: SlotView | null,
  to: FpmSlot,
  probe: ProbeSettings,
): readonly Warning[] {
  const { slot } = to;
  const found: Warning[] = [];
  if (probe.script === undefined) {
    found.push(to.pingPath === null ? { reason: 'probe-weak', slot } : { reason: 'no-probe-script' });
  }
  if (to.statusPath === null) found.push({ reason: 'no-status', slot });
  // QUIT then cuts requests just as TERM does: whatever the drain let through is lost
  if (to.controlTimeout === 0) found.push({ reason: 'control-timeout-zero', slot });
  const busy = from?.working ?? 0;
  // ondemand starts with none and forks one for each connection that waits
  if (to.pm !== 'ondemand' && to.startWorkers < busy) {
    found.push({ reason: 'few-workers', start: to.startWorkers, busy });
  }
  const life = from?.life ?? null;
  if (life !== null) {
    const everyone = [...(life.master === null ? [] : [life.master]), ...life.workers];
    const needed = everyone.reduce((sum, { pid }) => sum + proportionalBytes(fs, pid), 0);
    const available = availableMemory(fs);
    if (needed > available) found.push({ reason: 'little-memory', needed, available });
  }
  return found;
}
