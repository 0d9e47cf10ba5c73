import { spawn, spawnSync } from 'node:child_process';
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { PoolLife, PoolLoad } from '../../src/drivers.js';
import { children, isAlive } from '../../src/system/proc.js';
import { holds } from '../../src/pool/processes.js';
import { PATIENCE } from '../support/limits.js';
import { FPM, Rig, fs, isRoot, mkdir, reason, value, withRig, pidOf } from './rig.js';

const DYNAMIC =
  'pm = dynamic\npm.max_children = 4\npm.start_servers = 2\npm.min_spare_servers = 1\npm.max_spare_servers = 3';
const NONE = { accepted: 0, queued: 0 };

const load = (rig: Rig, life: PoolLife): PoolLoad => value(rig.pool.load('blue', life));

/** Waits until so many requests are accepted and worked on: a worker wakes before it accepts. */
const served = (rig: Rig, life: PoolLife, count: number): Promise<void> =>
  rig.until(() => {
    const { connections, working } = load(rig, life);
    return connections.accepted === count && working === count;
  });

describe('a slot is what its socket says', () => {
  it('stopped, without a word of warning, before anything ran', () =>
    withRig({}, (rig) => {
      expect(value(rig.pool.observe('blue'))).toEqual({
        slot: 'blue',
        state: 'stopped',
        address: `unix:${rig.path('blue.sock')}`,
        life: null,
        connections: NONE,
        working: 0,
        idle: 0,
        pidfile: 'missing',
        holder: null,
        retired: false,
        lost: false,
        warnings: [],
      });
      return Promise.resolve();
    }));

  it.each([
    ['static', 'pm = static\npm.max_children = 2', 2],
    ['dynamic', DYNAMIC, 2],
    ['ondemand', 'pm = ondemand\npm.max_children = 2', 0],
  ])('running, with %s workers that are idle', (_, pool, workers) =>
    withRig({ pool }, async (rig) => {
      const life = await rig.start();
      await rig.until(() => value(rig.pool.observe('blue')).idle === workers);
      const view = value(rig.pool.observe('blue'));
      expect(view).toMatchObject({
        state: 'running',
        working: 0,
        idle: workers,
        pidfile: 'ok',
        warnings: [],
        life: { master: life.master },
      });
      expect(life.master?.boot).toBe(fs.bootId);
      expect(value(rig.pool.observe('green')).state).toBe('stopped');
    }),
  );

  it('both-slots-run-under-one-title-and-are-told-apart', () =>
    withRig({}, async (rig) => {
      const blue = await rig.start('blue');
      const green = await rig.start('green');
      expect(blue.master).not.toEqual(green.master);
      const other = value(await rig.create());
      expect(value(other.observe('blue')).life?.master).toEqual(blue.master);
      expect(value(other.observe('green')).life?.master).toEqual(green.master);
    }));

  it('the-holder-is-found-without-a-pidfile', () =>
    withRig({ pidfile: '' }, async (rig) => {
      const life = await rig.start();
      const view = value(value(await rig.create()).observe('blue'));
      expect(view).toMatchObject({ state: 'running', pidfile: 'none', life: { master: life.master } });
    }));

  it('a-relative-config-in-the-title-is-still-ours', () =>
    withRig({}, async (rig) => {
      spawnSync(FPM, ['-D', '-y', 'fpm.conf'], {
        cwd: rig.folder,
        env: { SWAP_POOL_SLOT: 'blue' },
        stdio: 'ignore',
      });
      // its title does not hold the folder: the rig finds its workers, and their master by them
      const view = value(rig.pool.observe('blue'));
      expect(view.state).toBe('running');
      expect(view.life?.master).not.toBeNull();
      if (view.life) value(await rig.pool.stop('blue', view.life, () => undefined));
    }));

  it('orphaned after SIGKILL to its master', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      process.kill(pidOf(life.master), 'SIGKILL');
      await rig.until(() => value(rig.pool.observe('blue')).state === 'orphaned');
      const view = value(rig.pool.observe('blue'));
      expect(view).toMatchObject({ life: { master: null }, idle: 2, working: 0, pidfile: 'dead' });
      expect(view.warnings.map((warning) => warning.reason)).toEqual(['pidfile', 'slot-orphaned']);
      expect(await rig.ask('ok')).toMatchObject({ ok: true });
      expect(rig.pool.mayStart('blue')).toMatchObject({
        failure: { reason: 'slot-alive', pids: view.life?.workers.map(({ pid }) => pid) },
      });
      expect(reason(await rig.pool.start('blue'))).toBe('slot-alive');
      // a worker closes its end some time after its answer has been read
      await served(rig, life, 0);
      // their master is nobody's: the recorded life of before still counts them
      expect(load(rig, life)).toEqual({ connections: NONE, working: 0, requests: 0, alive: true });
      if (view.life === null) throw new Error('no life');
      const stopped = await rig.pool.stop('blue', view.life, () => undefined);
      expect(stopped).toEqual({ ok: true, value: { signal: 'SIGQUIT' } });
      expect(value(rig.pool.observe('blue'))).toMatchObject({
        state: 'stopped',
        pidfile: 'missing',
        warnings: [],
      });
    }));

  it.each(['SIGUSR2', 'SIGHUP'] as const)('running-under-a-new-master-after %s', (signal) =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      process.kill(pidOf(life.master), signal);
      await rig.until(() => life.master !== null && !isAlive(fs, life.master));
      await rig.until(() => {
        const { state, idle, pidfile } = value(rig.pool.observe('blue'));
        return state === 'running' && idle === 2 && pidfile === 'ok';
      });
      const view = value(rig.pool.observe('blue'));
      expect(view.life?.master).not.toEqual(life.master);
      // the life that was recorded goes on in it
      expect(load(rig, life)).toEqual({ connections: NONE, working: 0, requests: 0, alive: true });
      expect(value(await rig.pool.stop('blue', life, () => undefined))).toEqual({ signal: 'SIGQUIT' });
      expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'stopped', warnings: [] });
      expect(rig.processes()).toEqual([]);
    }),
  );

  it('orphans-of-a-subreaper-are-orphans-too', () =>
    withRig({}, async (rig) => {
      // systemd --user, tini and docker's init adopt orphans: their parent is not pid 1 then
      const perl = `
my %prctl = (x86_64 => 157, aarch64 => 167);
my $machine = qx(uname -m);
chomp $machine;
syscall($prctl{$machine}, 36, 1, 0, 0, 0) == 0 or die "prctl: $!";
$ENV{SWAP_POOL_SLOT} = 'blue';
system('${FPM}', '-D', '-y', '${rig.path('fpm.conf')}') == 0 or die 'no FPM';
$| = 1;
print "up\n";
<STDIN>;`;
      // of what is on every Debian, perl alone can call prctl
      const reaper = spawn('perl', ['-e', perl], { stdio: ['pipe', 'pipe', 'inherit'] });
      try {
        await new Promise((resolve) => reaper.stdout.once('data', resolve));
        await rig.until(() => value(rig.pool.observe('blue')).idle === 2);
        const life = value(rig.pool.observe('blue')).life;
        process.kill(pidOf(life?.master), 'SIGKILL');
        await rig.until(() => value(rig.pool.observe('blue')).state === 'orphaned');
        const orphans = value(rig.pool.observe('blue')).life?.workers ?? [];
        expect(orphans.map(({ pid }) => children(fs, reaper.pid ?? 0).includes(pid))).toEqual([true, true]);
      } finally {
        for (const pid of rig.processes()) if (pid !== reaper.pid) process.kill(pid, 'SIGKILL');
        reaper.stdin.end();
        reaper.kill('SIGKILL');
      }
    }));

  it('foreign, when another program listens there', () =>
    withRig({}, async (rig) => {
      const server = createServer().listen(rig.path('blue.sock'));
      await new Promise((resolve) => server.once('listening', resolve));
      try {
        const view = value(rig.pool.observe('blue'));
        expect(view).toMatchObject({ state: 'foreign', life: null, holder: { pid: process.pid } });
        expect(rig.pool.mayStart('blue')).toMatchObject({
          failure: { reason: 'slot-foreign', holder: { pid: process.pid } },
        });
        rmSync(rig.path('blue.sock'));
        // no file to be seen, but the kernel knows what the listener was bound to
        expect(reason(await rig.pool.start('blue'))).toBe('slot-foreign');
        expect(reason(await rig.pool.sweep('blue'))).toBe('ok');
      } finally {
        await new Promise((resolve) => server.close(resolve));
      }
      expect(reason(rig.pool.mayStart('blue'))).toBe('ok');
    }));

  it('foreign, when an FPM of another configuration listens there', () =>
    withRig({}, async (rig) => {
      const other = rig.write('other.conf', rig.fpmConfig({ pidfile: 'DIR/other.pid' }));
      expect(rig.startByHand(other)).toBe(0);
      const view = value(rig.pool.observe('blue'));
      expect(view.state).toBe('foreign');
      expect(view.holder).toMatchObject({ command: `php-fpm: master process (${other})` });
      expect(reason(await rig.pool.start('blue'))).toBe('slot-foreign');
    }));

  it('foreign, when two lives share its path, one of them unreachable', () =>
    withRig({ pidfile: '' }, async (rig) => {
      await rig.start();
      rmSync(rig.path('blue.sock'));
      expect(rig.startByHand()).toBe(0);
      expect(value(value(await rig.create()).observe('blue')).state).toBe('foreign');
    }));

  it('stopped-with-a-warning, when nobody listens at a socket file', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      for (const { pid } of [life.master, ...life.workers].flatMap((id) => id ?? []))
        process.kill(pid, 'SIGKILL');
      await rig.until(() => value(rig.pool.observe('blue')).state === 'stale-pidfile');
      expect(value(rig.pool.observe('blue'))).toMatchObject({
        state: 'stale-pidfile',
        pidfile: 'dead',
        warnings: [
          { reason: 'pidfile', state: 'dead' },
          { reason: 'socket-file-stale', path: rig.path('blue.sock') },
        ],
      });
      // both are swept by the next start
      await rig.start();
      expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'running', warnings: [] });
    }));

  it('foreign, when a program that a script left behind has inherited its socket', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      const reply = await rig.ask('background');
      const left = Number(reply.ok ? Buffer.from(reply.value.body).toString() : '0');
      try {
        await rig.until(() => load(rig, life).working === 0);
        // it has inherited the connection as well, and the kernel does not tell it from one that is served
        expect(load(rig, life).connections).toEqual({ accepted: 1, queued: 0 });
        value(await rig.pool.stop('blue', life, () => undefined));
        expect(value(rig.pool.observe('blue'))).toMatchObject({
          state: 'foreign',
          holder: { pid: left, command: 'sleep 600' },
        });
        expect(reason(rig.pool.mayStart('blue'))).toBe('slot-foreign');
      } finally {
        process.kill(left, 'SIGKILL');
      }
      await rig.until(() => value(rig.pool.observe('blue')).state === 'stopped');
      await rig.start();
    }));

  it('a-live-slot-answers-to-/var/run-and-/run-alike', () =>
    withRig({}, async (rig) => {
      const real = mkdir(rig.path('run'));
      spawnSync('ln', ['-s', real, rig.path('var-run')]);
      rig.write('fpm.conf', rig.fpmConfig({ listen: 'DIR/var-run/${SWAP_POOL_SLOT}.sock' }));
      rig.pool = value(await rig.create());
      await rig.start();
      rig.write('fpm.conf', rig.fpmConfig({ listen: 'DIR/run/${SWAP_POOL_SLOT}.sock' }));
      const other = value(await rig.create());
      expect(value(other.observe('blue'))).toMatchObject({ state: 'running', idle: 2 });
      expect(reason(other.mayStart('blue'))).toBe('slot-alive');
    }));

  it('a-master-whose-configuration-was-replaced-is-still-ours', () =>
    withRig({}, async (rig) => {
      await rig.start();
      rig.write('new.conf', `${rig.fpmConfig()}; edited\n`);
      renameSync(rig.path('new.conf'), rig.path('fpm.conf'));
      expect(value(rig.pool.observe('blue')).state).toBe('running');
    }));
});

describe('the pool that was seen stands as it stood', () => {
  const stands = (rig: Rig, life: PoolLife): boolean => rig.pool.stands('blue', life);

  it('until its name is taken away, or leads to somebody else', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      const path = rig.path('blue.sock');
      expect(stands(rig, life)).toBe(true);
      expect(rig.pool.stands('green', life)).toBe(false);
      value(rig.pool.retire('blue'));
      expect(stands(rig, life)).toBe(false);
      value(rig.pool.unretire('blue'));
      expect(stands(rig, life)).toBe(true);
      renameSync(path, rig.path('aside.sock'));
      expect(stands(rig, life)).toBe(false);
      const server = createServer().listen(path);
      await new Promise((resolve) => server.once('listening', resolve));
      expect(stands(rig, life)).toBe(false);
      expect(value(rig.pool.observe('blue')).state).toBe('foreign');
      await new Promise((resolve) => server.close(resolve));
      // a link to the very socket is not its name: whose it is can be changed at any time
      symlinkSync('aside.sock', path);
      expect(stands(rig, life)).toBe(false);
      rmSync(path);
      renameSync(rig.path('aside.sock'), path);
      expect(stands(rig, life)).toBe(true);
    }));

  it('until another life is started over it', () =>
    withRig({ pidfile: '' }, async (rig) => {
      const life = await rig.start();
      rmSync(rig.path('blue.sock'));
      expect(rig.startByHand()).toBe(0);
      expect(stands(rig, life)).toBe(false);
    }));

  it('until its master has gone, though its workers serve on', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      process.kill(pidOf(life.master), 'SIGKILL');
      await rig.until(() => value(rig.pool.observe('blue')).state === 'orphaned');
      expect(stands(rig, life)).toBe(false);
      expect(value(rig.pool.isAlive('blue', life))).toBe(true);
    }));

  it('where it was looked at by others before, too, once it was observed', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      const other = value(await rig.create());
      expect(other.stands('blue', life)).toBe(false);
      expect(value(other.observeBoth().blue).state).toBe('running');
      expect(other.stands('blue', life)).toBe(true);
    }));
});

describe('a drain sees every request that is under way', () => {
  it('accepted, queued and at work', () =>
    withRig(
      { pool: 'pm.status_path = /st\npm.status_listen = DIR/st-${SWAP_POOL_SLOT}.sock' },
      async (rig) => {
        const life = await rig.start();
        expect(load(rig, life)).toEqual({ connections: NONE, working: 0, requests: 0, alive: true });
        const asked = [1, 2, 3, 4].map(() => rig.ask('held'));
        await rig.until(
          () => load(rig, life).connections.accepted === 2 && load(rig, life).connections.queued === 2,
        );
        expect(load(rig, life)).toEqual({
          connections: { accepted: 2, queued: 2 },
          working: 2,
          requests: 4,
          alive: true,
        });
        // workers of the status page are none of the pool's
        await rig.pool.activity('blue', life);
        expect(value(rig.pool.observe('blue'))).toMatchObject({ working: 2, idle: 0 });
        rig.release();
        expect((await Promise.all(asked)).every((reply) => reply.ok)).toBe(true);
        await rig.until(() => load(rig, life).working === 0 && load(rig, life).connections.accepted === 0);
        expect(load(rig, life)).toEqual({ connections: NONE, working: 0, requests: 0, alive: true });
      },
    ));

  it('queued-while-all-workers-are-stopped-in-accept', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      for (const worker of life.workers) process.kill(pidOf(worker), 'SIGSTOP');
      const asked = rig.ask('held');
      await rig.until(() => load(rig, life).connections.queued === 1);
      for (const worker of life.workers) process.kill(pidOf(worker), 'SIGCONT');
      await rig.until(() => load(rig, life).connections.accepted === 1);
      rig.release();
      expect((await asked).ok).toBe(true);
    }));

  it('work-after-fastcgi_finish_request-with-no-connection-left', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      expect(await rig.ask('heldAfterwards')).toMatchObject({ ok: true });
      await rig.until(() => load(rig, life).connections.accepted === 0);
      expect(load(rig, life)).toEqual({ connections: NONE, working: 1, requests: 1, alive: true });
      rig.release();
      await rig.until(() => load(rig, life).working === 0);
    }));

  it.each(['held', 'heldAfterwards'] as const)(
    'of a worker that was told to end once it is done: %s',
    (script) =>
      withRig(
        {
          pool: 'access.log = DIR/access.log\npm.status_path = /st\npm.status_listen = DIR/st-${SWAP_POOL_SLOT}.sock',
        },
        async (rig) => {
          const life = await rig.start();
          await rig.pool.activity('blue', life);
          const asked = rig.ask(script);
          await rig.until(() => load(rig, life).working === 1);
          // USR1 has FPM replace its workers: each lets go of the listener at once, and goes on with what it has
          process.kill(pidOf(life.master), 'SIGUSR1');
          await rig.until(() => life.workers.some((id) => !isAlive(fs, id)));
          const last = life.workers.find((id) => isAlive(fs, id));
          await rig.until(() => !holds(fs, pidOf(last), new Set(life.sockets)));
          // FPM forks no more than it may have, the one that leaves included
          await rig.until(() => value(rig.pool.observe('blue')).idle === 1);
          // the one of the status page is told, too, and ends at once
          await rig.until(() => load(rig, life).working === 1);
          expect(load(rig, life)).toMatchObject({ working: 1, requests: 1 });
          expect(rig.pool.works('blue', 0)).toBe(true);
          rig.release();
          expect((await asked).ok).toBe(true);
          await rig.until(() => load(rig, life).working === 0);
          expect(rig.pool.works('blue', 0)).toBe(false);
        },
      ),
  );

  it('a request is counted once: on its connection, in the queue, or at work after its answer', () =>
    withRig({ pool: 'pm = static\npm.max_children = 3' }, async (rig) => {
      const life = await rig.start();
      expect(await rig.ask('heldAfterwards')).toMatchObject({ ok: true });
      await rig.until(() => load(rig, life).connections.accepted === 0);
      const asked = [1, 2, 3].map(() => rig.ask('held'));
      await rig.until(() => {
        const { connections, working } = load(rig, life);
        return connections.accepted === 2 && connections.queued === 1 && working === 3;
      });
      expect(load(rig, life)).toMatchObject({ connections: { accepted: 2, queued: 1 }, requests: 4 });
      rig.release();
      expect((await Promise.all(asked)).every((reply) => reply.ok)).toBe(true);
      await rig.until(() => load(rig, life).requests === 0);
    }));

  it('workers-born-after-the-record', () =>
    withRig({ pool: 'pm = ondemand\npm.max_children = 3' }, async (rig) => {
      const life = await rig.start();
      expect(life.workers).toEqual([]);
      const asked = rig.ask('held');
      await served(rig, life, 1);
      rig.release();
      await asked;
    }));

  it('orphans-that-were-born-after-the-record', () =>
    withRig({ pool: 'pm = ondemand\npm.max_children = 3' }, async (rig) => {
      const life = await rig.start();
      const asked = rig.ask('held');
      await served(rig, life, 1);
      process.kill(pidOf(life.master), 'SIGKILL');
      await rig.until(() => life.master !== null && !isAlive(fs, life.master));
      expect(load(rig, life)).toMatchObject({ working: 1, alive: true });
      rig.release();
      expect(await asked).toMatchObject({ ok: true });
      value(await rig.pool.stop('blue', life, () => undefined));
      expect(value(rig.pool.observe('blue')).state).toBe('stopped');
    }));

  it('the-pools-of-the-same-master', () =>
    withRig(
      {
        pool: `[second]\n${isRoot ? 'user = www-data\n' : ''}listen = DIR/second-\${SWAP_POOL_SLOT}.sock\npm = static\npm.max_children = 1`,
        slot: { section: 'second' },
      },
      async (rig) => {
        const life = value(await rig.pool.start('blue'));
        expect(life.workers).toHaveLength(3);
        const first = rig.pool.slots.blue.others[0];
        if (first?.kind !== 'unix') throw new Error('no such pool');
        const { request, scriptParams } = await import('../../src/fastcgi/client.js');
        const params = scriptParams({ file: rig.path('held.php'), uri: '/held.php' });
        const asked = request({ address: first.path, params, timeoutMs: PATIENCE });
        await served(rig, life, 1);
        expect(load(rig, life).connections).toEqual({ accepted: 1, queued: 0 });
        rig.release();
        expect(await asked).toMatchObject({ ok: true });
      },
    ));

  it('orphans-of-its-other-pools-and-of-its-status-page', () =>
    withRig(
      {
        pool: `pm.status_path = /status
pm.status_listen = DIR/\${SWAP_POOL_SLOT}-status.sock
[second]
${isRoot ? 'user = www-data' : ''}
listen = DIR/second-\${SWAP_POOL_SLOT}.sock
pm = static
pm.max_children = 1`,
        slot: { section: 'second' },
      },
      async (rig) => {
        const { blue } = rig.pool.slots;
        const [status] = blue.statusListens;
        if (status?.kind !== 'unix') throw new Error('no status socket');
        const { request } = await import('../../src/fastcgi/client.js');
        const params = { REQUEST_METHOD: 'GET', SCRIPT_NAME: '/status', SCRIPT_FILENAME: '/status' };
        for (const recorded of ['with its master', 'without it']) {
          const before = value(await rig.pool.start('blue'));
          // its workers are born when they are asked first, and without a master nobody ends them
          await request({ address: status.path, params, timeoutMs: PATIENCE });
          process.kill(pidOf(before.master), 'SIGKILL');
          await rig.until(() => value(rig.pool.observe('blue')).state === 'orphaned');
          const orphaned = value(rig.pool.observe('blue')).life;
          const life = recorded === 'without it' ? orphaned : before;
          if (life === null) throw new Error('no life');
          expect(load(rig, life)).toEqual({ connections: NONE, working: 0, requests: 0, alive: true });
          value(await rig.pool.stop('blue', life, () => undefined));
          expect(rig.processes(), recorded).toEqual([]);
          expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'stopped', pidfile: 'missing' });
          value(rig.pool.mayStart('blue'));
        }
      },
    ));

  it('and-nobody-when-all-are-gone', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      value(await rig.pool.stop('blue', life, () => undefined));
      expect(load(rig, life)).toEqual({ connections: NONE, working: 0, requests: 0, alive: false });
      expect(life.master !== null && isAlive(fs, life.master)).toBe(false);
    }));

  it('nobody-of-a-pool-that-was-started-in-its-slot-since', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      value(await rig.pool.stop('blue', life, () => undefined));
      const later = await rig.start();
      const before = { boot: 'before', pid: 1, start: 1 };
      for (const gone of [life, { ...life, master: null }, { master: before, workers: [before] }]) {
        expect(load(rig, gone)).toEqual({ connections: NONE, working: 0, requests: 0, alive: false });
        expect(value(await rig.pool.stop('blue', gone, () => undefined))).toEqual({ signal: null });
      }
      expect(load(rig, later)).toMatchObject({ alive: true });
      expect(value(rig.pool.observe('blue'))).toMatchObject({
        state: 'running',
        life: { master: later.master },
      });
    }));
});

describe('pools on TCP', () => {
  // below the range from which the kernel takes ports for clients
  const port = 20_000 + (process.pid % 10_000);
  it.each([
    ['HOST:PORT', '127.0.0.1:', `127.0.0.1:${String(port)}`],
    ['PORT', '', `127.0.0.1:${String(port)}`],
    ['[V6]:PORT', '[::1]:', `[::1]:${String(port)}`],
    ['localhost:PORT', 'localhost:', null],
  ])('%s', (_, host, address) =>
    withRig({ listen: `${host}\${PORT}`, slot: { env: { PORT: String(port) } }, pidfile: '' }, () =>
      Promise.resolve(),
    ).then(
      () => expect.unreachable('one port for both slots'),
      (error: unknown) => {
        expect(String(error)).toContain('slots-share');
        return withTcp(host, port, address);
      },
    ),
  );
});

async function withTcp(host: string, port: number, address: string | null): Promise<void> {
  const rig = await Rig.open();
  try {
    const { pool } = rig.config;
    const at = (each: number) => ({ ...pool.blue, env: { PORT: String(each) } });
    writeFileSync(rig.path('fpm.conf'), rig.fpmConfig({ listen: `${host}\${PORT}` }));
    rig.config = { ...rig.config, pool: { blue: at(port), green: at(port + 1) } };
    rig.pool = value(await rig.create());
    if (address !== null) expect(rig.pool.address('blue')).toBe(address);
    const life = await rig.start();
    expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'running', idle: 2, connections: NONE });
    expect(value(rig.pool.observe('green')).state).toBe('stopped');
    // others may share a port, and no file tells
    expect(rig.pool.stands('blue', life)).toBe(false);
    const asked = [1, 2, 3].map(() => rig.ask('held'));
    await rig.until(() => {
      const { accepted, queued } = load(rig, life).connections;
      return accepted === 2 && queued === 1;
    });
    expect(load(rig, life)).toEqual({
      connections: { accepted: 2, queued: 1 },
      working: 2,
      requests: 3,
      alive: true,
    });
    rig.release();
    expect((await Promise.all(asked)).every((reply) => reply.ok)).toBe(true);
    expect(reason(rig.pool.retire('blue'))).toBe('ok');
    expect(reason(rig.pool.mayStart('blue'))).toBe('slot-alive');
    value(await rig.pool.stop('blue', life, () => undefined));
    expect(value(rig.pool.observe('blue')).state).toBe('stopped');
  } finally {
    await rig.close();
  }
}
