/**
 * USR1: FPM opens its logs by their names again, for a rotation that has renamed them. It opens the
 * error_log itself. An access.log is written by the workers, so it tells all of them to end what they
 * serve, and starts others; none is hurried.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result } from '../event.js';
import type { PoolLife } from '../drivers.js';
import { waitUntil } from '../system/clock.js';
import { isSameFile } from '../system/files.js';
import { openPaths, isAlive, isPending, readStatus } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { childrenOf, look } from './life.js';
import { holds } from './processes.js';
import { signalMaster } from './signal.js';
import type { FpmSlot } from './slots.js';

const SIGUSR1 = 10;

/**
 * Done when what stands at each log's name is what the master has open, and the workers that take
 * requests have the access.log. Gives back the logs. `pool-logs-not-reopened` at the deadline.
 */
export async function reopenLogs(
  fs: Procfs,
  slot: FpmSlot,
  { master }: PoolLife,
  timeout: number,
): Promise<Result<readonly string[]>> {
  const gone = (): Result<never> => fail({ reason: 'pool-died', slot: slot.slot, log: '' });
  if (master === null) return gone();
  const logs = [slot.errorLog, slot.accessLog, ...slot.otherLogs].filter(isFile);
  const sent = signalMaster(fs, slot.slot, master, 'SIGUSR1');
  if (!sent.ok) return sent;
  if (!sent.value) return gone();

  let missing: readonly string[] = logs;
  const seen = await waitUntil(
    () => {
      if (!isAlive(fs, master)) return 'gone';
      const status = readStatus(fs, master.pid);
      if (status === null || isPending(status, SIGUSR1)) return undefined;
      missing = logs.filter((log) => !hasOpen(fs, master, log) || !isWorkersOwn(fs, slot, master, log));
      return missing.length === 0 ? 'open' : undefined;
    },
    { deadline: timeout },
  );
  if (seen.kind !== 'seen') {
    return fail({ reason: 'pool-logs-not-reopened', slot: slot.slot, files: missing, ms: timeout });
  }
  return seen.value === 'gone' ? gone() : ok(logs);
}

/** An `error_log = /proc/self/fd/2` has no name that a rotation could change. */
const isFile = (path: string | null): path is string => path !== null && !/^\/(proc|dev)\//.test(path);

const hasOpen = (fs: Procfs, { pid }: ProcessId, log: string): boolean =>
  openPaths(fs, pid)?.some((descriptor) => isSameFile(descriptor, log)) === true;

/** Workers that were told to end have closed the listening socket, and keep the old log until they have. */
function isWorkersOwn(fs: Procfs, slot: FpmSlot, master: ProcessId, log: string): boolean {
  if (log !== slot.accessLog) return true;
  const seen = look(fs, slot.address);
  if (!seen.ok) return false;
  const inodes = new Set(seen.value.listeners);
  return childrenOf(fs, master).every((id) => !holds(fs, id.pid, inodes) || hasOpen(fs, id, log));
}
