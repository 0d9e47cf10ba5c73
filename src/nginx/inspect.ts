/** The running nginx as `nginx status` shows it. Looks only. */
import { ok } from '../event.js';
import type { NginxStatus, ProcessId, Result, WorkerGeneration } from '../event.js';
import { exists } from '../system/files.js';
import { startedAt } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { pidfileIfKnown } from './config-tree.js';
import { generationsOf } from './generations.js';
import { holdersOf } from './holders.js';
import type { Nginx } from './master.js';
import { heirsOf, parentMaster } from './masters.js';
import type { BegunUpgrade } from './upgrade-record.js';
import { readWorkers } from './workers.js';

/** `begun`: an upgrade of ours that is not finished. */
export async function inspect(
  fs: Procfs,
  nginx: Nginx,
  begun: BegunUpgrade | null,
): Promise<Result<NginxStatus>> {
  const { master, config, binary } = nginx;
  const pidfile = await pidfileIfKnown(nginx);
  const base = { config, binary, pidfile };
  if (master === null) {
    const state = pidfile !== null && exists(pidfile) ? 'dead' : 'stopped';
    const none = { pid: null, since: null, workers: 0, retiring: 0, generations: [], upgrade: null };
    return ok({ ...base, ...none, state });
  }
  const { serving, untitled, retiring } = readWorkers(fs, master);
  return ok({
    ...base,
    state: 'running',
    pid: master.pid,
    since: time(fs, master),
    workers: serving.length + untitled.length,
    retiring: retiring.length,
    generations: generations(fs, master),
    upgrade: upgradeOf(fs, master, nginx.upgrading, begun),
  });
}

function upgradeOf(
  fs: Procfs,
  master: ProcessId,
  upgrading: boolean,
  begun: BegunUpgrade | null,
): NginxStatus['upgrade'] {
  if (!upgrading && begun === null) return null;
  const older = parentMaster(fs, master);
  const [younger] = heirsOf(fs, master).masters;
  const old = older ?? (younger === undefined ? null : master);
  const generationsOfOther = older !== null ? generations(fs, older) : [];
  return {
    old: old?.pid ?? null,
    new: older !== null ? master.pid : (younger?.pid ?? null),
    ours: begun !== null,
    generations: generationsOfOther,
  };
}

function generations(fs: Procfs, master: ProcessId): readonly WorkerGeneration[] {
  const { serving, untitled, retiring } = readWorkers(fs, master);
  const held = new Map(
    holdersOf(fs, [...serving, ...untitled, ...retiring], master).map((holder) => [holder.pid, holder]),
  );
  const groups = (ids: readonly ProcessId[], leaves: boolean): WorkerGeneration[] =>
    generationsOf(ids).flatMap((group) => {
      const [first] = group;
      if (first === undefined) return [];
      const workers = group.map(({ pid }) => held.get(pid) ?? { pid, clients: 0, upstreams: 0 });
      return [{ since: time(fs, first), retiring: leaves, workers }];
    });
  return [...groups([...serving, ...untitled], false), ...groups(retiring, true)];
}

const time = (fs: Procfs, id: ProcessId): string => new Date(startedAt(fs, id)).toISOString();
