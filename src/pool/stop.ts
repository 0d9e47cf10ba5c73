/**
 * Ends one life of a pool: QUIT, then TERM, then KILL, to the very processes that were recorded
 * or are their master's children, each confirmed by identity right before its signal.
 *
 * FPM climbs a ladder of its own: QUIT, after process_control_timeout TERM, a second later KILL, to
 * its workers. So usually the master alone is told. Where there is none (orphans), or it is to be
 * killed, every worker is.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result, Slot, Warning } from '../event.js';
import type { PoolLife, Stopped } from '../drivers.js';
import { waitUntil } from '../system/clock.js';
import { errorCode } from '../system/files.js';
import { isAlive, readStat, signalProcess } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';

export interface StopOptions {
  readonly slot: Slot;
  /** ms that each of the signals may take. */
  readonly timeout: number;
  readonly told: (warning: Warning) => void;
  /** Everyone of the life that can be found now; asked again before each signal. */
  readonly people: () => readonly ProcessId[];
}

/**
 * Done when the master, every recorded worker and every one found since are gone. `stop-failed` when some
 * outlive their KILL (blocked in the kernel) or may not be signalled.
 */
export async function stopLife(fs: Procfs, life: PoolLife, options: StopOptions): Promise<Result<Stopped>> {
  const { slot, timeout, told, people } = options;
  const known = new Map<string, ProcessId>();
  const record = (ids: readonly ProcessId[]): void => {
    for (const id of ids) known.set(`${String(id.pid)}:${String(id.start)}`, id);
  };
  record(life.workers);
  const left = (): ProcessId[] => [
    ...(life.master !== null && isAlive(fs, life.master) ? [life.master] : []),
    ...[...known.values()].filter((id) => isAlive(fs, id)),
  ];
  let strongest: Stopped['signal'] = null;

  for (const signal of ['SIGQUIT', 'SIGTERM', 'SIGKILL'] as const) {
    record(people());
    let remaining = left();
    if (remaining.length === 0) break;
    if (signal !== 'SIGQUIT') told({ reason: 'stop-escalates', slot, signal, pids: remaining.map(toPid) });
    strongest = signal;
    const sent = send(fs, life.master, remaining, signal);
    if (sent !== null) return fail({ reason: 'stop-failed', slot, pids: remaining.map(toPid), detail: sent });
    await waitUntil(
      () => {
        remaining = left();
        if (remaining.length > 0) return undefined;
        // who was born or lost its master meanwhile is looked for once nobody known is left
        record(people());
        remaining = left();
        if (remaining.length > 0 && signal === 'SIGKILL') send(fs, null, remaining, signal);
        return remaining.length === 0 ? true : undefined;
      },
      { deadline: timeout },
    );
  }
  const remaining = left();
  if (remaining.length === 0) return ok({ signal: strongest });
  const detail = remaining.map(({ pid }) => `${String(pid)}: state ${readStat(fs, pid)?.state ?? '?'}`);
  return fail({ reason: 'stop-failed', slot, pids: remaining.map(toPid), detail: detail.join(', ') });
}

/** null: sent. Else the system's refusal. */
function send(
  fs: Procfs,
  master: ProcessId | null,
  remaining: readonly ProcessId[],
  signal: NodeJS.Signals,
): string | null {
  try {
    const leads = master !== null && signalProcess(fs, master, signal);
    if (leads && signal !== 'SIGKILL') return null;
    for (const id of remaining) if (id !== master) signalProcess(fs, id, signal);
    return null;
  } catch (error) {
    return errorCode(error);
  }
}

const toPid = ({ pid }: ProcessId): number => pid;
