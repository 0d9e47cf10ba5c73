/**
 * USR2, and seeing what became of it. FPM tells its workers to end, waits for them
 * (process_control_timeout, then TERM, a second later KILL), and runs its own program anew with the
 * listening sockets handed down. Daemonized it forks once more and goes on under another pid; else its pid
 * and even its start time stay, because exec changes neither.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result, Warning } from '../event.js';
import type { PoolLife, Transition } from '../drivers.js';
import { waitUntil } from '../system/clock.js';
import type { Waited } from '../system/clock.js';
import { sameProcess } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { isSameRun, socketsIn } from './grace.js';
import { childrenOf, connectionsOf, look, residents } from './life.js';
import { pidfileHint } from './pidfile.js';
import { fpmProcess, holds } from './processes.js';
import { signalMaster } from './signal.js';
import type { FpmSlot, PoolSlot } from './slots.js';
import { isStarting, lifeOf, manning } from './start.js';

/** A second from its TERM to its KILL, and one for whom the machine does not let run. */
const LADDER = 2000;

/** The longest that FPM itself takes to end its workers after QUIT or USR2, ms (fpm_process_ctl.c). */
export const longestEnd = (grace: number): number => grace + LADDER;

/**
 * What a pool is in the middle of. A worker that is told to end closes its listening socket at once
 * (fpm_main.c) and finishes its request: a master none of whose workers listens is going
 * away, or about to run itself anew. After a USR1 some workers end so as well, but others take their place.
 * Of other servers only a start can be told. `command`: argv of a start.
 */
export function transitionOf(
  fs: Procfs,
  slot: PoolSlot,
  command: readonly string[],
): Result<Transition | null> {
  if (isStarting(fs, slot, command)) return ok('starting');
  if (slot.kind === 'fastcgi') return ok(null);
  const all = connectionsOf(fs, slot);
  if (!all.ok) return all;
  const own = look(fs, slot.address);
  if (!own.ok) return own;
  const found = residents(fs, slot, own.value.listeners, [pidfileHint(slot) ?? 0]);
  if (!found.ok) return found;
  if (found.value.kind !== 'pool') return ok(null);
  const { master } = found.value;
  if (!isMaster(fs, slot, master)) return ok('starting');
  const inodes = new Set(all.value.listeners);
  const children = childrenOf(fs, master);
  if (children.some(({ pid }) => holds(fs, pid, inodes))) return ok(null);
  // ondemand has no worker while nobody asks
  const told = children.some(({ pid }) => fpmProcess(fs, pid, slot.binary)?.pool === slot.section);
  return ok(told || slot.pm !== 'ondemand' ? 'leaving' : null);
}

export interface ReloadOptions {
  /** argv of a start. */
  readonly command: readonly string[];
  /** How long FPM may take to end its workers and to come up again, ms. */
  readonly timeout: number;
  /** What its log has said since. */
  readonly words: () => Promise<string>;
  readonly told: (warning: Warning) => void;
}

/**
 * Done when another run of the program holds the very same sockets and has workers of its own. One that somebody
 * else has begun is waited for: it reads its configuration at its end. Fails with `pool-died` when
 * nobody holds the sockets any more, `pool-reload-unproven` at the deadline.
 */
export async function reloadPool(
  fs: Procfs,
  slot: FpmSlot,
  life: PoolLife,
  { command, timeout, words, told }: ReloadOptions,
): Promise<Result<PoolLife>> {
  const died = async (): Promise<Result<never>> =>
    fail({ reason: 'pool-died', slot: slot.slot, log: await words() });
  const before = connectionsOf(fs, slot);
  if (!before.ok) return before;
  const { master } = life;
  if (master === null) return died();
  const { listeners } = before.value;
  const own = socketsIn(fs, master);
  const now = (): PoolLife | 'died' | undefined =>
    renewed(fs, slot, life, { listeners, own }) ?? (isLost(fs, slot, listeners) ? 'died' : undefined);

  let seen: Waited<PoolLife | 'died' | 'stays'> | null = null;
  if (isLeaving(fs, slot, command)) {
    told({ reason: 'reload-joined', slot: slot.slot });
    // after a USR1 all workers can be told to end, too: then the master stays what it is
    const joined = (): PoolLife | 'died' | 'stays' | undefined => {
      // asked first: what has come up by then is another run, and seen as one
      const leaving = isLeaving(fs, slot, command);
      return now() ?? (leaving ? undefined : 'stays');
    };
    seen = await waitUntil(joined, { deadline: timeout });
  }
  if (seen === null || (seen.kind === 'seen' && seen.value === 'stays')) {
    const sent = signalMaster(fs, slot.slot, master, 'SIGUSR2');
    if (!sent.ok) return sent;
    // its master is gone: it died, or somebody else's reload came to its end just now
    seen = await waitUntil(now, { deadline: timeout });
  }
  if (seen.kind !== 'seen' || seen.value === 'stays') {
    return fail({ reason: 'pool-reload-unproven', slot: slot.slot, ms: timeout, log: await words() });
  }
  if (seen.value === 'died') return died();
  return ok((await manning(fs, slot))?.life ?? seen.value);
}

/** The life of another run of the program in the slot of an old one; undefined as long as there is none. */
function renewed(
  fs: Procfs,
  slot: FpmSlot,
  { master: old, workers }: PoolLife,
  { listeners, own }: { readonly listeners: readonly number[]; readonly own: readonly number[] },
): PoolLife | undefined {
  const life = lifeOf(fs, slot);
  if (life === undefined || life.master === null || !isMaster(fs, slot, life.master)) return undefined;
  if (listeners.some((inode) => life.sockets?.includes(inode) !== true)) return undefined;
  if (old !== null && sameProcess(life.master, old) && isSameRun(fs, old, own)) return undefined;
  const isOld = (id: ProcessId): boolean => workers.some((one) => sameProcess(one, id));
  if (life.workers.some(isOld) || (life.workers.length === 0 && slot.pm !== 'ondemand')) return undefined;
  return life;
}

/** Nobody holds the sockets any more. Looked at twice: one reading of the kernel's table can pass over an entry. */
function isLost(fs: Procfs, slot: FpmSlot, listeners: readonly number[]): boolean {
  const gone = (): boolean => {
    const now = look(fs, slot.address);
    return now.ok && !now.value.listeners.some((inode) => listeners.includes(inode));
  };
  return gone() && gone();
}

function isLeaving(fs: Procfs, slot: FpmSlot, command: readonly string[]): boolean {
  const seen = transitionOf(fs, slot, command);
  // while the program begins anew there is still no saying whether it is another run
  return seen.ok && seen.value !== null;
}

/** A master that has titled itself: its configuration is read and its sockets are taken over. */
const isMaster = (fs: Procfs, slot: FpmSlot, { pid }: ProcessId): boolean =>
  fpmProcess(fs, pid, slot.binary)?.role === 'master';
