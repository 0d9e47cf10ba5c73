/** `pool reload` and `pool reopen-logs`: what is sent, what is seen, and what is not done. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LoadPlan } from '../../src/demo/load.js';
import { findPrograms } from '../../src/demo/programs.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { Slot } from '../../src/event.js';
import { children, identify, openPaths, procfs, title } from '../../src/system/proc.js';
import { socketsAt } from '../../src/system/sockets.js';
import { deathAt, reasonOf } from '../support/deaths.js';
import type { Run } from '../support/command.js';
import { withRig, type Rig } from '../support/rig.js';

const fs = procfs();
const SITE = { workers: 6 };
const TRAFFIC: LoadPlan = {
  fast: { rate: 20 },
  slow: { every: 400, takes: 700 },
  post: { clients: 1, takes: 5 },
  finish: { every: 500, takes: 300 },
};

const warned = (run: Run): unknown[] => run.events.flatMap(({ warning }) => reasonOf(warning) ?? []);
const inodesOf = (rig: Rig, slot: Slot): readonly number[] =>
  socketsAt(fs, { kind: 'unix', path: rig.site().address[slot].slice(5) }).listeners;
/** How often a pool has come up, as its log has it. */
const comings = (rig: Rig, slot: Slot): number =>
  rig.read('log', `demo-${slot}.fpm.log`).split('ready to handle connections').length - 1;
const workersOf = (rig: Rig, slot: Slot): number[] => {
  const master = rig.sandbox.poolMaster(slot);
  return master === null ? [] : children(fs, master).filter((pid) => title(fs, pid) === 'php-fpm: pool demo');
};
const edit = (rig: Rig, from: string | RegExp, to: string): void => {
  const path = rig.site().fpmConfig.blue;
  writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
};

describe('reload', () => {
  it.each(['reload', 'force-reload'])('%s: another master, the same socket, nobody cut', async (verb) => {
    await withRig({ site: SITE }, async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      const [master, sockets] = [rig.sandbox.poolMaster('blue'), inodesOf(rig, 'blue')];
      edit(rig, 'max_children = 6', 'max_children = 8');
      await rig.until(() => load.underWay('slow') > 0);
      const run = await rig.run(['pool', verb, 'blue', 'demo']);
      expect(run).toMatchObject({
        exit: 0,
        result: { command: 'pool', verb: 'reload', slot: 'blue', outcome: 'done', app: 'demo' },
      });
      expect(run.events.filter(({ type }) => type === 'step-done').map(({ step }) => step)).toEqual([
        'reload',
        'probe',
      ]);
      expect(rig.sandbox.poolMaster('blue')).not.toBe(master);
      expect(inodesOf(rig, 'blue')).toEqual(sockets);
      expect(workersOf(rig, 'blue')).toHaveLength(8);
      expect(comings(rig, 'blue')).toBe(2);
    });
  });

  it('of a broken configuration is refused with its file and line, and the pool is not touched', async () => {
    await withRig({ site: SITE }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      const before = [rig.sandbox.poolMaster('blue'), ...workersOf(rig, 'blue')];
      const log = rig.read('log', 'demo-blue.fpm.log');
      const { fpmConfig } = rig.site();
      const line = 1 + readFileSync(fpmConfig.blue, 'utf8').split('\n').indexOf('pm = static');
      edit(rig, 'pm = static', 'pm = statics');
      for (const verb of ['reload', 'restart']) {
        const run = await rig.run(['pool', verb, 'blue', '--yes']);
        expect(run).toMatchObject({
          exit: 1,
          result: { outcome: 'refused', failure: { reason: 'pool-config-invalid' } },
        });
        expect(run.stderr).toContain(`[${fpmConfig.blue}:${line}]`);
      }
      edit(rig, 'pm = statics', 'pm = static');
      edit(rig, /error_log = .*/, 'error_log = /nonexistent/folder/log');
      const homeless = await rig.run(['pool', 'reload', 'blue']);
      expect(homeless).toMatchObject({
        exit: 1,
        result: { failure: { reason: 'pool-config-invalid' } },
      });
      // which finds nothing wrong
      expect(homeless.stderr).toContain('Create the folder');
      expect(homeless.stderr).not.toContain('by hand');
      expect([rig.sandbox.poolMaster('blue'), ...workersOf(rig, 'blue')]).toEqual(before);
      // php-fpm -t writes into the log that it is asked about
      expect(rig.read('log', 'demo-blue.fpm.log')).toBe(log);
    });
  });

  it('goes by what the master runs with, whatever its file says by now', async () => {
    await withRig({ site: { ...SITE, fpmGlobal: 'process_control_timeout = 0' } }, async (rig) => {
      await rig.deployed();
      const quiet = await rig.run(['pool', 'reload', 'blue']);
      expect(quiet).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(warned(quiet)).not.toContain('reload-cuts');
      rig.allow.cut = () => true;
      const load = await rig.load({ slow: { every: 200, takes: 3_000 } });
      await rig.until(() => load.underWay('slow') > 2);
      edit(rig, 'process_control_timeout = 0', 'process_control_timeout = 10s');
      const run = await rig.run(['pool', 'reload', 'blue']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(run.events).toContainEqual(
        expect.objectContaining({
          warning: expect.objectContaining({
            reason: 'reload-cuts',
            hint: expect.stringContaining('swap-pool deploy demo') as unknown,
          }) as unknown,
        }),
      );
      expect((await load.stop()).some(({ cut }) => cut !== null)).toBe(true);
      // it runs with those 10 s now
      edit(rig, 'process_control_timeout = 10s', 'process_control_timeout = 0');
      const held = await rig.occupy();
      const patient = rig.spawn(['pool', 'reload', 'blue']);
      await rig.until(() => workersOf(rig, 'blue').length === 1);
      expect(await held.release()).toEqual([held.id]);
      expect(warned(await patient.end)).not.toContain('reload-cuts');
    });
  });

  it('of a master of which it cannot be told says what it may cut', async () => {
    await withRig({ site: SITE }, async (rig) => {
      await rig.deployed();
      // the run is another one, and its files are not older than it
      const log = comings(rig, 'blue');
      edit(rig, 'max_children = 6', 'max_children = 5');
      await rig.signalPool('blue', 'SIGUSR2', { gone: false });
      await rig.until(() => comings(rig, 'blue') > log && workersOf(rig, 'blue').length === 5);
      const held = await rig.occupy();
      const run = rig.spawn(['pool', 'reload', 'blue']);
      await rig.until(() => workersOf(rig, 'blue').length === 1);
      expect(await held.release()).toEqual([held.id]);
      expect((await run.end).events).toContainEqual(
        expect.objectContaining({
          warning: expect.objectContaining({ reason: 'reload-cuts', unsure: true }) as unknown,
        }),
      );
    });
  });

  it('that somebody else has begun is waited for, not doubled', async () => {
    await withRig({ site: SITE }, async (rig) => {
      await rig.deployed();
      const held = await rig.occupy();
      await rig.signalPool('blue', 'SIGUSR2', { gone: false });
      // the idle ones go at once, the busy one stays
      await rig.until(() => workersOf(rig, 'blue').length === 1);
      const joins = rig.spawn(['pool', 'reload', 'blue']);
      await rig.until(() => joins.stdout.includes('reload-joined'));
      expect(await held.release()).toEqual([held.id]);
      expect(await joins.end).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(comings(rig, 'blue')).toBe(2);
      expect(workersOf(rig, 'blue')).toHaveLength(6);
    });
  });

  it('joins one that comes to no end, and says that nothing was proven; reopen-logs is refused', async () => {
    const site = {
      ...SITE,
      fpmGlobal: 'process_control_timeout = 1s',
      yaml: 'stop: { timeout: 1s }',
    };
    await withRig({ site }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({ exit: 0 });
      const master = rig.sandbox.poolMaster('green') ?? 0;
      // its workers were told to end, and it does not see that they have
      process.kill(master, 'SIGSTOP');
      try {
        for (const pid of workersOf(rig, 'green')) process.kill(pid, 'SIGQUIT');
        await rig.until(() => workersOf(rig, 'green').length === 0);
        const reopened = await rig.run(['pool', 'reopen-logs', 'green']);
        expect(reopened).toMatchObject({
          exit: 1,
          result: { outcome: 'refused', failure: { reason: 'pool-in-transition' } },
        });
        expect(reopened.stderr).toContain('was told to stop or to reload, and comes to no end');
        expect(await rig.run(['pool', 'reload', 'green'])).toMatchObject({
          exit: 4,
          result: { outcome: 'stranded', failure: { reason: 'pool-reload-unproven' } },
        });
      } finally {
        process.kill(master, 'SIGCONT');
      }
      // nobody had told it anything
      await rig.until(() => workersOf(rig, 'green').length === SITE.workers);
      expect([rig.sandbox.poolMaster('green'), comings(rig, 'green')]).toEqual([master, 1]);
      expect(await rig.run(['pool', 'reload', 'green'])).toMatchObject({ exit: 0 });
      expect(await rig.run(['pool', 'stop', 'green'])).toMatchObject({ exit: 0 });
    });
  });

  it('twice at once: one is locked out, or waits for its turn', async () => {
    await withRig({ site: SITE }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      const both = await Promise.all([
        rig.run(['pool', 'reload', 'blue']),
        rig.run(['pool', 'reload', 'blue']),
      ]);
      const exits = both.map(({ exit }) => exit).sort();
      // on a slow day they do not meet
      expect([
        [0, 0],
        [0, 3],
      ]).toContainEqual(exits);
      const patient = ['pool', 'reload', 'blue', '--wait-lock', '30s'];
      const turns = await Promise.all([rig.run(patient), rig.run(patient)]);
      expect(turns.map(({ exit }) => exit)).toEqual([0, 0]);
    });
  });

  it('into a pool that does not answer rightly says so, and leaves it running', async () => {
    const site = { ...SITE, yaml: 'stop: { timeout: 5s }' };
    await withRig({ site }, async (rig) => {
      await rig.deployed();
      writeFileSync(
        rig.site().config,
        rig.read('config', 'demo.yaml').replace('probe:', 'probe:\n  timeout: 500ms'),
      );
      rig.breakSlot('blue', 'status');
      const run = await rig.run(['pool', 'reload', 'blue']);
      expect(run).toMatchObject({ exit: 1, result: { failure: { reason: 'probe-failed' } } });
      expect(run.result['outcome']).toBeUndefined();
      rig.breakSlot('blue', null);
      expect(await rig.answering()).toBe('blue');
    });
  });

  it('that the pool does not survive is told as what it is', async () => {
    await withRig({ site: SITE }, async (rig) => {
      await rig.deployed();
      mkdirSync(rig.sandbox.path('log', 'folder'));
      // neither -t nor a look at the folder can know
      edit(rig, /error_log = .*/, `error_log = ${rig.sandbox.path('log', 'folder')}`);
      const run = await rig.run(['pool', 'reload', 'blue']);
      expect(run).toMatchObject({
        exit: 4,
        result: { outcome: 'stranded', failure: { reason: 'pool-died' } },
      });
      edit(rig, /error_log = .*/, `error_log = ${rig.sandbox.path('log', 'demo-blue.fpm.log')}`);
      expect(await rig.run(['pool', 'start', 'blue'])).toMatchObject({
        exit: 0,
        result: { outcome: 'done' },
      });
      expect(await rig.answering()).toBe('blue');
    });
  });

  it('of a master in the foreground, which keeps its pid', async () => {
    const programs = findPrograms();
    if (!programs.ok) throw new Error('no php-fpm');
    const { fpm } = programs.value;
    await withRig({ site: SITE }, async (rig) => {
      const child = spawn(fpm, ['-F', '-y', rig.site().fpmConfig.blue], {
        cwd: '/',
        stdio: 'ignore',
        env: { PATH: '/usr/bin:/bin', SWAP_POOL_SLOT: 'blue' },
      });
      await rig.until(() => workersOf(rig, 'blue').length === 6);
      const old = workersOf(rig, 'blue');
      const before = identify(fs, child.pid ?? -1);
      await rig.load(TRAFFIC);
      const run = await rig.run(['pool', 'reload', 'blue']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(identify(fs, child.pid ?? -1)).toEqual(before);
      expect(workersOf(rig, 'blue').filter((pid) => old.includes(pid))).toEqual([]);
      expect(comings(rig, 'blue')).toBe(2);
    });
  });

  it.each(['dynamic', 'ondemand'])('of pm = %s', async (pm) => {
    await withRig(
      { site: SITE, prepare: (sandbox) => dynamic(sandbox.site().fpmConfig.blue, pm) },
      async (rig) => {
        await rig.deployed();
        await rig.load({ fast: { rate: 20 } });
        for (let turn = 0; turn < 2; turn += 1) {
          const run = await rig.run(['pool', 'reload', 'blue']);
          expect(run).toMatchObject({ exit: 0, result: { outcome: 'done' } });
          expect(warned(run)).not.toContain('reload-joined');
        }
      },
    );
  });

  it('of a pool that does not run, or has lost its master, is refused', async () => {
    await withRig({ site: SITE }, async (rig) => {
      rig.allow.orphans = true;
      await rig.deployed();
      for (const verb of ['reload', 'reopen-logs']) {
        expect(await rig.run(['pool', verb, 'green'])).toMatchObject({
          exit: 1,
          result: { outcome: 'refused', failure: { reason: 'pool-not-running' } },
        });
      }
      await rig.signalPool('blue', 'SIGKILL');
      for (const verb of ['reload', 'reopen-logs', 'start']) {
        expect(await rig.run(['pool', verb, 'blue'])).toMatchObject({
          exit: 1,
          result: { outcome: 'refused', failure: { reason: 'pool-orphaned' } },
        });
      }
      expect(await rig.answering()).toBe('blue');
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'green' } });
    });
  });

  it('killed right after its signal: the next one waits and reloads no pool twice at a time', async () => {
    await withRig({ site: SITE }, async (rig) => {
      await rig.deployed();
      const load = await rig.load({ slow: { every: 500, takes: 900 } });
      await rig.until(() => load.underWay('slow') > 1);
      const told: string[] = [];
      for (let change = 1; ; change += 1) {
        const { words } = await deathAt({ when: 'act', record: 0, change }, (dieAt) =>
          rig.run(['pool', 'reload', 'blue'], { dieAt }),
        );
        const run = await rig.run(['pool', 'reload', 'blue']);
        expect(run, run.stdout).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        if (words === null) break;
        told.push(words.split(' ')[0] ?? '');
      }
      expect(told).toContain('SIGUSR2');
      expect(await rig.disorder()).toEqual([]);
    });
  });
});

describe('reopen-logs', () => {
  const opens = (pid: number, path: string): boolean =>
    openPaths(fs, pid)?.some((one) => {
      try {
        return statSync(one).ino === statSync(path).ino;
      } catch {
        return false;
      }
    }) === true;

  it('lets go of renamed logs, in workers too, and cuts nobody', async () => {
    await withRig({ site: SITE, prepare: withAccessLog }, async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      await rig.until(() => load.underWay('slow') > 0);
      const logs = ['demo-blue.fpm.log', 'demo-access.log'].map((name) => rig.sandbox.path('log', name));
      for (const log of logs) renameSync(log, `${log}.1`);
      const master = rig.sandbox.poolMaster('blue') ?? -1;
      const run = await rig.run(['pool', 'reopen-logs', 'blue']);
      expect(run).toMatchObject({ exit: 0, result: { verb: 'reopen-logs', outcome: 'done' } });
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      for (const log of logs) expect(opens(master, log)).toBe(true);
      await rig.until(() => workersOf(rig, 'blue').every((pid) => opens(pid, logs[1] ?? '')));
    });
  });

  it('lets a reload after it be a reload, though it has told every worker to end', async () => {
    await withRig({ site: { ...SITE, workers: 2 }, prepare: withAccessLog }, async (rig) => {
      await rig.deployed();
      const load = await rig.load({ slow: { every: 200, takes: 1_500 } });
      await rig.until(() => load.underWay('slow') > 3);
      void load.stop();
      await rig.signalPool('blue', 'SIGUSR1', { gone: false });
      await rig.until(() => rig.read('log', 'demo-blue.fpm.log').includes('access log file re-opened'));
      expect(await rig.run(['pool', 'reload', 'blue'])).toMatchObject({
        exit: 0,
        result: { outcome: 'done' },
      });
      expect(comings(rig, 'blue')).toBe(2);
    });
  });

  it('that cannot be opened is a failure, not a signal that was sent', async () => {
    await withRig({ site: { ...SITE, yaml: 'stop: { timeout: 1s }' } }, async (rig) => {
      await rig.deployed();
      await rig.load({ fast: { rate: 20 } });
      const log = rig.sandbox.path('log', 'demo-blue.fpm.log');
      renameSync(log, `${log}.1`);
      mkdirSync(log);
      const run = await rig.run(['pool', 'reopen-logs', 'blue']);
      expect(run).toMatchObject({ exit: 1, result: { failure: { reason: 'pool-logs-not-reopened' } } });
      rmSync(log, { recursive: true });
      expect(await rig.run(['pool', 'reopen-logs', 'blue'])).toMatchObject({ exit: 0 });
      expect(existsSync(log)).toBe(true);
    });
  });
});

function dynamic(path: string, pm: string): void {
  const more = pm === 'dynamic' ? 'pm.min_spare_servers = 1\npm.max_spare_servers = 3\n' : '';
  writeFileSync(path, readFileSync(path, 'utf8').replace('pm = static', `pm = ${pm}\n${more}`));
}

function withAccessLog(sandbox: Sandbox): void {
  const { blue } = sandbox.site().fpmConfig;
  const line = `access.log = ${sandbox.path('log', 'demo-access.log')}`;
  writeFileSync(blue, `${readFileSync(blue, 'utf8')}\n${line}\n`);
}
