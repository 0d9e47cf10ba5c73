/** What of a pool's configuration deserves a warning before a deploy. */
import { otherSlot } from '../event.js';
import type { Slot, Warning } from '../event.js';
import type { SlotView } from '../drivers.js';
import { availableMemory, proportionalBytes, residentBytes } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { FpmSlot, PoolSlot, ProbeSettings } from './slots.js';
import { signalName } from './unit.js';
import type { Unit } from './unit.js';

/**
 * `from`: the slot that serves now, null when none does; its workers say what the new pool has to
 * carry from its first second on. Changes nothing, asks nobody.
 */
export function advice(
  fs: Procfs,
  from: SlotView | null,
  to: PoolSlot,
  probe: ProbeSettings,
): readonly Warning[] {
  const { slot } = to;
  const found: Warning[] = [];
  const judged = probe.script !== undefined || (to.kind === 'fastcgi' && probe.expect !== undefined);
  if (!judged) {
    const weak = to.kind === 'fastcgi' || to.pingPath === null;
    found.push(weak ? { reason: 'probe-weak', slot } : { reason: 'no-probe-script' });
  }
  if (to.kind === 'php-fpm') found.push(...fpmAdvice(to, from?.working ?? 0));
  const life = from?.life ?? null;
  if (life !== null) {
    const everyone = [...(life.master === null ? [] : [life.master]), ...life.workers];
    const available = availableMemory(fs);
    const total = (bytesOf: (fs: Procfs, pid: number) => number): number =>
      everyone.reduce((sum, { pid }) => sum + bytesOf(fs, pid), 0);
    // the kernel walks page tables for the exact share, so it is asked only where that matters: no share is above its whole
    const needed = total(residentBytes) > available ? total(proportionalBytes) : 0;
    if (needed > available) found.push({ reason: 'little-memory', needed, available });
  }
  return found;
}

function fpmAdvice(to: FpmSlot, busy: number): readonly Warning[] {
  const { slot } = to;
  const found: Warning[] = [];
  if (to.statusPath === null) found.push({ reason: 'no-status', slot });
  // QUIT then cuts requests just as TERM does: whatever the drain let through is lost
  if (to.controlTimeout === 0) found.push({ reason: 'control-timeout-zero', slot });
  // ondemand starts with none and forks one for each connection that waits
  if (to.pm !== 'ondemand' && to.startWorkers < busy) {
    found.push({ reason: 'few-workers', start: to.startWorkers, busy, pm: to.pm });
  }
  return found;
}

/** What of the slots' units deserves one. */
export function unitAdvice(units: Readonly<Record<Slot, Unit>>, to: PoolSlot): readonly Warning[] {
  const { slot } = to;
  const own = units[slot];
  const found: Warning[] = [];
  if (own.isUnread) found.push({ reason: 'unit-unread', slot, unit: own.id });
  if (to.kind === 'php-fpm' && signalName(own.killSignal) !== 'SIGQUIT') {
    found.push({ reason: 'unit-kill-signal', slot, unit: own.id, signal: signalName(own.killSignal) });
  }
  if (to.kind === 'php-fpm') {
    const cuts = own.stopSignals.find((signal) => signal !== 'SIGQUIT');
    if (cuts !== undefined) {
      found.push({ reason: 'unit-kill-signal', slot, unit: own.id, signal: cuts, command: true });
    }
    const { stopTimeout: timeout } = own;
    const { controlTimeout: control } = to;
    if (timeout !== null && timeout < control) {
      found.push({ reason: 'unit-stop-timeout', slot, unit: own.id, timeout, control });
    }
  }
  for (const folder of sharedFolders(own.runtimeFolders, units[otherSlot(slot)].runtimeFolders)) {
    found.push({
      reason: 'unit-runtime-folder',
      units: [units.blue.id, units.green.id],
      folder: `/run/${folder}`,
    });
  }
  return found;
}

/** The folders that go with one unit and hold what is the other's: the very same, or one around it. */
function sharedFolders(own: readonly string[], others: readonly string[]): readonly string[] {
  const around = (outer: string, inner: string): boolean => `${inner}/`.startsWith(`${outer}/`);
  const found = own.flatMap((one) =>
    others.flatMap((other) => (around(one, other) ? one : around(other, one) ? other : [])),
  );
  return [...new Set(found)];
}
