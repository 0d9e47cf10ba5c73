/**
 * Processes that are none of a rig's: what a pidfile or an address can lead to by mistake. They die
 * of every signal a pool is stopped with, so one that lives at the end was sent none.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ordinaryUser, temporaryFolder } from '../../src/demo/machine.js';
import { findPrograms } from '../../src/demo/programs.js';
import { waitUntil } from '../../src/system/clock.js';
import { identify, isAlive, procfs, title } from '../../src/system/proc.js';
import { PATIENCE } from './limits.js';

const fs = procfs();

export interface Stranger {
  readonly pid: number;
  /** The very process, not another one with its pid. */
  readonly lives: () => boolean;
  readonly end: () => Promise<void>;
}

/** Starts a program and waits until `ready` says that it is up. `last`: the signal that ends it, children and all. */
async function stranger(
  [file = '', ...words]: readonly string[],
  ready: (pid: number) => boolean = () => true,
  last: NodeJS.Signals = 'SIGKILL',
): Promise<Stranger> {
  const child = spawn(file, words, { cwd: '/', stdio: 'ignore', env: { PATH: '/usr/bin:/bin' } });
  await once(child, 'spawn');
  const pid = child.pid ?? -1;
  const up = await waitUntil(() => (ready(pid) ? true : undefined), { deadline: PATIENCE });
  if (up.kind !== 'seen') throw new Error(`${file} does not come up`);
  const id = identify(fs, pid);
  if (id === null) throw new Error(`${file} has ended`);
  return {
    pid,
    lives: () => isAlive(fs, id),
    end: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill(last);
      await gone;
    },
  };
}

/** A program that is no FastCGI master and that a pid was given to. */
export const sleeper = (): Promise<Stranger> => stranger(['/usr/bin/sleep', '600']);

/** A pid that nobody has any more. */
export async function deadPid(): Promise<number> {
  const one = await sleeper();
  await one.end();
  return one.pid;
}

/** Somebody who listens on a path or a port: accepts, and never answers. */
export function listener(address: string): Promise<Stranger> {
  const where = address.startsWith('unix:')
    ? { path: address.slice(5) }
    : { host: address.split(':')[0], port: Number(address.split(':')[1]) };
  const script = `process.title = 'squatter';
    require('node:net').createServer().listen(${JSON.stringify(where)}, () => { process.title = 'squatter-ready'; })`;
  return stranger([process.execPath, '-e', script], (pid) => title(fs, pid).startsWith('squatter-ready'));
}

/** An FPM of somebody else: another configuration, in a folder of its own. `listen`: where, its own socket unless said. */
export async function otherFpm({
  listen,
  before = [],
}: { readonly listen?: string; readonly before?: readonly string[] } = {}): Promise<Stranger> {
  const programs = findPrograms();
  if (!programs.ok) throw new Error('no php-fpm');
  const folder = mkdtempSync(join(temporaryFolder(false), 'other-fpm-'));
  const { user, group } = ordinaryUser();
  const own = process.geteuid?.() === 0 ? [`user = ${user}`, `group = ${group}`] : [];
  const config = join(folder, 'other.conf');
  writeFileSync(
    config,
    [
      '[global]',
      `error_log = ${folder}/log`,
      '[other]',
      ...own,
      `listen = ${listen?.replace(/^unix:/, '') ?? `${folder}/sock`}`,
      'pm = static',
      'pm.max_children = 1',
    ].join('\n'),
  );
  const fpm = await stranger(
    [...before, programs.value.fpm, '-F', '-y', config],
    (pid) => title(fs, pid) === `php-fpm: master process (${config})`,
    'SIGTERM',
  );
  return {
    ...fpm,
    end: async () => {
      await fpm.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
