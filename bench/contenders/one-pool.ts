/**
 * Contenders that have one pool and do something to it.
 */
import { children } from '../../src/system/proc.js';
import type { Contender } from '../contender.js';
import { WORKERS } from '../mix.js';
import { endPool, fs, openSandbox, pause, pointLink, startPool, until } from '../stage.js';
import type { Sandbox } from '../../src/demo/sandbox.js';

type Act = (sandbox: Sandbox, mark: (what: string) => void) => Promise<void>;

const onePool = (
  name: string,
  title: string,
  notes: readonly string[],
  act: Act,
  fpmGlobal?: string,
): Contender => ({
  name,
  title,
  notes,
  open: async (bench) => {
    const sandbox = await openSandbox(bench, {
      switch: 'symlink',
      ...(fpmGlobal === undefined ? {} : { fpmGlobal }),
    });
    try {
      await startPool(sandbox, 'blue');
      pointLink(sandbox, 'blue');
    } catch (error) {
      await sandbox.close();
      throw error;
    }
    return {
      sandbox,
      port: sandbox.site().port,
      active: () => 'blue',
      deploy: (mark) => act(sandbox, mark),
      account: () => null,
    };
  },
});

/** Done when every worker is a new one. */
const reload: Act = async (sandbox, mark) => {
  const master = sandbox.poolMaster('blue');
  if (master === null) throw new Error('the pool does not run');
  const old = new Set(children(fs, master));
  mark('USR2');
  process.kill(master, 'SIGUSR2');
  await until('new workers', () => {
    // it makes itself a daemon anew: another pid
    const reloaded = sandbox.poolMaster('blue');
    const workers = reloaded === null ? [] : children(fs, reloaded);
    return workers.length >= WORKERS && !workers.some((pid) => old.has(pid));
  });
};

export const usr2AtOnce = onePool(
  'usr2-0',
  'USR2, timeout 0',
  ['FPM’s own reload with `process_control_timeout` as it is by default. Done when every worker is new.'],
  reload,
  'process_control_timeout = 0',
);

export const usr2Patient = onePool(
  'usr2-10',
  'USR2, timeout 10 s',
  ['The same with `process_control_timeout = 10s`, longer than any request of the mix takes.'],
  reload,
);

export const stopAndStart = onePool(
  'stop-start',
  'stop, start',
  [
    'QUIT with `process_control_timeout = 10s`, and a start once the old pool has gone: kinder than Debian’s unit, which sends TERM.',
  ],
  async (sandbox, mark) => {
    mark('stop');
    await endPool(sandbox, 'blue');
    mark('start');
    await startPool(sandbox, 'blue');
  },
);

/** As long as a deploy that waits for the longest request. */
const AS_LONG_MS = 8_500;

export const steady = onePool(
  'none',
  'no deploy (steady)',
  [
    `Where others deploy, ${AS_LONG_MS / 1000} s in which nothing is done: what the machine itself does to the figures.`,
  ],
  async (_, mark) => {
    mark('nothing');
    await pause(AS_LONG_MS);
  },
);
