/**
 * How long a master lets requests end: its process_control_timeout, as it read it when it began. FPM cannot be asked
 * for that, and its files may have changed since.
 */
import { dirname } from 'node:path';
import type { ProcessId } from '../event.js';
import { facts, factsThroughLinks } from '../system/files.js';
import { sameProcess, socketsOf, startedAt } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { fpmTree } from './fpm-tree.js';
import { keepAnswer, keptAnswer, lastAnswer } from './kept-answer.js';
import { controlTimeoutOf } from './php-fpm.js';
import { lookAtPidfile } from './pidfile.js';
import type { FpmSlot } from './slots.js';

export interface Grace {
  /** ms; null: it cannot be told. */
  readonly known: number | null;
  /** The longest that it may be, of all that is known, ms. */
  readonly longest: number;
}

/**
 * A master is known to run with what its files say where none of them is younger than its run; and with
 * what they said when we began this very run ourselves. Else it may be what FPM said at the last deploy.
 * `folder`: the app's state.
 */
export function graceOf(fs: Procfs, slot: FpmSlot, folder: string, master: ProcessId | null): Grace {
  const now = slot.controlTimeout;
  if (master === null) return { known: now, longest: now };
  const settled = youngest(slot) + SAFETY < bornAt(fs, slot, master);
  const known = recorded(fs, slot, folder, master) ?? (settled ? now : null);
  if (known !== null) return { known, longest: Math.max(now, known) };
  const before = lastAnswer(folder, `fpm-${slot.slot}`);
  return { known, longest: Math.max(now, before === null ? 0 : controlTimeoutOf(before)) };
}

/**
 * Keeps what a run that we began has read. `asked`: when FPM was asked for it, ms since the epoch; what has changed
 * since may have been read or not, and then nothing is kept.
 */
export function keepGrace(
  fs: Procfs,
  slot: FpmSlot,
  folder: string,
  run: { readonly master: ProcessId | null; readonly asked: number },
): void {
  const { master, asked } = run;
  const sockets = master === null ? [] : socketsIn(fs, master);
  if (master === null || sockets.length === 0 || youngest(slot) >= asked) return;
  const kept: Kept = { master, sockets, ms: slot.controlTimeout };
  keepAnswer(folder, fileOf(slot), 'run', JSON.stringify(kept));
}

/**
 * Whether a process still has all the sockets it had. FPM's signals come through a pair that is made when
 * it begins, and that exec closes (fpm_signals.c): so two runs of one process can be told apart. Its
 * listening sockets, and those that systemd gave it for its output, pass from run to run.
 */
export function isSameRun(fs: Procfs, master: ProcessId, before: readonly number[]): boolean {
  const now = socketsIn(fs, master);
  return before.every((inode) => now.includes(inode));
}

export const socketsIn = (fs: Procfs, { pid }: ProcessId): readonly number[] => [
  ...(socketsOf(fs, pid)?.values() ?? []),
];

interface Kept {
  readonly master: ProcessId;
  readonly sockets: readonly number[];
  readonly ms: number;
}

/** The kernel tells when it was booted to the second. */
const SAFETY = 2000;

const fileOf = ({ slot }: FpmSlot): string => `run-${slot}`;

function recorded(fs: Procfs, slot: FpmSlot, folder: string, master: ProcessId): number | null {
  const text = keptAnswer(folder, fileOf(slot), 'run');
  if (text === null) return null;
  const kept = JSON.parse(text) as Kept;
  return sameProcess(kept.master, master) && isSameRun(fs, master, kept.sockets) ? kept.ms : null;
}

/** When what its configuration consists of changed last, a file that came to or went from an included folder included; ms. */
function youngest({ config, env, binary }: FpmSlot): number {
  const { files } = fpmTree(config, env, binary);
  const [, ...included] = files;
  const paths = new Set([...files, ...included.map((path) => dirname(path))]);
  const changes = [...paths].flatMap((path) => [facts(path), factsThroughLinks(path)]);
  // what is not to be seen may have changed just now
  return Math.max(...changes.map((one) => (one.ok ? one.value.changed : Infinity)));
}

/**
 * When a master's run began at the earliest. A reload in the foreground keeps even the start time, because exec does not
 * change it; the pidfile is written anew by every run (fpm_conf.c).
 */
function bornAt(fs: Procfs, slot: FpmSlot, master: ProcessId): number {
  const file = slot.pidfile === null ? null : facts(slot.pidfile);
  const own = lookAtPidfile(fs, slot, master).state === 'ok';
  return Math.max(startedAt(fs, master), file?.ok === true && own ? file.value.written : 0);
}
