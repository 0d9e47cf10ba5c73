/**
 * A master that was told to QUIT. It closes its own listening sockets at once, ends when its workers have, and hears of
 * nothing else until then (ngx_master_process_cycle): no new connection is taken, and no HUP read.
 */
import type { Failure } from '../event.js';
import type { Procfs } from '../system/proc.js';
import { listenersOf } from './holders.js';
import type { Nginx } from './master.js';
import { readWorkers } from './workers.js';

/**
 * `nginx-stopping`; null: it is not, or that cannot be told. A master has its sockets before it bears its title, and
 * keeps them through every reload: one that listens nowhere, with workers that retire or still listen, was told to quit.
 */
export function quitting(fs: Procfs, { master, config }: Pick<Nginx, 'master' | 'config'>): Failure | null {
  if (master === null || listenersOf(fs, master)?.length !== 0) return null;
  const { serving, untitled, retiring } = readWorkers(fs, master);
  const left = [...serving, ...untitled, ...retiring];
  const leave = serving.length + untitled.length === 0 && retiring.length > 0;
  // told a moment ago: a worker hears of it a little later
  if (!leave && !left.some((id) => (listenersOf(fs, id) ?? []).length > 0)) return null;
  return { reason: 'nginx-stopping', config, pid: master.pid, workers: left.map(({ pid }) => pid) };
}
