import { existsSync, linkSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { PoolLife } from '../../src/drivers.js';
import type { Warning } from '../../src/event.js';
import { retiredName } from '../../src/pool/socket-file.js';
import { stopLife } from '../../src/pool/stop.js';
import { isAlive } from '../../src/system/proc.js';
import { elsewhere, fs, isRoot, reason, value, withRig, pidOf } from './rig.js';
import type { Rig } from './rig.js';

const STATUS = 'pm.status_path = /s\npm.status_listen = DIR/st-${SWAP_POOL_SLOT}.sock';

async function stopping(rig: Rig, life: PoolLife): Promise<{ signal: string | null; told: Warning[] }> {
  const told: Warning[] = [];
  const stopped = value(await rig.pool.stop('blue', life, (warning) => told.push(warning)));
  return { signal: stopped.signal, told };
}

const clean = (rig: Rig): void => {
  expect(rig.processes()).toEqual([]);
  expect(
    readdirSync(rig.folder, { withFileTypes: true }).filter(
      (each) => each.isSocket() || each.name.endsWith('.pid'),
    ),
  ).toEqual([]);
  expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'stopped', warnings: [] });
};

describe('a stop', () => {
  it('needs-QUIT-alone-when-nothing-is-under-way', () =>
    withRig({ pool: STATUS }, async (rig) => {
      const life = await rig.start();
      await rig.pool.activity('blue', life);
      expect(await stopping(rig, life)).toEqual({ signal: 'SIGQUIT', told: [] });
      clean(rig);
      // idempotent: there is nobody left to be told
      expect(await stopping(rig, life)).toEqual({ signal: null, told: [] });
    }));

  it('lets-a-request-finish-within-process_control_timeout', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      const asked = rig.ask('held');
      await rig.until(() => value(rig.pool.observe('blue')).connections.accepted === 1);
      const stopped = stopping(rig, life);
      rig.release();
      expect(await stopped).toEqual({ signal: 'SIGQUIT', told: [] });
      expect(await asked).toMatchObject({ ok: true });
      clean(rig);
    }));

  it('takes-the-retired-name-away', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      value(rig.pool.retire('blue'));
      expect((await stopping(rig, life)).signal).toBe('SIGQUIT');
      clean(rig);
    }));

  it('escalates-to-TERM-and-says-so', () =>
    withRig({ stop: 2000, global: 'process_control_timeout = 300s' }, async (rig) => {
      const life = await rig.start();
      const asked = rig.ask('held');
      await rig.until(() => value(rig.pool.observe('blue')).connections.accepted === 1);
      const { signal, told } = await stopping(rig, life);
      expect(signal).toBe('SIGTERM');
      expect(told).toMatchObject([{ reason: 'stop-escalates', slot: 'blue', signal: 'SIGTERM' }]);
      expect(await asked).toMatchObject({ ok: false });
      clean(rig);
    }));

  it.each(['0', '60s'])('ends-a-worker-that-ignores-everything-with-process_control_timeout-%s', (timeout) =>
    withRig({ stop: 1500, global: `process_control_timeout = ${timeout}` }, async (rig) => {
      const life = await rig.start();
      const [deaf] = life.workers;
      process.kill(pidOf(deaf), 'SIGSTOP');
      const { signal } = await stopping(rig, life);
      // FPM may be first: with its own KILL, or with its end (the kernel then wakes and hangs up the group)
      if (timeout !== '0') expect(['SIGTERM', 'SIGKILL']).toContain(signal);
      clean(rig);
    }),
  );

  it('ends-a-master-that-is-stopped-and-leaves-no-orphan', () =>
    withRig({ stop: 1500 }, async (rig) => {
      const life = await rig.start();
      process.kill(pidOf(life.master), 'SIGSTOP');
      const { signal, told } = await stopping(rig, life);
      expect(signal).toBe('SIGKILL');
      expect(told.map((each) => each.reason === 'stop-escalates' && each.signal)).toEqual([
        'SIGTERM',
        'SIGKILL',
      ]);
      expect(told.every((each) => each.reason === 'stop-escalates' && each.pids.length === 3)).toBe(true);
      clean(rig);
    }));

  it('ends-workers-that-were-born-after-the-record', () =>
    withRig({ stop: 1500, pool: 'pm = ondemand\npm.max_children = 2' }, async (rig) => {
      const life = await rig.start();
      const asked = rig.ask('held');
      await rig.until(() => value(rig.pool.observe('blue')).connections.accepted === 1);
      process.kill(pidOf(life.master), 'SIGKILL');
      expect((await stopping(rig, life)).signal).not.toBeNull();
      expect(await asked).toMatchObject({ ok: false });
      clean(rig);
    }));

  it('never-signals-a-process-that-only-has-the-pid', () =>
    withRig({ stop: 100 }, async (rig) => {
      const life = await rig.start();
      const reborn = (each: { pid: number; start: number }) => ({
        boot: fs.bootId,
        pid: each.pid,
        start: each.start - 1,
      });
      if (life.master === null) throw new Error('no master');
      const past: PoolLife = { master: reborn(life.master), workers: life.workers.map(reborn) };
      const told: Warning[] = [];
      const options = {
        slot: 'blue' as const,
        timeout: 100,
        told: (each: Warning) => told.push(each),
        people: () => [],
      };
      expect(await stopLife(fs, past, options)).toEqual({ ok: true, value: { signal: null } });
      const otherBoot = { ...life, master: { ...life.master, boot: 'before' }, workers: [] };
      expect(await stopLife(fs, otherBoot, options)).toEqual({ ok: true, value: { signal: null } });
      expect(isAlive(fs, life.master)).toBe(true);
      expect(told).toEqual([]);
    }));

  it.runIf(isRoot)('says-who-may-not-be-signalled', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      const code = `
        import { stopLife } from './pool/stop.js';
        import { procfs } from './system/proc.js';
        const options = { slot: 'blue', timeout: 100, told: () => undefined, people: () => [] };
        void stopLife(procfs(), JSON.parse(process.argv[2]), options).then((stopped) => process.stdout.write(JSON.stringify(stopped)));`;
      const told = await elsewhere(rig, code, life, [
        '/usr/bin/setpriv',
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
      ]);
      expect(JSON.parse(told)).toMatchObject({ failure: { reason: 'stop-failed', detail: 'EPERM' } });
      expect(value(rig.pool.observe('blue')).state).toBe('running');
    }),
  );
});

describe('a retired socket', () => {
  const reach = (path: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ path }, () => {
        socket.destroy();
        resolve('connected');
      });
      socket.on('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code ?? '?');
      });
    });

  it('is-reached-by-nobody-and-comes-back', () =>
    withRig({}, async (rig) => {
      const path = rig.path('blue.sock');
      await rig.start();
      for (const _ of [1, 2]) expect(reason(rig.pool.retire('blue'))).toBe('ok');
      expect(await reach(path)).toBe('ENOENT');
      expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'running', retired: true, idle: 2 });
      expect(reason(rig.pool.mayStart('blue'))).toBe('slot-alive');
      expect(reason(await rig.pool.sweep('blue'))).toBe('ok');
      for (const _ of [1, 2]) expect(reason(rig.pool.unretire('blue'))).toBe('ok');
      expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'running', retired: false });
      expect(existsSync(retiredName(path))).toBe(false);
      expect(await rig.ask('ok')).toMatchObject({ ok: true });
    }));

  it('still-finishes-what-it-accepted-before', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      const asked = rig.ask('held');
      await rig.until(() => value(rig.pool.load('blue', life)).connections.accepted === 1);
      value(rig.pool.retire('blue'));
      expect(value(rig.pool.load('blue', life))).toEqual({
        connections: { accepted: 1, queued: 0 },
        working: 1,
        requests: 1,
        alive: true,
      });
      rig.release();
      expect(await asked).toMatchObject({ ok: true });
    }));

  it('is-only-ever-the-slots-own', () =>
    withRig({}, async (rig) => {
      writeFileSync(rig.path('blue.sock'), 'precious');
      expect(reason(rig.pool.retire('blue'))).toBe('ok');
      expect(reason(await rig.pool.sweep('blue'))).toBe('ok');
      expect(readFileSync(rig.path('blue.sock'), 'utf8')).toBe('precious');
    }));

  it('never-comes-back-over-a-file-that-stands-there', () =>
    withRig({}, async (rig) => {
      await rig.start();
      value(rig.pool.retire('blue'));
      writeFileSync(rig.path('blue.sock'), 'precious');
      expect(reason(rig.pool.unretire('blue'))).toBe('unobservable');
      expect(readFileSync(rig.path('blue.sock'), 'utf8')).toBe('precious');
    }));

  it('never-comes-back-over-another-socket', () =>
    withRig({}, async (rig) => {
      await rig.start();
      value(rig.pool.retire('blue'));
      const server = createServer().listen(rig.path('elsewhere'));
      await new Promise((done) => server.once('listening', done));
      renameSync(rig.path('elsewhere'), rig.path('blue.sock'));
      expect(reason(rig.pool.unretire('blue'))).toBe('unobservable');
      expect(await reach(retiredName(rig.path('blue.sock')))).toBe('connected');
      await new Promise((done) => server.close(done));
    }));

  it('is-taken-from-one-whose-restore-broke-off-and-left-it-both-names', () =>
    withRig({}, async (rig) => {
      const path = rig.path('blue.sock');
      await rig.start();
      linkSync(path, retiredName(path));
      value(rig.pool.retire('blue'));
      expect(await reach(path)).toBe('ENOENT');
      expect(reason(rig.pool.unretire('blue'))).toBe('ok');
      expect(await reach(path)).toBe('connected');
    }));

  it('of-a-pool-that-is-gone-needs-nothing', () =>
    withRig({}, (rig) => {
      expect([rig.pool.retire('blue'), rig.pool.unretire('blue')].map(reason)).toEqual(['ok', 'ok']);
      return Promise.resolve();
    }));
});
