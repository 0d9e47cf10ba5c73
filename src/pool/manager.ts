/**
 * Who starts a pool and stops it. What a pool is (php-fpm, any FastCGI server) is asked of life.ts;
 * everything here is about the program that brings it up, and nobody but it.
 */
import type { PoolLife } from '../drivers.js';
import { ok } from '../event.js';
import type { Result, Warning } from '../event.js';
import { exists } from '../system/files.js';
import type { Procfs } from '../system/proc.js';
import { readLog } from './log.js';
import type { StartLog } from './log.js';
import type { ManagerConfig, PoolSlot } from './slots.js';
import { runStop, stopOf } from './program.js';
import { ladderOf, signals } from './stop.js';
import type { Rung } from './stop.js';
import { systemd } from './systemd.js';
import type { Unit } from './unit.js';

export interface Manager {
  /** argv of a start. */
  readonly startCommand: readonly string[];
  /** argv of a stop; null: signals do it. */
  readonly stopCommand: readonly string[] | null;
  /** The program of a start ends when the pool is up. Else it may go on as the pool itself. */
  readonly ends: boolean;
  /** Nobody stands between: the program of a start is the pool's own, and makes no folders. */
  readonly bare: boolean;
  /** What has to be in order with it before a start. */
  prepare(): Promise<Result<void>>;
  /** Whether it takes a life that has come up for its own. */
  agrees(life: PoolLife): Promise<Result<void>>;
  /** Ends what it goes on with after a start that failed. */
  abandon(): Promise<void>;
  /**
   * `busy`: it has been told to start or to stop, and is at it. `on`: it has something that runs, or that it starts
   * again and again. What processes show is asked of start.ts.
   */
  state(): Promise<Result<'off' | 'busy' | 'on'>>;
  /**
   * How a life is told to end, gently at first. `trusted`: the pidfile names the life, or there is none. `force`: it
   * begins with TERM.
   */
  ladder(
    life: PoolLife,
    told: (warning: Warning) => void,
    how: { readonly trusted: boolean; readonly force: boolean },
  ): readonly Rung[];
  /** The last lines that it and the pool wrote since a start. */
  words(log: StartLog): Promise<string>;
  /** Files that decide what it runs. */
  readonly files: readonly string[];
}

export interface Managing {
  readonly fs: Procfs;
  readonly slot: PoolSlot;
  readonly managed: ManagerConfig;
  /** Where the words of programs are kept. */
  readonly folder: string;
  /** Of `systemd`. */
  readonly unit: Unit | null;
  readonly root: boolean;
}

export function managerOf(managing: Managing): Manager {
  const { fs, slot, managed, root, folder } = managing;
  const own = (command: readonly string[], more: Partial<Manager>): Manager => ({
    startCommand: [...scope(root), ...command],
    stopCommand: null,
    ends: true,
    bare: false,
    prepare: () => Promise.resolve(ok(undefined)),
    agrees: () => Promise.resolve(ok(undefined)),
    abandon: () => Promise.resolve(),
    state: () => Promise.resolve(ok('off')),
    ladder: (life, _, how) => signals(fs, life.master, ladderOf(slot, how)),
    words: (log) => Promise.resolve(readLog(log)),
    files: [],
    ...more,
  });
  switch (managed.manager) {
    case 'direct':
    case undefined:
      // config.ts lets nobody else be started so
      if (slot.kind !== 'php-fpm') throw new Error('only php-fpm is started directly');
      return own([slot.binary, '-D', '-y', slot.config], { bare: true });
    case 'command':
      return own(managed.start, { ends: false, files: managed.start.filter((word) => word.startsWith('/')) });
    case 'init': {
      const { script } = managed;
      return own([script, 'start'], {
        stopCommand: [script, 'stop'],
        files: [script],
        ladder: (life, told, { trusted, force }) => {
          const [first, ...rest] = signals(fs, life.master);
          if (force) return rest;
          const own = { signal: null, tell: runStop(fs, stopOf(slot, folder, [script, 'stop']), told) };
          // it goes by its pidfile: where that names somebody else, so would it
          const asks = trusted && (life.master !== null || slot.kind === 'fastcgi');
          return asks ? [own, ...rest] : [...(first === undefined ? [] : [first]), ...rest];
        },
      });
    }
    default:
      return systemd(managing, own);
  }
}

const SYSTEMD_RUN = '/usr/bin/systemd-run';

/** A oneshot unit or a CI job that ends takes with it whatever stayed in its control group: systemd gives another. */
const scope = (root: boolean): readonly string[] =>
  root && exists('/run/systemd/system') && exists(SYSTEMD_RUN)
    ? [SYSTEMD_RUN, '--scope', '--quiet', '--collect', '--slice=system.slice', '--']
    : [];
