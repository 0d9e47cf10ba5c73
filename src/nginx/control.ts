/**
 * nginx's control script: one running nginx, asked and told by verbs. Built on what the switches use; a signal
 * goes only to a process whose identity was just confirmed, and what it did is seen before it is said.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result } from '../event.js';
import type { ProxyControl } from '../drivers.js';
import { exists, facts, removeFile } from '../system/files.js';
import { errorLogOf, loadTree, pidfileIfKnown, test } from './config-tree.js';
import { inspect } from './inspect.js';
import type { Nginx } from './master.js';
import { heirsOf, parentMaster } from './masters.js';
import { reopenLogs } from './reopen-logs.js';
import { absent, orphansOf } from './orphans.js';
import { quitting } from './quitting.js';
import { createRunning } from './running.js';
import type { RunningOptions } from './running.js';
import { forceStop, stop } from './stop.js';
import { createUpgrader } from './upgrade.js';
import type { ControlTools } from './upgrade.js';

type ControlOptions = RunningOptions & Omit<ControlTools, 'fs' | 'running' | 'root'>;

export function createControl(options: ControlOptions): ProxyControl {
  const { procfs: fs, record, timeouts } = options;
  const running = createRunning(options);
  const tools: ControlTools = { ...options, fs, running };
  const upgrader = createUpgrader(tools);

  /** For verbs that need a running one. */
  async function found(): Promise<Result<{ readonly nginx: Nginx; readonly master: ProcessId }>> {
    const nginx = await running.locate();
    if (!nginx.ok) return nginx;
    const { master } = nginx.value;
    if (master === null) return fail(await absent(fs, nginx.value));
    const leaves = quitting(fs, nginx.value);
    return leaves === null ? ok({ nginx: nginx.value, master }) : fail(leaves);
  }

  async function check(): Promise<Result<void>> {
    const nginx = await running.locate();
    if (!nginx.ok) return nginx;
    if (nginx.value.master !== null) return test(nginx.value, timeouts.reload);
    // nginx -t makes the pidfile of one that does not run, and leaves it empty
    const pidfile = await pidfileIfKnown(nginx.value);
    const before = pidfile !== null && exists(pidfile);
    const tested = await test(nginx.value, timeouts.reload);
    if (pidfile !== null && !before) {
      const left = facts(pidfile);
      if (left.ok && left.value.size === 0) removeFile(pidfile);
    }
    return tested;
  }

  async function end(): Promise<Result<boolean>> {
    const nginx = await running.locate();
    if (!nginx.ok) return nginx;
    const { master, upgrading } = nginx.value;
    const orphans = await orphansOf(fs, nginx.value);
    if (master === null && orphans.all.length === 0) return ok(false);
    // with two masters it is not clear who is meant, and the one that is left would start workers again
    if (upgrading) {
      const pidfile = await pidfileIfKnown(nginx.value);
      return fail({ reason: 'upgrade-pending', path: `${pidfile ?? nginx.value.config}.oldbin` });
    }
    const pidfile = await pidfileIfKnown(nginx.value);
    return ended(await stop(tools, { master, orphans, pidfile }));
  }

  async function endNow(): Promise<Result<boolean>> {
    const nginx = await running.locate();
    if (!nginx.ok) return nginx;
    const { master } = nginx.value;
    const orphans = await orphansOf(fs, nginx.value);
    if (master === null && orphans.all.length === 0) return ok(false);
    const pidfile = await pidfileIfKnown(nginx.value);
    return ended(await forceStop(tools, { master, orphans, pidfile }));
  }

  /** With everybody gone there is no upgrade left to end. */
  async function ended(stopped: Result<void>): Promise<Result<boolean>> {
    const key = await running.shared.lockKey();
    if (stopped.ok && key.ok) record(key.value).remove();
    return stopped.ok ? ok(true) : stopped;
  }

  async function reopen(): Promise<Result<void>> {
    const here = await found();
    if (!here.ok) return here;
    const { nginx, master } = here.value;
    const errorLog = async (): Promise<string | null> => {
      const tree = loadTree(nginx);
      return tree.ok ? errorLogOf(nginx, tree.value) : null;
    };
    const older = parentMaster(fs, master);
    // during an upgrade two masters write the same logs
    for (const id of [...(older === null ? [] : [older]), master, ...heirsOf(fs, master).masters]) {
      const done = await reopenLogs(tools, id, errorLog);
      if (!done.ok) return done;
    }
    return ok(undefined);
  }

  return {
    lockKey: running.shared.lockKey,
    status: async () => {
      const nginx = await running.locate();
      if (!nginx.ok) return nginx;
      const key = await running.shared.lockKey();
      return inspect(fs, nginx.value, key.ok ? record(key.value).read() : null);
    },
    test: check,
    reload: async () => {
      const proof = await running.shared.reload();
      return proof.ok ? ok(undefined) : proof;
    },
    stop: end,
    forceStop: endNow,
    reopenLogs: reopen,
    upgrade: () => upgrader.upgrade(),
    recoverUpgrade: async () => {
      const key = await running.shared.lockKey();
      return key.ok ? upgrader.recover(key.value) : key;
    },
    hasBegunUpgrade: async () => {
      const key = await running.shared.lockKey();
      return key.ok && record(key.value).read() !== null;
    },
  };
}
