import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { isStarting } from '../../src/pool/start.js';
import { wallClock } from '../../src/system/clock.js';
import { identify, readStat, signalProcess, workingDirectory } from '../../src/system/proc.js';
import { FPM, elsewhere, fs, isRoot, mkdir, reason, value, withRig, pidOf } from './rig.js';
import type { Rig } from './rig.js';

const descriptors = (pid: number): string[] =>
  readdirSync(`/proc/${String(pid)}/fd`).map((fd) => readlinkSync(`/proc/${String(pid)}/fd/${fd}`));

const START = `
  import { createPool } from './pool/driver.js';
  import { procfs } from './system/proc.js';
  void (async () => {
    const pool = await createPool({ fs: procfs(), ...JSON.parse(process.argv[2]) });
    process.stdout.write(JSON.stringify(pool.ok ? await pool.value.start('blue') : pool));
  })();`;

describe('a pool that was started', () => {
  it.each(['acme-php-fpm', 'phpfpm'])(
    'by a link to a program of another name, without a pidfile: %s',
    (name) =>
      withRig({ pidfile: '' }, async (rig) => {
        copyFileSync(FPM, rig.path(name));
        symlinkSync(name, rig.path('php-fpm'));
        const slot = { ...rig.config.pool.blue, binary: rig.path('php-fpm') };
        rig.pool = value(await rig.create({ ...rig.config, pool: { blue: slot, green: slot } }));
        const { master } = await rig.start();
        expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'running', life: { master } });
        // as whoever starts it by hand, or in a hurry, would find it
        expect(reason(rig.pool.mayStart('blue'))).toBe('slot-alive');
      }),
  );

  it('belongs-to-nobody-and-inherits-nothing', () =>
    withRig(
      { pool: 'clear_env = no', global: 'daemonize = no', slot: { env: { APP_ENV: 'prod' } } },
      async (rig) => {
        process.env['SECRET_OF_THE_CALLER'] = 'x';
        const { master } = await rig.start();
        delete process.env['SECRET_OF_THE_CALLER'];
        const pid = master?.pid ?? 0;
        expect(readStat(fs, pid)?.ppid).not.toBe(process.pid);
        expect(workingDirectory(fs, pid)).toBe('/');
        const session = (each: number | 'self'): string | undefined =>
          readFileSync(`/proc/${String(each)}/stat`, 'latin1')
            .replace(/^.*\) /s, '')
            .split(' ')[3];
        expect(session(pid)).toBe(String(pid));
        const reply = await rig.ask('env');
        const told = JSON.parse(reply.ok ? Buffer.from(reply.value.body).toString() : '{}') as {
          env: Record<string, string>;
        };
        expect(told.env).toMatchObject({ APP_ENV: 'prod', SWAP_POOL_SLOT: 'blue', LANG: 'C.UTF-8' });
        expect(told.env['PATH']).toMatch(/^\/usr\/local\/sbin/);
        expect(told.env).not.toHaveProperty('SECRET_OF_THE_CALLER');
        expect(told.env).not.toHaveProperty('HOME_OF_NOBODY');
        expect(rig.pool.startCommand('blue').slice(-4)).toEqual([FPM, '-D', '-y', rig.path('fpm.conf')]);
      },
    ));

  it('outlives-its-caller-and-does-not-hold-its-descriptor-200', () =>
    withRig({}, async (rig) => {
      const lock = rig.write('lock', '');
      const input = { config: rig.config, folder: rig.path('state'), root: isRoot };
      const told = await elsewhere(rig, START, input, [
        '/bin/bash',
        '-c',
        `exec 200>"${lock}"; exec "$0" "$@"`,
      ]);
      expect(JSON.parse(told)).toMatchObject({ ok: true });
      const { life } = value(rig.pool.observe('blue'));
      const everyone = [life?.master, ...(life?.workers ?? [])].flatMap((id) => id?.pid ?? []);
      expect(everyone).toHaveLength(3);
      for (const pid of everyone) {
        expect(descriptors(pid)).not.toContain(lock);
        expect(identify(fs, pid)).not.toBeNull();
      }
      expect(await rig.ask('ok')).toMatchObject({ ok: true });
    }));

  it('says-so-with-log_level-error', () =>
    withRig({ global: 'log_level = error' }, async (rig) => {
      await rig.start();
      expect(await rig.pool.log('blue')).toBe('');
      expect(value(rig.pool.observe('blue')).state).toBe('running');
    }));

  it('has-its-own-words-in-its-log-and-no-older-ones', () =>
    withRig({}, async (rig) => {
      rig.write('fpm.log', 'of yesterday\n');
      const life = await rig.start();
      expect(await rig.pool.log('blue')).toMatch(/fpm is running, pid/);
      expect(await rig.pool.log('blue')).not.toContain('yesterday');
      expect(value(rig.pool.observe('blue')).life?.master).toEqual(life.master);
    }));

  it('is-never-started-twice', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      const address = `unix:${rig.path('blue.sock')}`;
      const alive = { reason: 'slot-alive', slot: 'blue', address, pids: [life.master?.pid] };
      expect(await rig.pool.start('blue')).toEqual({ ok: false, failure: alive });
      rmSync(rig.path('blue.sock'));
      rmSync(rig.path('blue.pid'));
      expect(await rig.pool.start('blue')).toEqual({ ok: false, failure: alive });
      expect(value(rig.pool.observe('blue')).life?.master).toEqual(life.master);
    }));

  it('is-not-started-beside-a-master-that-is-on-its-way-out', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      process.kill(pidOf(life.master), 'SIGSTOP');
      for (const { pid } of life.workers) process.kill(pid, 'SIGKILL');
      expect(reason(rig.pool.mayStart('blue'))).toBe('slot-alive');
    }));

  it('is-not-started-over-somebody-at-its-status-socket', () =>
    withRig(
      { pool: 'pm.status_path = /s\npm.status_listen = DIR/st-${SWAP_POOL_SLOT}.sock' },
      async (rig) => {
        const server = createServer().listen(rig.path('st-blue.sock'));
        await new Promise((done) => server.once('listening', done));
        const refused = {
          reason: 'slot-foreign',
          address: `unix:${rig.path('st-blue.sock')}`,
          holder: { pid: process.pid },
        };
        expect(await rig.pool.start('blue')).toMatchObject({ failure: refused });
        await new Promise((done) => server.close(done));
        await rig.start();
      },
    ));
});

describe('a start that fails leaves nothing behind', () => {
  const clean = (rig: Rig): void => {
    expect(rig.processes()).toEqual([]);
    expect(readdirSync(rig.folder).filter((name) => /\.(sock|pid)$/.test(name))).toEqual([]);
    expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'stopped', warnings: [] });
  };

  it('on its second socket, with the first bound already', () =>
    withRig(
      { pool: 'pm.status_path = /s\npm.status_listen = DIR/st-${SWAP_POOL_SLOT}.sock' },
      async (rig) => {
        mkdir(rig.path('st-blue.sock'));
        const failed = await rig.pool.start('blue');
        expect(failed).toMatchObject({
          failure: {
            reason: 'start-failed',
            status: 70,
            log: expect.stringContaining('st-blue.sock') as unknown,
          },
        });
        // FPM says it on its stderr and in its log: once is enough
        if (!failed.ok && failed.failure.reason === 'start-failed')
          expect(failed.failure.log.match(/unable to bind/g)).toHaveLength(1);
        rmSync(rig.path('st-blue.sock'), { recursive: true });
        clean(rig);
      },
    ));

  it('when what it forked is still on its way out', () =>
    withRig({}, async (rig) => {
      // as FPM is when its second socket cannot be bound: the first process has ended, its child goes after it
      const dying = rig.write(
        'dying',
        `#!/bin/sh
[ "$1" = -tt ] && exec ${FPM} "$@"
perl -MIO::Socket::UNIX -e '
  my $socket = IO::Socket::UNIX->new(Local => "${rig.path('blue.sock')}", Listen => 1) or die;
  exit 70 if fork;
  select undef, undef, undef, 0.3;
'
exit 70
`,
      );
      chmodSync(dying, 0o755);
      const slot = { ...rig.config.pool.blue, binary: dying };
      const pool = value(await rig.create({ ...rig.config, pool: { blue: slot, green: slot } }));
      expect(await pool.start('blue')).toMatchObject({ failure: { reason: 'start-failed', status: 70 } });
      clean(rig);
    }));

  it('without the folder of its socket', () =>
    withRig({ listen: 'DIR/none/${SWAP_POOL_SLOT}.sock' }, async (rig) => {
      expect(await rig.pool.start('blue')).toMatchObject({
        failure: {
          reason: 'start-failed',
          slot: 'blue',
          status: null,
          command: rig.pool.startCommand('blue'),
          log: expect.stringContaining(rig.path('none')) as unknown,
        },
      });
      clean(rig);
    }));

  it('without the folder of its pidfile', () =>
    withRig({ pidfile: 'DIR/none/${SWAP_POOL_SLOT}.pid' }, async (rig) => {
      expect(await rig.pool.start('blue')).toMatchObject({ failure: { reason: 'start-failed', status: 70 } });
      clean(rig);
    }));

  it('when it binds another socket than it said', () =>
    withRig({ startTimeout: 3000 }, async (rig) => {
      rig.write('fpm.conf', rig.fpmConfig({ listen: 'DIR/other-${SWAP_POOL_SLOT}.sock' }));
      expect(await rig.pool.start('blue')).toMatchObject({
        failure: {
          reason: 'start-timeout',
          ms: 3000,
          log: expect.stringContaining('ready to handle') as unknown,
        },
      });
      clean(rig);
    }));

  it('when it dies right after it said that it runs', () =>
    withRig({}, async (rig) => {
      // a zombie has no title any more
      const kill = `pids="$(cat ${rig.path('blue.pid')}) $(grep -ls "php-fpm: poo[l] ${rig.name}" /proc/[0-9]*/cmdline | cut -d/ -f3)"
kill -9 $pids
for pid in $pids; do while grep -q php /proc/$pid/cmdline; do :; done; done 2>/dev/null`;
      const dying = rig.write(
        'dying',
        `#!/bin/sh\n${FPM} "$@"; s=$?\n[ "$1" = -tt ] && exit $s\n${kill}\nexit $s\n`,
      );
      chmodSync(dying, 0o755);
      const slot = { ...rig.config.pool.blue, binary: dying };
      const pool = value(await rig.create({ ...rig.config, pool: { blue: slot, green: slot } }));
      expect(reason(await pool.start('blue'))).toBe('pool-died');
      clean(rig);
    }));

  it('when its program says that it runs, and is something else', () =>
    withRig({}, async (rig) => {
      const other = rig.write(
        'other',
        `#!/bin/sh\n[ "$1" = -tt ] && exec ${FPM} "$@"\nsleep 1000 &\necho $! >${rig.path('left')}\n`,
      );
      chmodSync(other, 0o755);
      const slot = { ...rig.config.pool.blue, binary: other };
      const pool = value(await rig.create({ ...rig.config, pool: { blue: slot, green: slot } }));
      expect(reason(await pool.start('blue'))).toBe('pool-died');
      const left = identify(fs, Number(readFileSync(rig.path('left'), 'utf8')));
      if (left !== null) signalProcess(fs, left, 'SIGKILL');
      expect(left).toBeNull();
      clean(rig);
    }));

  it('when the state folder cannot be made', () =>
    withRig({}, async (rig) => {
      rig.write('state', 'a file');
      expect(reason(await rig.pool.start('blue'))).toBe('state-unwritable');
      clean(rig);
    }));
});

describe('a start whose end nobody saw', () => {
  it('is-awaited-before-it-is-judged', () =>
    withRig({}, async (rig) => {
      const began = wallClock();
      const fpm = spawn(FPM, ['-D', '-y', rig.path('fpm.conf')], {
        env: { SWAP_POOL_SLOT: 'blue' },
        stdio: 'ignore',
        cwd: '/',
      });
      const view = value(await rig.pool.settle('blue', began));
      expect(view.state).toBe('running');
      expect(fpm.pid).toBeDefined();
    }));

  it('that-never-came-is-given-a-second', () =>
    withRig({}, async (rig) => {
      const began = wallClock();
      expect(value(await rig.pool.settle('blue', began)).state).toBe('stopped');
      expect(wallClock() - began).toBeGreaterThanOrEqual(990);
      // long ago: nothing to wait for
      const first = wallClock() - began;
      const again = wallClock();
      expect(value(await rig.pool.settle('blue', began - 60_000)).state).toBe('stopped');
      expect(wallClock() - again).toBeLessThan(first);
    }));

  it('is-seen-while-FPM-has-no-title-yet', () =>
    withRig({}, async (rig) => {
      const { blue } = rig.pool.slots;
      const command = rig.pool.startCommand('blue');
      expect(isStarting(fs, blue, command)).toBe(false);
      const [program = '', ...rest] = command.slice(-4);
      const fpm = spawn('/usr/bin/sleep', ['600'], { argv0: program, stdio: 'ignore' });
      expect(isStarting(fs, blue, command)).toBe(false);
      const raw = spawn('/bin/bash', ['-c', 'read -t 600 x < <(sleep 600)', ...[program, ...rest]], {
        stdio: 'ignore',
      });
      await rig.until(() => isStarting(fs, blue, command));
      for (const each of [fpm, raw]) each.kill('SIGKILL');
      await rig.until(() => !isStarting(fs, blue, command));
    }));
});
