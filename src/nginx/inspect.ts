/** The running nginx as `nginx status` shows it. Looks only. */
import { ok } from '../event.js';
import type { NginxStatus, ProcessId, Result, WorkerGeneration } from '../event.js';
import { exists } from '../system/files.js';
import { sameProcess, startedAt } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { pidfileIfKnown } from './config-tree.js';
import { generationsOf } from './generations.js';
import { holdersOf } from './holders.js';
import type { Nginx } from './master.js';
import { heirsOf, parentMaster } from './masters.js';
import { orphansOf } from './orphans.js';
import type { Orphans } from './orphans.js';
import { quitting } from './quitting.js';
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
  const orphans = await orphansOf(fs, nginx);
  const left = orphans.all.length === 0 ? {} : { orphans: groups(fs, orphans, null) };
  if (master === null) {
    const down = pidfile !== null && exists(pidfile) ? 'dead' : 'stopped';
    const none = { pid: null, since: null, generations: [], upgrade: null };
    return ok({
      ...base,
      ...none,
      ...left,
      workers: orphans.serving.length,
      retiring: orphans.retiring.length,
      state: orphans.all.length === 0 ? down : 'orphaned',
    });
  }
  const { serving, untitled, retiring } = readWorkers(fs, master);
  return ok({
    ...base,
    ...left,
    state: quitting(fs, nginx) === null ? 'running' : 'stopping',
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
  // of two only one may be left; an upgrade of ours knows which of them was the old one
  const alone = older === null && younger === undefined;
  const isNew = older !== null || (alone && begun !== null && !sameProcess(begun.old, master));
  return {
    old: older?.pid ?? (isNew ? null : master.pid),
    new: isNew ? master.pid : (younger?.pid ?? null),
    ours: begun !== null,
    generations: older === null ? [] : generations(fs, older),
  };
}

function generations(fs: Procfs, master: ProcessId): readonly WorkerGeneration[] {
  const { serving, untitled, retiring } = readWorkers(fs, master);
  return groups(fs, { serving: [...serving, ...untitled], retiring }, master);
}

function groups(
  fs: Procfs,
  { serving, retiring }: Pick<Orphans, 'serving' | 'retiring'>,
  master: ProcessId | null,
): readonly WorkerGeneration[] {
  const held = new Map(
    holdersOf(fs, [...serving, ...retiring], master).map((holder) => [holder.pid, holder]),
  );
  const grouped = (ids: readonly ProcessId[], leaves: boolean): WorkerGeneration[] =>
    generationsOf(ids).flatMap((group) => {
      const [first] = group;
      if (first === undefined) return [];
      const workers = group.map(({ pid }) => held.get(pid) ?? { pid, clients: 0, upstreams: 0 });
      return [{ since: time(fs, first), retiring: leaves, workers }];
    });
  return [...grouped(serving, false), ...grouped(retiring, true)];
}

const time = (fs: Procfs, id: ProcessId): string => new Date(startedAt(fs, id)).toISOString();
