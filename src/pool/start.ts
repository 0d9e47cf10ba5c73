/**
 * Starts a pool so that it outlives its caller and inherits nothing of it: `-D` (FPM leaves our
 * session, whatever its file says of daemonize), cwd /, a clean environment, no descriptor above 2,
 * and, where systemd runs and root calls, a scope of its own: a oneshot unit or a CI job that ends
 * takes with it whatever stayed in its control group.
 */
import { join } from 'node:path';
import { fail, ok } from '../event.js';
import type { Failure, ProcessId, Result } from '../event.js';
import type { PoolLife } from '../drivers.js';
import { now, waitUntil } from '../system/clock.js';
import { BASE_ENVIRONMENT, launch } from '../system/exec.js';
import type { Ended } from '../system/exec.js';
import { close, exists, makeFolder, openNull, openOutput } from '../system/files.js';
import { argv, inheritableDescriptors, isAlive, pids, sameProcess } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { listeningInodes } from '../system/sockets.js';
import { childrenOf, connectionsOf, look, residents, staff, statusListeners } from './life.js';
import { markLog, readLog } from './log.js';
import type { StartLog } from './log.js';
import { lookAtPidfile, pidfileHint } from './pidfile.js';
import { holds, mastersRunning } from './processes.js';
import type { FpmProcess } from './processes.js';
import { boundAddresses, spell } from './slots.js';
import type { FpmSlot } from './slots.js';
import { missingFolder, sweepFiles } from './socket-file.js';
import { stopLife } from './stop.js';

export interface StartOptions {
  /** Where FPM's own output is kept; made when missing. */
  readonly folder: string;
  /** How long a start may take, ms. */
  readonly timeout: number;
  readonly root: boolean;
  /** Told where this start's log is, as soon as it is known. */
  readonly onLog: (log: StartLog) => void;
}

const SYSTEMD_RUN = '/usr/bin/systemd-run';

/** argv of a start. */
export function startArgv(slot: FpmSlot, root: boolean): readonly string[] {
  const scope =
    root && exists('/run/systemd/system') && exists(SYSTEMD_RUN)
      ? [SYSTEMD_RUN, '--scope', '--quiet', '--collect', '--slice=system.slice', '--']
      : [];
  return [...scope, slot.binary, '-D', '-y', slot.config];
}

/**
 * Refuses a start that could meet another life of the slot: FPM's last act is to unlink its
 * sockets and its pidfile, whoever owns what stands there by then. So nobody may hold a
 * listener bound to an address of the slot (file or no file), and no master of it may be on its way out.
 */
export function mayStart(fs: Procfs, slot: FpmSlot): Result<void> {
  const free = isFree(fs, slot);
  return free.ok ? ok(undefined) : free;
}

/** mayStart(); gives back the FPMs that run the same configuration and are none of this slot's business. */
function isFree(fs: Procfs, slot: FpmSlot): Result<readonly FpmProcess[]> {
  const { slot: name } = slot;
  for (const address of boundAddresses(slot)) {
    const seen = look(fs, address);
    if (!seen.ok) return seen;
    const found = residents(fs, { ...slot, address }, seen.value.listeners, []);
    if (!found.ok) return found;
    const who = found.value;
    if (who.kind === 'none') continue;
    const where = { slot: name, address: spell(address) };
    if (who.kind === 'foreign') return fail({ reason: 'slot-foreign', ...where, holder: who.holder });
    const alive = who.kind === 'pool' ? [who.master] : who.workers;
    return fail({ reason: 'slot-alive', ...where, pids: alive.map(({ pid }) => pid) });
  }
  const others = mastersRunning(fs, slot, ['master', 'starting']);
  const half = unbound(
    fs,
    others.filter(({ role }) => role === 'master'),
  );
  if (half.length > 0) {
    const alive = half.map(({ id }) => id.pid);
    return fail({ reason: 'slot-alive', slot: name, address: spell(slot.address), pids: alive });
  }
  const pidfile = lookAtPidfile(fs, slot, null);
  if (pidfile.rival !== null && slot.pidfile !== null) {
    const where = { slot: name, path: slot.pidfile, state: 'other-master' as const };
    return fail({ reason: 'pidfile-refused', ...where, suspect: pidfile.rival });
  }
  return ok(others);
}

/**
 * Starts the pool and waits until its master is identified and holds the listening socket.
 * Whatever of a failed start still lives is ended, and its files are removed.
 */
export async function startPool(
  fs: Procfs,
  slot: FpmSlot,
  { folder, timeout, root, onLog }: StartOptions,
): Promise<Result<PoolLife>> {
  const began = now();
  const free = isFree(fs, slot);
  if (!free.ok) return free;
  const before = free.value;
  const swept = sweepFiles(fs, slot);
  if (!swept.ok) return swept;

  const command = startArgv(slot, root);
  const missing = missingFolder(slot);
  if (missing !== null) {
    const log = `the socket's folder ${missing} does not exist`;
    return fail({ reason: 'start-failed', slot: slot.slot, command, status: null, log });
  }
  const log = markLog(join(folder, `start-${slot.slot}.log`), slot.errorLog);
  onLog(log);
  const ran = await launchFpm(fs, slot, command, log, timeout);
  if (!ran.ok) return ran;

  const started = (): FpmProcess[] =>
    mastersRunning(fs, slot, ['master', 'starting']).filter(
      ({ id }) => !before.some((old) => sameProcess(old.id, id)),
    );
  const failed = async (failure: (log: string) => Failure): Promise<Result<never>> => {
    await endStart(fs, slot, started());
    sweepFiles(fs, slot);
    return fail(failure(readLog(log)));
  };
  const { status } = ran.value;
  if (status !== 0 && ran.value.failure !== 'timeout') {
    const why = ran.value.failure === null ? [] : [ran.value.failure];
    return failed((words) => ({
      reason: 'start-failed',
      slot: slot.slot,
      command,
      status,
      log: [...why, words].filter(Boolean).join('\n'),
    }));
  }
  const seen = await waitUntil(() => lifeOf(fs, slot) ?? (started().length === 0 ? 'gone' : undefined), {
    deadline: Math.max(0, timeout - (now() - began)),
  });
  if (seen.kind === 'seen' && seen.value !== 'gone') {
    await waitUntil(() => (isManned(fs, slot) ? true : undefined), { deadline: MANNING });
    return ok(lifeOf(fs, slot) ?? seen.value);
  }
  return failed((words) =>
    // ended by us because its time was over: that it is gone says nothing of it
    seen.kind === 'seen' && ran.value.failure !== 'timeout'
      ? { reason: 'pool-died', slot: slot.slot, log: words }
      : {
          reason: 'start-timeout',
          slot: slot.slot,
          address: spell(slot.address),
          ms: timeout,
          log: words,
        },
  );
}

/** Whether a start of this slot can still be under way: FPM untitled yet, or a master without a socket. */
export function isStarting(fs: Procfs, slot: FpmSlot, root: boolean): boolean {
  const wanted = startArgv(slot, root);
  const tail = wanted.slice(-4);
  const raw = pids(fs).some((pid) => {
    // systemd-run becomes FPM, FPM forks itself: all of them end with the same words
    const words = argv(fs, pid);
    return words.length >= tail.length && tail.every((word, at) => words.at(at - tail.length) === word);
  });
  return raw || unbound(fs, mastersRunning(fs, slot)).length > 0;
}

/** The life in a slot whose master holds the listening socket; null as long as there is none. */
function lifeOf(fs: Procfs, slot: FpmSlot): PoolLife | undefined {
  const seen = connectionsOf(fs, slot);
  const own = look(fs, slot.address);
  if (!seen.ok || !own.ok) return undefined;
  const found = residents(fs, slot, own.value.listeners, [pidfileHint(slot) ?? 0]);
  if (!found.ok || found.value.kind !== 'pool') return undefined;
  const { master } = found.value;
  const inodes = new Set(seen.value.listeners);
  const workers = childrenOf(fs, master).filter(({ pid }) => holds(fs, pid, inodes));
  return { master, workers, sockets: [...seen.value.listeners, ...statusListeners(fs, slot)] };
}

/**
 * Whether the first workers are all there and wait, or somebody is being served already. FPM
 * forks them once it listens; a life is recorded, and its workers' context switches are counted,
 * from when they are complete.
 */
function isManned(fs: Procfs, slot: FpmSlot): boolean {
  const life = lifeOf(fs, slot);
  const seen = connectionsOf(fs, slot);
  if (life === undefined || !seen.ok) return true;
  const { accepted, queued } = seen.value.connections;
  const crew = staff(fs, life.workers, new Set(seen.value.listeners));
  return !crew.ok || accepted + queued > 0 || crew.value.idle >= slot.startWorkers;
}

/** Forking takes about 0.3 ms a worker. Workers that crash as they begin are the probe's business. */
const MANNING = 500;

async function launchFpm(
  fs: Procfs,
  slot: FpmSlot,
  command: readonly string[],
  log: StartLog,
  timeout: number,
): Promise<Result<Ended>> {
  const unwritable = (code: string): Result<never> =>
    fail({ reason: 'state-unwritable', path: log.output, code });
  const made = makeFolder(join(log.output, '..'), 0o700);
  if (!made.ok) return unwritable(made.code);
  const output = openOutput(log.output);
  if (!output.ok) return unwritable(output.code);
  const blank = openNull();
  try {
    const blanked = inheritableDescriptors(fs);
    const env = { ...BASE_ENVIRONMENT, ...slot.env };
    return ok(await launch(command, { env, output: output.value, blanked, blank, timeout }));
  } finally {
    close(blank);
    close(output.value);
  }
}

/** Nobody lived here before our start (mayStart), so whoever of ours does now is its work. */
async function endStart(fs: Procfs, slot: FpmSlot, started: readonly FpmProcess[]): Promise<void> {
  const told = (): void => undefined;
  const seen = look(fs, slot.address);
  const found = seen.ok ? residents(fs, slot, seen.value.listeners, []) : seen;
  const masters: (ProcessId | null)[] = started.map(({ id }) => id);
  const orphans = found.ok && found.value.kind === 'orphans' ? found.value.workers : [];
  if (orphans.length > 0) masters.push(null);
  for (const master of masters) {
    const life: PoolLife = { master, workers: master === null ? orphans : childrenOf(fs, master) };
    const people = (): readonly ProcessId[] =>
      master === null ? orphans.filter((id) => isAlive(fs, id)) : childrenOf(fs, master);
    await stopLife(fs, life, { slot: slot.slot, timeout: END_TIMEOUT, told, people });
  }
}

/** A start that failed has no requests to wait for. */
const END_TIMEOUT = 2000;

/** Masters that hold no listening socket at all: on their way in or out. Others belong to another slot. */
function unbound(fs: Procfs, masters: readonly FpmProcess[]): FpmProcess[] {
  let left = masters;
  // unix first: the TCP tables take the kernel milliseconds even when they are empty
  for (const kind of ['unix', 'tcp'] as const) {
    if (left.length === 0) return [];
    const listening = listeningInodes(fs, kind);
    left = left.filter(({ id }) => !holds(fs, id.pid, listening));
  }
  return left.filter(({ id }) => isAlive(fs, id));
}
