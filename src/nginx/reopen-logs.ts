/**
 * USR1, and the sight of what it did: master and workers have let go of the files that were moved away. A worker
 * runs as another user than its master, and goes on with the old file where it may not open the new one.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result } from '../event.js';
import { waitUntil } from '../system/clock.js';
import { appendedBy, identify, isAlive, signalProcess, title } from '../system/proc.js';
import { ANY_SIGNAL, failureOf, logSince, logSize, look } from './reload.js';
import type { ControlTools } from './upgrade.js';
import { steadyChildren } from './workers.js';
import { MASTER_TITLE } from './title.js';

/**
 * Done when the master has answered the signal and no child of it (retiring ones, too) appends to a file that the master
 * does not. Fails with `logs-not-reopened` (the deadline, for a master that took no signal, too, or the master's log says that it could not open one),
 * `nginx-gone`, `unobservable`.
 */
export async function reopenLogs(
  { fs, timeouts, tell }: ControlTools,
  master: ProcessId,
  errorLog: () => Promise<string | null>,
): Promise<Result<void>> {
  const blind = failureOf(look(fs, master), master);
  if (blind !== null) return fail(blind);
  // null: moved away as well; then all that stands there afterwards is new
  const before = await errorLog();
  const logged = before === null ? 0 : logSize(before);
  if (!signalProcess(fs, master, 'SIGUSR1')) return fail({ reason: 'nginx-gone', pid: master.pid });
  tell({ kind: 'signal', signal: 'SIGUSR1', to: 'nginx', pids: [master.pid] });

  // null: the master has not taken the signal
  let behind = null as readonly number[] | null;
  const seen = await waitUntil<Result<void>>(
    () => {
      if (!isAlive(fs, master)) return fail({ reason: 'nginx-gone', pid: master.pid });
      if (look(fs, master, ANY_SIGNAL) !== 'idle') return undefined;
      const own = appendedBy(fs, master.pid);
      if (own === null)
        return fail({ reason: 'unobservable', what: 'nginx', detail: `/proc/${String(master.pid)}/fd` });
      const files = new Set(own.map(({ key }) => key));
      behind = steadyChildren(fs, master.pid).filter((pid) => lags(pid, files));
      return behind.length === 0 ? ok(undefined) : undefined;
    },
    { deadline: timeouts.reload },
  );
  if (seen.kind === 'seen' && !seen.value.ok) return seen.value;
  const log = await errorLog();
  const said = log === null ? '' : logSince(log, logged, seen.kind === 'seen' ? master.pid : null);
  const refused = said.split('\n').filter((line) => /\[emerg\].* open\(\) /.test(line));
  if (seen.kind === 'seen' && refused.length === 0) return ok(undefined);
  const ms = seen.kind === 'seen' ? 0 : timeouts.reload;
  const who = behind === null ? ({ pids: [master.pid], unheard: true } as const) : { pids: behind };
  return fail({ reason: 'logs-not-reopened', ms, ...who, log: refused.join('\n') || said });

  /** The master of a new binary is a child too, and keeps its own files. */
  function lags(pid: number, files: ReadonlySet<string>): boolean {
    if (identify(fs, pid) === null || title(fs, pid).startsWith(MASTER_TITLE)) return false;
    return (appendedBy(fs, pid) ?? []).some(({ key }) => !files.has(key));
  }
}
