/**
 * Starts a pool, and waits until it is there. By whom it is started is manager.ts's, how such a program
 * is run program.ts's.
 */
import { join } from 'node:path';
import { fail, ok, slotForeign } from '../event.js';
import type { Failure, ProcessId, Result } from '../event.js';
import type { PoolLife } from '../drivers.js';
import { now, waitUntil } from '../system/clock.js';
import type { Ended } from '../system/exec.js';
import {
  argv,
  children,
  identify,
  isAlive,
  pids,
  sameProcess,
  sinceWalk,
  socketsOf,
} from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { atOneMoment, listeningAmong } from '../system/sockets.js';
import type { SocketView } from '../system/sockets.js';
import { childrenOf, connectionsOf, look, residents, staff, statusListeners } from './life.js';
import { markLog } from './log.js';
import type { StartLog } from './log.js';
import type { Manager } from './manager.js';
import { lookAtPidfile, pidfileHint } from './pidfile.js';
import { holds, mastersOfSlot } from './processes.js';
import type { FpmProcess } from './processes.js';
import { endSession, launchProgram } from './program.js';
import { livesAt } from './several.js';
import { boundAddresses, spell } from './slots.js';
import type { PoolSlot } from './slots.js';
import { missingFolder, sweepFiles } from './socket-file.js';
import { ladderOf, signals, stopLife } from './stop.js';

export interface StartOptions {
  readonly manager: Manager;
  /** Where the output of a start is kept; made when missing. */
  readonly folder: string;
  /** How long a start may take, ms. */
  readonly timeout: number;
  /** Who of the slot lives, wherever he listens. */
  readonly lives: () => readonly ProcessId[];
  /** Told where this start's log is, as soon as it is known. */
  readonly onLog: (log: StartLog) => void;
}

/**
 * Refuses a start that could meet another life of the slot: FPM's last act is to unlink its
 * sockets and its pidfile, whoever owns what stands there by then. So nobody may hold a
 * listener bound to an address of the slot (file or no file), no master of it may be on its way out, and none may
 * live on where the slot's configuration had it once.
 */
export function mayStart(fs: Procfs, slot: PoolSlot, lives: readonly ProcessId[]): Result<void> {
  const free = isFree(fs, slot, lives);
  return free.ok ? ok(undefined) : free;
}

/**
 * Who looked for nginx a moment ago has walked through all processes, ms. Whoever has become an FPM since without becoming
 * another process meets FPM's own refusal: it binds no socket that somebody answers at.
 */
const SAME_LOOK = 500;

/** mayStart(); gives back the FPMs that run the same configuration and are none of this slot's business. */
function isFree(fs: Procfs, slot: PoolSlot, lives: readonly ProcessId[]): Result<readonly FpmProcess[]> {
  const { slot: name } = slot;
  const moment = atOneMoment(fs);
  for (const address of boundAddresses(slot)) {
    const seen = look(moment, address);
    if (!seen.ok) return seen;
    const found = residents(fs, { ...slot, address }, seen.value.listeners, []);
    if (!found.ok) return found;
    const who = found.value;
    if (who.kind === 'none') continue;
    const where = { slot: name, address: spell(address) };
    if (who.kind === 'foreign')
      return slotForeign({ ...where, holder: who.holder, lives: livesAt(fs, address) });
    const alive = who.kind === 'pool' ? [who.master] : who.kind === 'servers' ? who.processes : who.workers;
    return fail({ reason: 'slot-alive', ...where, pids: alive.map(({ pid }) => pid) });
  }
  const others = mastersOfSlot(sinceWalk(fs, SAME_LOOK), slot, ['master', 'starting']);
  // without a listening socket it is on its way in or out; with one, another slot's. One that had its own a moment ago
  // needs no second look
  const half = others.filter(
    ({ role, id }) => role === 'master' && isUnbound(moment, id) && isUnbound(fs, id),
  );
  if (half.length > 0) {
    const alive = half.map(({ id }) => id.pid);
    return fail({ reason: 'slot-alive', slot: name, address: spell(slot.address), pids: alive });
  }
  if (lives.length > 0) return fail(aliveElsewhere(slot, lives));
  const pidfile = lookAtPidfile(fs, slot, null);
  if (pidfile.rival !== null && slot.pidfile !== null) {
    const where = { slot: name, path: slot.pidfile, state: 'other-master' as const };
    return fail({ reason: 'pidfile-refused', ...where, suspect: pidfile.rival });
  }
  return ok(others);
}

/** The slot's own pool lives on, and not at its address. */
export const aliveElsewhere = (slot: PoolSlot, lives: readonly ProcessId[]): Failure => ({
  reason: 'slot-alive',
  slot: slot.slot,
  address: spell(slot.address),
  pids: lives.map(({ pid }) => pid),
  elsewhere: true,
});

/**
 * Starts the pool and waits until its master is identified (of a server that is no FPM: until all of
 * its processes wait for connections) and holds the listening socket. Whatever of a failed start
 * still lives is ended, and its files are removed.
 */
export async function startPool(
  fs: Procfs,
  slot: PoolSlot,
  { manager, folder, timeout, lives, onLog }: StartOptions,
): Promise<Result<Manning>> {
  const began = now();
  const free = isFree(fs, slot, lives());
  if (!free.ok) return free;
  const before = free.value;
  const command = manager.startCommand;
  const missing = manager.bare ? missingFolder(slot) : null;
  if (missing !== null) {
    const log = `the socket's folder ${missing} does not exist`;
    return fail({ reason: 'start-failed', slot: slot.slot, command, status: null, log });
  }
  const log = markLog(join(folder, `start-${slot.slot}.log`), slot.kind === 'php-fpm' ? slot.errorLog : null);
  const ready = await manager.prepare();
  if (!ready.ok) return ready;
  // not before its manager was asked: what it has running may live where no table of ours shows its socket
  const swept = await sweepFiles(fs, slot);
  if (!swept.ok) return swept;
  onLog(log);
  const { env } = slot;
  let came = undefined as Manning | undefined;
  const running = launchProgram(fs, {
    slot: slot.slot,
    command,
    env,
    output: log.output,
    // FPM listens when it says 0: else it is not FPM, or has not started any
    lingers: () => {
      came = manager.bare ? manningOf(fs, slot) : undefined;
      return came === undefined;
    },
  });
  if (!running.ok) return running;
  const { launched, session, close: closed } = running.value;
  let ended = null as Ended | null;
  void launched.end.then((end) => (ended = end));

  const started = (): FpmProcess[] =>
    mastersOfSlot(fs, slot, ['master', 'starting']).filter(
      ({ id }) => !before.some((old) => sameProcess(old.id, id)),
    );
  const failed = async (failure: (log: string) => Failure): Promise<Result<never>> => {
    launched.kill('SIGTERM');
    // before what is done about it has its own lines in a journal
    const words = await manager.words(log);
    await manager.abandon();
    await endStart(fs, slot, started());
    // what a script or a command left running without a socket is in the session that was made for it
    await endSession(fs, slot.slot, session);
    await hungUp(fs, slot);
    await sweepFiles(fs, slot);
    return fail(failure(manager.bare ? await manager.words(log) : words));
  };
  const left = (): number => Math.max(0, timeout - (now() - began));
  try {
    const seen = await waitUntil(
      () => {
        if (ended === null && manager.ends) return undefined;
        if (ended !== null && ended.status !== 0) return 'failed';
        const life = came?.manned === true && !hasLostMaster(fs, came.life) ? came : manningOf(fs, slot);
        if (life !== undefined) return life;
        // FPM is up when its program has ended; a script may leave something behind that still comes
        return ended !== null && manager.bare && started().length === 0 ? 'gone' : undefined;
      },
      { deadline: left() },
    );
    if (seen.kind === 'seen' && seen.value === 'failed') {
      const { status, failure } = ended ?? { status: null, failure: null };
      return await failed((words) => ({
        reason: 'start-failed',
        slot: slot.slot,
        command,
        status,
        log: [failure, words].filter(Boolean).join('\n'),
      }));
    }
    if (seen.kind === 'seen' && seen.value === 'gone') {
      return await failed((words) => ({ reason: 'pool-died', slot: slot.slot, log: words }));
    }
    if (seen.kind !== 'seen' || typeof seen.value === 'string') {
      const address = spell(slot.address);
      return await failed((words) => ({
        reason: 'start-timeout',
        slot: slot.slot,
        address,
        ms: timeout,
        log: words,
      }));
    }
    const up = seen.value.manned ? seen.value : ((await manning(fs, slot)) ?? seen.value);
    const agreed = await manager.agrees(up.life);
    return agreed.ok ? ok(up) : await failed(() => agreed.failure);
  } finally {
    closed();
  }
}

/**
 * Whether a start of this slot can still be under way, as processes show: the program of a start, FPM
 * untitled yet, or a master without a socket.
 */
export function isStarting(fs: Procfs, slot: PoolSlot, command: readonly string[]): boolean {
  // systemd-run becomes the program, FPM forks itself: all of them end with the same words
  const at = command.indexOf('--') + 1;
  const tail = command.slice(command[0]?.endsWith('/systemd-run') === true ? at : 0);
  const raw = pids(fs).flatMap((pid) => {
    const words = argv(fs, pid);
    const same = words.length >= tail.length && tail.every((word, at) => words.at(at - tail.length) === word);
    return same && !keeps(fs, slot, pid) ? (identify(fs, pid) ?? []) : [];
  });
  // what has become the pool, of this slot or of the other, has a socket to listen on
  return [...raw, ...mastersOfSlot(fs, slot).map(({ id }) => id)].some((id) => isUnbound(fs, id));
}

/** Whether a process has started the pool and waits for it, as the shell of a command may: it has no more to do. */
function keeps(fs: Procfs, slot: PoolSlot, pid: number): boolean {
  const seen = look(fs, slot.address);
  if (!seen.ok || seen.value.listeners.length === 0) return false;
  const inodes = new Set(seen.value.listeners);
  return children(fs, pid).some((child) => holds(fs, child, inodes));
}

/** The life in a slot whose master holds the listening socket; null as long as there is none. */
export const lifeOf = (fs: Procfs, slot: PoolSlot): PoolLife | undefined => manningOf(fs, slot)?.life;

export interface Manning {
  readonly life: PoolLife;
  /** Its first workers are all there and wait, or somebody is being served already. */
  readonly manned: boolean;
  /** Where its pools listen: the life's sockets without those of status pages. */
  readonly listeners: readonly number[];
}

function manningOf(fs: Procfs, slot: PoolSlot): Manning | undefined {
  const moment = atOneMoment(fs);
  const own = look(moment, slot.address);
  if (!own.ok || own.value.listeners.length === 0) return undefined;
  const found = residents(moment, slot, own.value.listeners, [pidfileHint(slot) ?? 0]);
  const seen = connectionsOf(moment, slot);
  if (!seen.ok) return undefined;
  const sockets = seen.value.listeners;
  if (found.ok && found.value.kind === 'servers') {
    const life = { master: null, workers: found.value.processes, sockets };
    return { life, manned: isManned(fs, slot, life, seen.value), listeners: sockets };
  }
  if (!found.ok || found.value.kind !== 'pool') return undefined;
  const { master } = found.value;
  const inodes = new Set(sockets);
  const workers = childrenOf(fs, master).filter(({ pid }) => holds(fs, pid, inodes));
  const life = { master, workers, sockets: [...sockets, ...statusListeners(moment, slot)] };
  return { life, manned: isManned(fs, slot, life, seen.value), listeners: sockets };
}

/**
 * The life in a slot once it is manned; as it is after MANNING. FPM forks its workers once it listens; a life is
 * recorded, and their context switches are counted, from when they are complete.
 */
export async function manning(fs: Procfs, slot: PoolSlot): Promise<Manning | undefined> {
  let now: Manning | undefined;
  await waitUntil(
    () => {
      now = manningOf(fs, slot);
      return now === undefined || now.manned ? true : undefined;
    },
    { deadline: MANNING },
  );
  return now;
}

function isManned(
  fs: Procfs,
  slot: PoolSlot,
  life: PoolLife,
  { connections: { accepted, queued }, listeners }: SocketView,
): boolean {
  const crew = staff(fs, slot, life.workers, new Set(listeners));
  if (!crew.ok || accepted + queued > 0) return true;
  // a program that binds the socket for another holds it, too, until it has ended
  return slot.kind === 'fastcgi' ? crew.value.working === 0 : crew.value.idle >= slot.allStartWorkers;
}

/** Forking takes about 0.3 ms a worker. Workers that crash as they begin are the probe's business. */
const MANNING = 2000;

const hasLostMaster = (fs: Procfs, { master }: PoolLife): boolean => master !== null && !isAlive(fs, master);

/** Nobody lived here before our start (mayStart), so whoever of ours does now is its work. */
async function endStart(fs: Procfs, slot: PoolSlot, started: readonly FpmProcess[]): Promise<void> {
  const told = (): void => undefined;
  const seen = look(fs, slot.address);
  const found = seen.ok ? residents(fs, slot, seen.value.listeners, []) : seen;
  const masters: (ProcessId | null)[] = started.map(({ id }) => id);
  const orphans = found.ok && found.value.kind === 'orphans' ? found.value.workers : [];
  const servers = found.ok && found.value.kind === 'servers' ? found.value.processes : [];
  const loose = [...orphans, ...servers];
  if (loose.length > 0) masters.push(null);
  for (const master of masters) {
    const life: PoolLife = { master, workers: master === null ? loose : childrenOf(fs, master) };
    const people = (): readonly ProcessId[] =>
      master === null ? loose.filter((id) => isAlive(fs, id)) : childrenOf(fs, master);
    const ladder = signals(fs, master, ladderOf(slot));
    await stopLife(fs, life, { slot: slot.slot, timeout: END_TIMEOUT, told, people, ladder });
  }
}

/**
 * Waits until nobody listens for the slot any more. FPM's first process has ended once the one that it forked
 * says that it fails, which may still be on its way out then: it has no name any more, but its sockets, and
 * a socket that somebody listens at is not swept.
 */
const hungUp = (fs: Procfs, slot: PoolSlot): Promise<unknown> =>
  waitUntil(
    () => {
      const seen = boundAddresses(slot).map((address) => look(fs, address));
      return seen.some((one) => one.ok && one.value.listeners.length > 0) ? undefined : true;
    },
    { deadline: HANG_UP },
  );

/** The kernel closes what a process had open when it ends: at once, if it is given a processor. */
const HANG_UP = 5000;

/** A start that failed has no requests to wait for. */
const END_TIMEOUT = 2000;

/** Whether a process lives and holds no listening socket at all. */
const isUnbound = (fs: Procfs, id: ProcessId): boolean =>
  listeningAmong(fs, socketsOf(fs, id.pid)?.values() ?? []).length === 0 && isAlive(fs, id);
