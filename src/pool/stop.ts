/**
 * Ends one life of a pool: rung after rung of a ladder, each bounded, each to the very processes that
 * were recorded or are their master's children, confirmed by identity right before a signal.
 *
 * FPM climbs a ladder of its own: QUIT, after process_control_timeout TERM, a second later KILL, to
 * its workers. So usually the master alone is told. Where there is none (orphans, a server of equals), or it
 * is to be killed, every worker is.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result, Slot, Warning } from '../event.js';
import type { PoolLife, Stopped } from '../drivers.js';
import { now, waitUntil } from '../system/clock.js';
import { errorCode } from '../system/files.js';
import { isAlive, readStat, signalProcess } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { PoolSlot } from './slots.js';

/** One way of telling a life to end. The first of a ladder is the ordinary one, the others are told. */
export interface Rung {
  /** null: a program that knows how. */
  readonly signal: Stopped['signal'];
  /** Tells whoever remains, in `ms` at most; a sentence of the system's when it may not. */
  readonly tell: (remaining: readonly ProcessId[], ms: number) => Promise<string | null> | string | null;
}

export interface StopOptions {
  readonly slot: Slot;
  /** ms that each of the rungs may take. */
  readonly timeout: number;
  /** ms that the first one may take, where that is more. */
  readonly patience?: number;
  readonly told: (warning: Warning) => void;
  /** Everyone of the life that can be found now; asked again before each rung. */
  readonly people: () => readonly ProcessId[];
  /** QUIT, TERM, KILL when it is left out. */
  readonly ladder?: readonly Rung[];
}

/** Signals as rungs: to the master where there is one, KILL to everybody. */
export const signals = (
  fs: Procfs,
  master: ProcessId | null,
  which: readonly NonNullable<Stopped['signal']>[] = ['SIGQUIT', 'SIGTERM', 'SIGKILL'],
): readonly Rung[] => which.map((signal) => rungOf(fs, master, signal));

export const rungOf = (
  fs: Procfs,
  master: ProcessId | null,
  signal: NonNullable<Stopped['signal']>,
): Rung => ({ signal, tell: (remaining) => send(fs, master, remaining, signal) });

/** FPM ends its requests on QUIT; of other servers nothing is known but that TERM ends them. `force`: at once. */
export const ladderOf = (
  { kind }: PoolSlot,
  { force = false } = {},
): readonly ('SIGQUIT' | 'SIGTERM' | 'SIGKILL')[] =>
  kind === 'php-fpm' && !force ? ['SIGQUIT', 'SIGTERM', 'SIGKILL'] : ['SIGTERM', 'SIGKILL'];

/**
 * Done when the master, every recorded worker and every one found since are gone. `stop-failed` when some
 * outlive their KILL (blocked in the kernel) or may not be signalled.
 */
export async function stopLife(fs: Procfs, life: PoolLife, options: StopOptions): Promise<Result<Stopped>> {
  const { slot, told, people, patience = options.timeout, ladder = signals(fs, life.master) } = options;
  const known = new Map<string, ProcessId>();
  const record = (ids: readonly ProcessId[]): void => {
    for (const id of ids) known.set(`${String(id.pid)}:${String(id.start)}`, id);
  };
  record(life.workers);
  // a master goes last: as long as it is there nobody else need be looked at
  const isLed = (): boolean => life.master !== null && isAlive(fs, life.master);
  const left = (): ProcessId[] => [
    ...(life.master !== null && isLed() ? [life.master] : []),
    ...[...known.values()].filter((id) => isAlive(fs, id)),
  ];
  let strongest: Stopped['signal'] = null;

  for (const [index, { signal, tell }] of ladder.entries()) {
    record(people());
    let remaining = left();
    if (remaining.length === 0) break;
    if (index > 0 && (signal === 'SIGTERM' || signal === 'SIGKILL')) {
      told({ reason: 'stop-escalates', slot, signal, pids: remaining.map(toPid) });
    }
    strongest = signal ?? strongest;
    const timeout = index === 0 ? patience : options.timeout;
    const began = now();
    const sent = await tell(remaining, timeout);
    if (sent !== null) return fail({ reason: 'stop-failed', slot, pids: remaining.map(toPid), detail: sent });
    const waited = await waitUntil(
      () => {
        if (isLed() || left().length > 0) return undefined;
        // who was born or lost its master meanwhile is looked for once nobody known is left
        record(people());
        remaining = left();
        if (remaining.length > 0 && signal === 'SIGKILL') send(fs, null, remaining, signal);
        return remaining.length === 0 ? true : undefined;
      },
      { deadline: Math.max(0, timeout - (now() - began)) },
    );
    if (waited.kind === 'seen') break;
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
