/**
 * HUP, and the proof that what runs afterwards was read after it.
 *
 * A delivered HUP proves nothing: nginx goes on with its old configuration when the new
 * one fails, and with somebody else's reload under way the workers born meanwhile may have
 * read the file as it was before ours. What proves it is the master's own rhythm: signals
 * reach it only inside sigsuspend, so when it sleeps there again with no HUP pending, a
 * whole reload has begun and ended since ours was sent.
 */
import { fail, ok } from '../event.js';
import type { Failure, ProcessId, Result } from '../event.js';
import { waitUntil } from '../system/clock.js';
import { facts, readTail } from '../system/files.js';
import { blocked, isAlive, readStatus, signalProcess } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { areOneBatch } from './generations.js';
import { contains, readWorkers } from './workers.js';
import type { Workers } from './workers.js';

/** What a proven reload left behind. */
export interface Generation {
  /** Born of this reload (or of one after it). */
  readonly workers: readonly ProcessId[];
  /** Every other worker that lived when it was proven, of whatever configuration. */
  readonly older: readonly ProcessId[];
}

export interface Reloading {
  readonly fs: Procfs;
  readonly master: ProcessId;
  /** How many workers a generation has; null when the configuration does not tell. */
  readonly expected: number | null;
  /** Where the master writes why a reload failed; null when that is no file. */
  readonly errorLog: string | null;
  /** ms */
  readonly timeout: number;
}

/**
 * Waits until the master sleeps in sigsuspend with no HUP pending. Fails with `nginx-gone`,
 * `unobservable`, and after `timeout` ms with `reload-unproven`.
 */
export async function waitIdle({ fs, master, timeout }: Reloading): Promise<Result<void>> {
  const waited = await waitUntil(
    () => {
      const seen = look(fs, master);
      return seen === 'busy' ? undefined : seen;
    },
    { deadline: timeout },
  );
  if (waited.kind !== 'seen') {
    return fail({ reason: 'reload-unproven', ms: timeout, detail: 'the master is at work' });
  }
  const failure = failureOf(waited.value, master);
  return failure === null ? ok(undefined) : fail(failure);
}

/**
 * Sends HUP to an idle master and waits for the proof: the master idle again, and every
 * worker that is not shutting down born since, all of one generation. Fails with
 * `reload-swallowed` (idle again, and the workers are the old ones), `nginx-gone`,
 * `reload-unproven` after `timeout` ms, `unobservable`. Nobody was signalled when it fails
 * with `unobservable`, or `nginx-gone` before the HUP.
 */
export async function reload(reloading: Reloading): Promise<Result<Generation>> {
  const { fs, master, timeout, errorLog } = reloading;
  const logged = errorLog === null ? 0 : logSize(errorLog);
  // look, record and signal in one go, with no await between: nobody's reload fits in unseen
  const sent = await waitUntil(
    () => {
      const seen = look(fs, master);
      if (seen === 'busy') return undefined;
      if (seen !== 'idle') return { seen, before: null };
      const before = readWorkers(fs, master);
      // reading them takes a while; a reload lasts longer than that (it sleeps 100 ms), so it would be seen here
      if (before.untitled.length > 0 || look(fs, master) !== 'idle') return undefined;
      return signalProcess(fs, master, 'SIGHUP') ? { seen, before } : { seen: 'gone' as const, before: null };
    },
    { deadline: timeout },
  );
  if (sent.kind !== 'seen') {
    return fail({ reason: 'reload-unproven', ms: timeout, detail: 'the master is at work' });
  }
  const { seen, before } = sent.value;
  const failure = failureOf(seen, master);
  if (failure !== null) return fail(failure);
  if (before === null) return fail({ reason: 'nginx-gone', pid: master.pid });
  return awaitGeneration(reloading, before, logged);
}

/**
 * What went wrong by a log, after `size` bytes of it: the lines of `pid`, a master (null: of anybody), from
 * `error` upwards. Under load there are many others.
 */
export function logSince(path: string, size: number, pid: number | null): string {
  // shorter than it was: rotated, all of it is new
  const bytes = readTail(path, logSize(path) < size ? 0 : size, MOST_LOG);
  if (!bytes.ok) return '';
  const lines = bytes.value.toString('utf8').split('\n');
  const own = pid === null ? lines : lines.filter((line) => line.includes(`] ${String(pid)}#`));
  return own
    .filter((line) => SERIOUS.test(line))
    .slice(-MOST_LINES)
    .join('\n');
}
const SERIOUS = /\[(?:error|crit|alert|emerg)\]/;
const MOST_LINES = 20;
const MOST_LOG = 256 * 1024;

export function logSize(path: string): number {
  const found = facts(path);
  return found.ok ? found.value.size : 0;
}

async function awaitGeneration(
  { fs, master, expected, errorLog, timeout }: Reloading,
  before: Workers,
  logged: number,
): Promise<Result<Generation>> {
  const old = [...before.serving, ...before.retiring];
  let detail = 'the master is at work';
  let sleeps = 0;
  const waited = await waitUntil<Result<Generation>>(
    () => {
      const seen = look(fs, master);
      const failure = failureOf(seen, master);
      if (failure !== null) return fail(failure);
      if (seen === 'busy') {
        sleeps = 0;
        return undefined;
      }
      const workers = readWorkers(fs, master);
      // a reload that began while we read them would make them a mixture
      if (look(fs, master) !== 'idle') return undefined;
      const born = workers.serving.filter((id) => !contains(old, id));
      if (born.length === 0 && workers.untitled.length === 0) {
        // once may be a page fault on the way out of sigsuspend; so many times over is sleep
        sleeps += 1;
        if (sleeps < SLEEPS) return undefined;
        const log = errorLog === null ? '' : logSince(errorLog, logged, master.pid);
        return fail({ reason: 'reload-swallowed', log });
      }
      sleeps = 0;
      if (workers.untitled.length > 0 || born.length < workers.serving.length) {
        detail = 'workers from before have not begun to shut down';
        return undefined;
      }
      if (born.length !== expected && !areOneBatch(born)) {
        detail = 'the workers are of more than one reload';
        return undefined;
      }
      return ok({ workers: born, older: workers.retiring });
    },
    { deadline: timeout },
  );
  return waited.kind === 'seen' ? waited.value : fail({ reason: 'reload-unproven', ms: timeout, detail });
}

/** Looks in a row, each a millisecond or more after the other. */
export const SLEEPS = 5;

export type Seen = 'idle' | 'busy' | 'gone' | 'foreign' | 'unreadable';

/**
 * One look at the master. Pending signals are read first: none pending and then asleep means
 * that it sleeps after the last one. In the other order a HUP could arrive between the two.
 * `signals`: those that may not be pending, as a mask.
 */
export function look(fs: Procfs, master: ProcessId, signals = HUP): Seen {
  const status = readStatus(fs, master.pid);
  if (status === null || !isAlive(fs, master)) return 'gone';
  // wchan reads as "0", not as denied, to those who may not look (kernel, proc_pid_wchan)
  if (!mayLook(status.uid)) return 'foreign';
  if ((status.pending & signals) !== 0n) return 'busy';
  const where = blocked(fs, master.pid);
  if (!isAlive(fs, master)) return 'gone';
  if (where.kind === 'unreadable') return 'unreadable';
  if (where.kind === 'running') return 'busy';
  const asleep =
    where.kind === 'syscall' ? where.number === RT_SIGSUSPEND : where.name.includes('sigsuspend');
  return asleep ? 'idle' : 'busy';
}

/** SIGHUP, number 1. */
const HUP = 1n;
/** nginx blocks every signal that it answers to, outside of sigsuspend. */
export const ANY_SIGNAL = -1n;
/** Its number in the kernel's tables: x86_64's own, and the generic one that arm64, riscv64 and loong64 share. */
const RT_SIGSUSPEND = process.arch === 'x64' ? 130 : 133;

const mayLook = (uid: number): boolean => {
  const own = process.geteuid?.() ?? 0;
  return own === 0 || own === uid;
};

export function failureOf(seen: Seen, master: ProcessId): Failure | null {
  if (seen === 'gone') return { reason: 'nginx-gone', pid: master.pid };
  if (seen === 'unreadable') {
    return { reason: 'unobservable', what: 'nginx', detail: `/proc/${String(master.pid)}/syscall and wchan` };
  }
  if (seen === 'foreign') {
    return { reason: 'unobservable', what: 'nginx', detail: `${String(master.pid)} is another user's` };
  }
  return null;
}
