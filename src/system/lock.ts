/**
 * Locks that die with their holder: flock(2) on a file that stays. Node has no flock, so
 * util-linux's is run for a moment on our descriptor; a flock belongs to the open file
 * description, which child and parent share, so it is ours when the child has gone.
 *
 * The file is never unlinked: somebody could hold the old one while another makes a new.
 */
import { basename } from 'node:path';
import { fail, ok } from '../event.js';
import type { LockHolder, Result } from '../event.js';
import { timestamp } from './clock.js';
import { runSilent } from './exec.js';
import { close, exists, openLockFile, readOwn, writeWhole } from './files.js';

/** Held until it is released, or its process ends. */
export interface Lock {
  release(): void;
}

const FLOCKS = ['/usr/bin/flock', '/bin/flock'];

export interface LockRequest {
  /** ms; 0: not at all. */
  readonly wait: number;
  /** Ends the wait early. */
  readonly signal?: AbortSignal;
  readonly command: string;
  readonly user: string;
}

/**
 * Takes the lock at `path`, waiting up to `wait` ms (0: not at all). `locked` when somebody
 * else has it, with what the holder wrote about itself; `state-unwritable` when the file
 * cannot be opened (a link stands there: ELOOP).
 */
export async function takeLock(
  path: string,
  kind: 'app' | 'nginx' | 'slot',
  { wait, signal, command, user }: LockRequest,
): Promise<Result<Lock>> {
  const flock = FLOCKS.find((candidate) => exists(candidate));
  if (flock === undefined) return fail({ reason: 'binary-missing', program: 'flock', searched: FLOCKS });
  const opened = openLockFile(path);
  if (!opened.ok) return fail({ reason: 'state-unwritable', path, code: opened.code });
  const fd = opened.value;
  const how = wait > 0 ? ['-w', String(wait / 1000)] : ['-n'];
  const ran = await runSilent([flock, ...how, '3'], { descriptor: fd, signal });
  if (ran.status !== 0) {
    close(fd);
    if (ran.status === 1 || signal?.aborted === true) {
      return fail({ reason: 'locked', lock: kind, path, holder: lockHolder(path) });
    }
    return fail({
      reason: 'bug',
      detail: `${basename(flock)}: ${ran.failure ?? `exit ${String(ran.status)}`}`,
    });
  }
  const holder: LockHolder = { pid: process.pid, user, command, since: timestamp() };
  writeWhole(fd, `${JSON.stringify(holder)}\n`);
  return ok({
    release: () => {
      writeWhole(fd, '');
      close(fd);
    },
  });
}

/** Who wrote into a lock file last; null when it is empty or unreadable. It need not hold the lock any more. */
export function lockHolder(path: string): LockHolder | null {
  const text = readOwn(path);
  if (!text.ok) return null;
  try {
    const value = JSON.parse(text.value) as Partial<LockHolder>;
    return typeof value.pid === 'number' ? (value as LockHolder) : null;
  } catch {
    return null;
  }
}
