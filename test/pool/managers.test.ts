/** What can go wrong with who starts a pool, each against the real thing: scripts, commands, servers that are no php-fpm. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Slot, Warning } from '../../src/event.js';
import type { Pools } from '../../src/pool/driver.js';
import type { AppConfig, SlotConfig } from '../../src/pool/slots.js';
import { children, identify, isAlive, readStat } from '../../src/system/proc.js';
import { FPM, fs, reason, value, withRig, type Rig } from './rig.js';

/** A driver of the rig's folder whose slots are started in another way. */
async function driver(rig: Rig, of: (slot: Slot) => SlotConfig, stop = 500): Promise<Pools> {
  mkdirSync(rig.path('state'), { recursive: true });
  const config: AppConfig = {
    ...rig.config,
    stop: { timeout: stop },
    pool: { blue: of('blue'), green: of('green') },
  };
  return value(await rig.create(config));
}

/** A script for each slot; `body` has `$SLOT`, `$FPM`, `$CONF` and `$DIR` to use. */
function byScript(rig: Rig, body: string): (slot: Slot) => SlotConfig {
  return (slot) => {
    const script = rig.path(`init-${slot}`);
    const head = `#!/bin/sh\nSLOT=${slot} FPM=${FPM} CONF=${rig.path('fpm.conf')} DIR=${rig.folder}\n`;
    writeFileSync(script, head + body, { mode: 0o755 });
    return { manager: 'init', script, config: rig.path('fpm.conf'), binary: FPM, env: {} };
  };
}

const START = '[ "$1" = start ] && { SWAP_POOL_SLOT=$SLOT exec $FPM -D -y $CONF; }\n';

/** Perl that listens, and what else it does. */
const byPerl =
  (rig: Rig, code: string, more: readonly string[] = []): ((slot: Slot) => SlotConfig) =>
  (slot) => ({
    manager: 'command',
    kind: 'fastcgi',
    listen: rig.path(`${slot}.sock`),
    env: {},
    start: [
      ...more,
      '/usr/bin/perl',
      '-e',
      `use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0);
       sub listens { bind($s, sockaddr_un($ARGV[0])) && listen($s, 8) or die "cannot listen: $!\\n" } ${code}`,
      rig.path(`${slot}.sock`),
    ],
  });

const SERVES = 'listens; while (accept(my $c, $s)) { close $c }';

describe('an init script', () => {
  it('that-fails-is-told-with-what-it-said', () =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, byScript(rig, 'echo "no such user: shop" >&2; exit 5\n'));
      expect(await pool.start('blue')).toMatchObject({
        failure: {
          reason: 'start-failed',
          status: 5,
          log: expect.stringContaining('no such user: shop') as string,
        },
      });
      expect(value(pool.observe('blue')).state).toBe('stopped');
    }));

  it('that-says-0-and-starts-nobody-has-failed', () =>
    withRig({ startTimeout: 400 }, async (rig) => {
      const pool = await driver(rig, byScript(rig, 'echo "Starting: done."; exit 0\n'));
      expect(await pool.start('blue')).toMatchObject({
        failure: { reason: 'start-timeout', log: expect.stringContaining('Starting: done.') as string },
      });
    }));

  it('that-never-ends-is-ended-with-whatever-it-has-begun', () =>
    withRig({ startTimeout: 400 }, async (rig) => {
      const pool = await driver(rig, byScript(rig, 'sleep 100 & echo $! > $DIR/sleeper; wait\n'));
      expect(reason(await pool.start('blue'))).toBe('start-timeout');
      const pid = Number(readFileSync(rig.path('sleeper'), 'utf8'));
      expect(identify(fs, pid)).toBeNull();
    }));

  it('gets-a-clean-environment-and-no-descriptor-of-ours', () =>
    withRig({}, async (rig) => {
      const body = `{ env; pwd; umask; ls /proc/self/fd; } > $DIR/seen-$SLOT\n${START}`;
      const pool = await driver(rig, byScript(rig, body));
      await pool.start('blue').then(value);
      const seen = readFileSync(rig.path('seen-blue'), 'utf8').split('\n').filter(Boolean);
      expect(seen).toContain('SWAP_POOL_SLOT=blue');
      const names = seen.filter((line) => line.includes('=')).map((line) => line.split('=')[0]);
      expect(names.sort()).toEqual(['LANG', 'PATH', 'PWD', 'SWAP_POOL_SLOT']);
      // 3 is ls's own
      expect(seen.filter((line) => /^\d$/.test(line))).toEqual(['0', '1', '2', '3']);
      expect(seen).toContain('/');
    }));

  it('stops-the-pool-and-no-signal-is-needed', () =>
    withRig({}, async (rig) => {
      const stop =
        'pid=$(cat $DIR/$SLOT.pid); kill -QUIT $pid; while kill -0 $pid; do sleep 0.01; done 2>/dev/null\n';
      const pool = await driver(rig, byScript(rig, START + stop), 8000);
      const life = value(await pool.start('blue'));
      const told: Warning[] = [];
      expect(value(await pool.stop('blue', life, (each) => told.push(each)))).toEqual({ signal: null });
      expect(told).toEqual([]);
      expect(value(pool.observe('blue'))).toMatchObject({ state: 'stopped', pidfile: 'missing' });
    }));

  it.each([
    ['does-nothing', 'exit 0\n', ['stop-escalates']],
    ['fails', 'echo "cannot"; exit 1\n', ['stop-command-failed', 'stop-escalates']],
    ['never-ends', 'sleep 100\n', ['stop-command-failed', 'stop-escalates']],
  ])('whose-stop-%s-is-followed-by-signals-to-the-recorded-processes', (_, body, reasons) =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, byScript(rig, START + body));
      const life = value(await pool.start('blue'));
      const told: Warning[] = [];
      expect(value(await pool.stop('blue', life, (each) => told.push(each)))).toEqual({ signal: 'SIGTERM' });
      expect(told.map((each) => each.reason)).toEqual(reasons);
      expect(value(pool.observe('blue')).state).toBe('stopped');
    }),
  );

  it('is-not-asked-to-stop-what-its-pidfile-does-not-name', () =>
    withRig({}, async (rig) => {
      const stop = 'touch $DIR/asked; kill -QUIT $(cat $DIR/$SLOT.pid)\n';
      const pool = await driver(rig, byScript(rig, START + stop), 8000);
      const life = value(await pool.start('blue'));
      const stranger = spawn('/usr/bin/sleep', ['100'], { stdio: 'ignore' });
      try {
        const id = identify(fs, stranger.pid ?? 0);
        rig.write('blue.pid', `${String(stranger.pid)}\n`);
        expect(value(await pool.stop('blue', life, () => undefined))).toEqual({ signal: 'SIGQUIT' });
        expect(existsSync(rig.path('asked'))).toBe(false);
        expect(id !== null && isAlive(fs, id)).toBe(true);
      } finally {
        stranger.kill('SIGKILL');
      }
    }));
});

describe('a command', () => {
  it('that-fails-is-told-with-what-it-said', () =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, byPerl(rig, 'die "no such module: Shop\\n"'));
      expect(await pool.start('blue')).toMatchObject({
        failure: { reason: 'start-failed', log: expect.stringContaining('no such module: Shop') as string },
      });
    }));

  it('that-listens-and-dies-at-once-has-failed', () =>
    withRig({ startTimeout: 1000 }, async (rig) => {
      const pool = await driver(rig, byPerl(rig, 'listens; die "and gone\\n"'));
      expect(['start-failed', 'pool-died', 'start-timeout']).toContain(reason(await pool.start('blue')));
      expect(value(pool.observe('blue')).state).toBe('stopped');
      expect(existsSync(rig.path('blue.sock'))).toBe(false);
    }));

  it('that-never-listens-is-ended-with-whatever-it-has-begun', () =>
    withRig({ startTimeout: 400 }, async (rig) => {
      const code = `open my $f, '>', "${rig.path('child')}"; my $p = fork // die; if (!$p) { sleep 100 } print $f $p; close $f; sleep 100`;
      const pool = await driver(rig, byPerl(rig, code));
      expect(reason(await pool.start('blue'))).toBe('start-timeout');
      expect(identify(fs, Number(readFileSync(rig.path('child'), 'utf8')))).toBeNull();
    }));

  it('is-the-pool-itself-when-it-does-not-end-and-is-ended-by-TERM', () =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, byPerl(rig, SERVES), 5000);
      const life = value(await pool.start('blue'));
      expect(life).toMatchObject({ master: null, workers: [{ boot: fs.bootId }] });
      expect(value(pool.observe('blue'))).toMatchObject({ state: 'running', idle: 1, working: 0 });
      // no other run of the program started it: it is known by its environment
      const other = await driver(rig, byPerl(rig, SERVES), 5000);
      expect(value(other.observe('blue')).life).toEqual(life);
      expect(value(await other.stop('blue', life, () => undefined))).toEqual({ signal: 'SIGTERM' });
      expect(value(pool.observe('blue')).state).toBe('stopped');
    }));

  it('that-ignores-TERM-is-killed-and-that-is-told', () =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, byPerl(rig, `$SIG{TERM} = 'IGNORE'; ${SERVES}`), 200);
      const life = value(await pool.start('blue'));
      const told: Warning[] = [];
      expect(value(await pool.stop('blue', life, (each) => told.push(each)))).toEqual({ signal: 'SIGKILL' });
      expect(told).toMatchObject([{ reason: 'stop-escalates', signal: 'SIGKILL' }]);
    }));

  it('is-waited-for-after-a-death-of-ours-while-it-has-no-socket-yet', () =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, byPerl(rig, `select undef, undef, undef, 2; ${SERVES}`));
      const began = Date.now() - 60_000;
      const [program = '', ...words] = pool.startCommand('blue').slice(-4);
      const child = spawn(program, words, { env: { SWAP_POOL_SLOT: 'blue' }, stdio: 'ignore' });
      try {
        await rig.until(() => identify(fs, child.pid ?? 0) !== null);
        const view = value(await pool.settle('blue', began));
        expect(view.life?.workers.map(({ pid }) => pid)).toEqual([child.pid]);
      } finally {
        child.kill('SIGKILL');
      }
    }));
});

describe('who-listens-at-the-address-of-a-server', () => {
  const listening = (rig: Rig, slot: Slot, env: Record<string, string>, others: string[] = []) => {
    const code = `use Socket; for (@ARGV) { socket(my $s, AF_UNIX, SOCK_STREAM, 0); bind($s, sockaddr_un($_)); listen($s, 8); push @s, $s } accept(my $c, $s[0])`;
    return spawn('/usr/bin/perl', ['-e', code, rig.path(`${slot}.sock`), ...others], {
      env,
      stdio: 'ignore',
    });
  };

  it('is-foreign-without-a-mark-of-the-slot', () =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, byPerl(rig, SERVES));
      const stranger = listening(rig, 'blue', { SWAP_POOL_SLOT: 'green' });
      try {
        await rig.until(() => value(pool.observe('blue')).state !== 'stopped');
        expect(value(pool.observe('blue'))).toMatchObject({
          state: 'foreign',
          life: null,
          holder: { pid: stranger.pid },
        });
        expect(reason(await pool.start('blue'))).toBe('slot-foreign');
      } finally {
        stranger.kill('SIGKILL');
      }
    }));

  it('is-the-slots-when-its-pidfile-says-so', () =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, (slot) => ({
        ...byPerl(rig, SERVES)(slot),
        pidfile: rig.path(`${slot}.pid`),
      }));
      const server = listening(rig, 'blue', {});
      try {
        rig.write('blue.pid', `${String(server.pid)}\n`);
        await rig.until(() => value(pool.observe('blue')).state === 'running');
        expect(value(pool.observe('blue'))).toMatchObject({ pidfile: 'ok' });
        expect(reason(await pool.start('blue'))).toBe('slot-alive');
      } finally {
        server.kill('SIGKILL');
      }
    }));

  it('is-the-slots-when-its-pidfile-names-the-shell-that-waits-for-it', () =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, (slot) => ({
        ...byPerl(rig, SERVES)(slot),
        pidfile: rig.path(`${slot}.pid`),
      }));
      const code = `use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0); bind($s, sockaddr_un($ARGV[0])); listen($s, 8); accept(my $c, $s)`;
      const line = `/usr/bin/perl -e '${code}' "$0"; true`;
      const shell = spawn('/bin/sh', ['-c', line, rig.path('blue.sock')], { env: {}, stdio: 'ignore' });
      try {
        rig.write('blue.pid', `${String(shell.pid)}\n`);
        await rig.until(() => value(pool.observe('blue')).state === 'running');
        expect(value(pool.observe('blue'))).toMatchObject({ pidfile: 'ok', life: { master: null } });
      } finally {
        for (const pid of children(fs, shell.pid ?? 0)) process.kill(pid, 'SIGKILL');
        shell.kill('SIGKILL');
      }
    }));

  it.each(['1', 'whoever-took-it-in'])('is-foreign-when-its-pidfile-says-%s', (named) =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, (slot) => ({
        ...byPerl(rig, SERVES)(slot),
        pidfile: rig.path(`${slot}.pid`),
      }));
      // a daemon: its own parent has ended, and it is the child of pid 1, or of a subreaper
      const code = `use Socket; use POSIX; fork && exit; POSIX::setsid(); socket(my $s, AF_UNIX, SOCK_STREAM, 0);
        bind($s, sockaddr_un($ARGV[0])); open(my $f, '>', "$ARGV[0].pid"); print $f $$; close $f; listen($s, 8); accept(my $c, $s)`;
      spawnSync('/usr/bin/perl', ['-e', code, rig.path('blue.sock')], { env: {}, stdio: 'ignore' });
      await rig.until(() => value(pool.observe('blue')).state !== 'stopped');
      const daemon = Number(readFileSync(rig.path('blue.sock.pid'), 'utf8'));
      try {
        await rig.until(() => readStat(fs, daemon)?.session === daemon);
        const reaper = readStat(fs, daemon)?.ppid ?? 0;
        rig.write('blue.pid', named === '1' ? '1' : String(reaper));
        const view = value(pool.observe('blue'));
        expect(view).toMatchObject({ state: 'foreign', life: null, holder: { pid: daemon } });
        expect(view.pidfile).toBe(named === '1' || reaper === 1 ? 'init' : 'reused');
        expect(reason(await pool.start('blue'))).toBe('slot-foreign');
      } finally {
        process.kill(daemon, 'SIGKILL');
      }
    }),
  );

  it('is-refused-when-it-is-one-process-for-both-slots', () =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, byPerl(rig, SERVES));
      const server = listening(rig, 'blue', { SWAP_POOL_SLOT: 'blue' }, [rig.path('green.sock')]);
      try {
        await rig.until(() => existsSync(rig.path('green.sock')));
        await rig.until(() => !pool.observe('blue').ok);
        expect(pool.observe('green')).toMatchObject({
          failure: { reason: 'slots-one-master', what: 'master', master: { pid: server.pid } },
        });
      } finally {
        server.kill('SIGKILL');
      }
    }));
});

describe('the-fingerprint-changes-with', () => {
  it.each([
    ['the-script', (rig: Rig) => byScript(rig, START), (rig: Rig) => rig.write('init-blue', '#!/bin/sh\n')],
    [
      'a-file-that-the-command-names',
      (rig: Rig) => byPerl(rig, SERVES, ['/usr/bin/env', rig.path('ok.php')]),
      (rig: Rig) => rig.write('ok.php', '<?php // other'),
    ],
    [
      'the-file-that-holds-the-command',
      (rig: Rig) => byPerl(rig, SERVES),
      (rig: Rig) => rig.write('app.yaml', 'pool: {}'),
    ],
  ])('%s', (_, of, change) =>
    withRig({}, async (rig) => {
      const pool = await driver(rig, of(rig));
      const before = value(await pool.fingerprint());
      expect(value(await pool.fingerprint())).toBe(before);
      change(rig);
      expect(value(await pool.fingerprint())).not.toBe(before);
      rmSync(rig.path('state'), { recursive: true, force: true });
    }),
  );
});
