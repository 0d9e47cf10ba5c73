/**
 * A host with thousands of processes and sockets that are nobody's business: what one look of the drain costs there,
 * and how much slower a deploy is.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { pids } from '../../src/system/proc.js';
import type { Bench } from '../contender.js';
import { waitUntil } from '../../src/system/clock.js';
import { metered, type Used } from '../metered.js';
import { APP, fs, until } from '../stage.js';
import { hundredths, median, tenths, type SmallBench } from '../table.js';
import { deployOver, openServing } from './draining.js';

const PROCESSES = 5_000;
/** Both ends of each connection are one. */
const SOCKETS = 10_000;
const ROUNDS = 9;

export const crowd: SmallBench = {
  name: 'crowd',
  run: async (bench) => {
    const sandbox = await openServing(bench);
    try {
      const empty = await look(bench, sandbox);
      let tableMs = 0;
      const crowded = await amongMany(sandbox, async () => {
        tableMs = await readingTheTable();
        return look(bench, sandbox);
      });
      const mean = ({ drain }: Look): number => drain.cpuMs / drain.waits;
      const row = (name: string, one: Look): (string | number)[] => [
        name,
        one.processes,
        hundredths(mean(one)),
        hundredths((100 * one.drain.cpuMs) / one.drain.ms),
        tenths(one.deployMs),
        tenths(one.cpuMs),
        tenths(one.rss / 1e6),
      ];
      return {
        name: 'crowd',
        title: 'A crowded host',
        columns: [
          'host',
          'processes',
          'CPU ms of a look',
          '% of a core',
          'idle deploy ms',
          'its CPU ms',
          'its peak RSS MB',
        ],
        rows: [row('as it is', empty), row('crowded', crowded)],
        notes: [
          `${PROCESSES.toLocaleString('en-US')} more processes and ${SOCKETS.toLocaleString('en-US')} more unix sockets. A look: what a drain of ten seconds takes, by their number. Most ask only whether a worker that was at work still is; one in two seconds, or fewer, is at nginx, the workers and the kernel’s table of sockets. To read that table alone took ${tenths(tableMs)} ms of CPU here, as any program that reads it needs. Deploys by symlink, medians of ${ROUNDS}.`,
        ],
        targets: [
          {
            what: 'a look of the drain',
            value: hundredths(mean(crowded)),
            limit: 10,
            unit: 'ms of CPU',
            noisy: true,
          },
          {
            what: 'a deploy by that on the empty host',
            value: hundredths(crowded.deployMs / empty.deployMs),
            limit: 1.5,
            unit: 'times',
            noisy: true,
          },
          { what: 'peak RSS there', value: tenths(crowded.rss / 1e6), limit: 80, unit: 'MB', noisy: true },
        ],
      };
    } finally {
      await sandbox.close();
    }
  },
};

interface Look {
  readonly processes: number;
  /** By how much a drain is dearer that is ten seconds longer. */
  readonly drain: Pick<Used, 'ms' | 'cpuMs' | 'waits'>;
  readonly deployMs: number;
  readonly cpuMs: number;
  /** bytes */
  readonly rss: number;
}

async function look(bench: Bench, sandbox: Sandbox): Promise<Look> {
  const short = await deployOver(bench, sandbox, { requests: 1, takes: 2_000 });
  const long = await deployOver(bench, sandbox, { requests: 1, takes: 12_000 });
  const idle = [];
  for (let round = 0; round < ROUNDS; round += 1)
    idle.push(await metered(bench, sandbox, ['deploy', APP, '--quiet']));
  return {
    processes: pids(fs).length,
    drain: {
      ms: long.ms - short.ms,
      cpuMs: long.cpuMs - short.cpuMs,
      waits: long.waits - short.waits,
    },
    deployMs: median(idle.map(({ ms }) => ms)),
    cpuMs: median(idle.map(({ cpuMs }) => cpuMs)),
    rss: Math.max(...idle.map(({ rss }) => rss)),
  };
}

/** CPU of one reading of the kernel's table of unix sockets, ms: now and then, as a drain does it. */
async function readingTheTable(): Promise<number> {
  const spent: number[] = [];
  const read = (): true | undefined => {
    const before = process.cpuUsage();
    readFileSync('/proc/net/unix');
    const { user, system } = process.cpuUsage(before);
    spent.push((user + system) / 1000);
    return spent.length === ROUNDS ? true : undefined;
  };
  await waitUntil(read, { deadline: 60_000, pace: () => 500 });
  return median(spent);
}

/** Does something on a crowded host. The crowd is gone afterwards, whatever happens. */
async function amongMany<T>(sandbox: Sandbox, act: () => Promise<T>): Promise<T> {
  const before = pids(fs).length;
  const sleepers = spawn('/bin/sh', ['-c', SLEEPERS], { detached: true, stdio: 'ignore' });
  const sockets = spawn(process.execPath, ['-e', CONNECTIONS, sandbox.path('crowd.sock')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const end = (): void => {
    endGroup(sleepers);
    sockets.kill('SIGKILL');
  };
  process.once('exit', end);
  try {
    await new Promise((resolve, reject) => {
      sockets.stdout.once('data', resolve);
      sockets.once('exit', () => {
        reject(new Error('so many sockets cannot be had'));
      });
    });
    // threads of the kernel come and go meanwhile
    await until('the crowd', () => pids(fs).length - before >= 0.99 * PROCESSES, 100);
    return await act();
  } finally {
    end();
    process.off('exit', end);
    await until('the end of the crowd', () => pids(fs).length - before < PROCESSES / 10, 100);
  }
}

/** For ten minutes at most. */
const SLEEPERS = `i=0; while [ $i -lt ${PROCESSES} ]; do sleep 600 & i=$((i + 1)); done; wait`;

const CONNECTIONS = `
const net = require('node:net');
const path = process.argv[1];
let held = 0;
let made = 0;
const next = () => { if (made++ < ${SOCKETS / 2}) net.connect(path); };
// one more for each that was accepted: no backlog, whatever the kernel allows, is ever full
const server = net.createServer(() => { next(); if (++held === ${SOCKETS / 2}) console.log('there'); });
server.listen(path, () => { for (let n = 0; n < 50; n++) next(); });
process.stdin.resume().on('end', () => process.exit());
`;

/** It leads a group of its own, which nobody else is in. */
function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // gone already
  }
}
