/** A signal to a pool's master, which is confirmed right before. */
import { fail, ok } from '../event.js';
import type { ProcessId, Result, Slot } from '../event.js';
import { errorCode } from '../system/files.js';
import { signalProcess } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';

/**
 * False: the very process is gone. `signal-refused` where it is somebody else's. HUP is not among what can
 * be sent: php-fpm 8.2 reloads on it, as on USR2; older ones, and other builds, die of it and leave their workers.
 */
export function signalMaster(
  fs: Procfs,
  slot: Slot,
  master: ProcessId,
  signal: 'SIGUSR1' | 'SIGUSR2',
): Result<boolean> {
  try {
    return ok(signalProcess(fs, master, signal));
  } catch (error) {
    return fail({ reason: 'signal-refused', slot, pid: master.pid, signal, code: errorCode(error) });
  }
}
