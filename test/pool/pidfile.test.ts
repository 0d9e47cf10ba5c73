import { spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PidfileState } from '../../src/event.js';
import type { Rig } from './rig.js';
import { isRoot, mkdir, reason, value, withRig } from './rig.js';

/** What a stopped slot says of a pidfile with such content. */
const STOPPED: readonly (readonly [name: string, content: string, state: PidfileState])[] = [
  ['empty', '', 'empty'],
  ['only blank lines', ' \n\n', 'empty'],
  ['garbage', 'php-fpm\n', 'garbage'],
  ['a negative number', '-1\n', 'garbage'],
  ['zero', '0\n', 'garbage'],
  ['a number with words', '12 php', 'garbage'],
  ['too many digits', '99999999999999999999', 'garbage'],
  ['NULs after a power cut', '\0\0\0\0', 'garbage'],
  ['several lines', '12\n13\n', 'several-lines'],
  ['pid 1', '1\n', 'init'],
  ['the pid of a dead process', '4194000\n', 'dead'],
  ['a pid that another program got', `${String(process.pid)}\n`, 'reused'],
];

describe('a stopped slot names what is wrong with its pidfile, and starts over it', () => {
  it.each(STOPPED)('%s', (_, content, state) =>
    withRig({}, async (rig) => {
      rig.write('blue.pid', content);
      const view = value(rig.pool.observe('blue'));
      expect(view).toMatchObject({ state: 'stale-pidfile', pidfile: state });
      expect(view.warnings).toEqual([
        {
          reason: 'pidfile',
          slot: 'blue',
          path: rig.path('blue.pid'),
          state,
          pid: /^\d{1,10}\n$/.test(content) && content !== '0\n' ? Number(content) : null,
        },
      ]);
      expect(reason(rig.pool.mayStart('blue'))).toBe('ok');
      const life = await rig.start();
      expect(readFileSync(rig.path('blue.pid'), 'utf8')).toBe(String(life.master?.pid));
      expect(value(rig.pool.observe('blue')).pidfile).toBe('ok');
    }),
  );

  it('a folder in its place', () =>
    withRig({}, async (rig) => {
      mkdir(rig.path('blue.pid'));
      expect(value(rig.pool.observe('blue')).pidfile).toBe('garbage');
      expect(reason(await rig.pool.sweep('blue'))).toBe('ok');
      expect(existsSync(rig.path('blue.pid'))).toBe(true);
    }));

  it('a FIFO in its place is not read', () =>
    withRig({}, async (rig) => {
      await new Promise((resolve) => spawn('mkfifo', [rig.path('blue.pid')]).once('exit', resolve));
      expect(value(rig.pool.observe('blue')).pidfile).toBe('garbage');
    }));

  it('a zombie is dead', () =>
    withRig({}, async (rig) => {
      // its parent never reaps it
      const parent = spawn(
        'perl',
        ['-e', '$| = 1; my $pid = fork; exit 0 if $pid == 0; print $pid; <STDIN>'],
        { stdio: ['pipe', 'pipe', 'ignore'] },
      );
      try {
        const pid = await new Promise<Buffer>((resolve) => parent.stdout.once('data', resolve));
        rig.write('blue.pid', pid.toString());
        await rig.until(() => value(rig.pool.observe('blue')).pidfile === 'dead');
      } finally {
        parent.kill('SIGKILL');
      }
    }));
});

describe('a pidfile that others can write is worth nothing', () => {
  it.each([
    [
      'the file, by everybody',
      (rig: Rig) => {
        chmodSync(rig.path('blue.pid'), 0o666);
      },
    ],
    [
      'the file, by a group',
      (rig: Rig) => {
        chmodSync(rig.path('blue.pid'), 0o664);
      },
    ],
    [
      'its folder',
      (rig: Rig) => {
        chmodSync(rig.folder, 0o777);
      },
    ],
  ])('%s', (_, open) =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      open(rig);
      expect(value(rig.pool.observe('blue'))).toMatchObject({
        state: 'running',
        pidfile: 'writable',
        warnings: [{ state: 'writable', pid: life.master?.pid }],
      });
      rig.write('blue.pid', '4194000');
      expect(value(rig.pool.observe('blue'))).toMatchObject({
        state: 'running',
        life: { master: life.master },
        pidfile: 'writable',
      });
    }),
  );

  it.runIf(isRoot)('the pool’s own user, as with /run/php, is believed where the socket confirms it', () =>
    withRig({ pidfile: 'DIR/php/${SWAP_POOL_SLOT}.pid' }, async (rig) => {
      chownSync(mkdir(rig.path('php')), 33, 33);
      await rig.start();
      expect(value(rig.pool.observe('blue')).pidfile).toBe('ok');
      writeFileSync(rig.path('php/blue.pid'), '4194000');
      expect(value(rig.pool.observe('blue')).pidfile).toBe('writable');
    }),
  );
});

describe('a running slot is known by its socket, whatever its pidfile says', () => {
  it.each(STOPPED)('%s', (_, content, state) =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      rig.write('blue.pid', content);
      for (const pool of [rig.pool, value(await rig.create())]) {
        expect(value(pool.observe('blue'))).toMatchObject({
          state: 'running',
          life: { master: life.master },
          pidfile: state,
          warnings: [{ reason: 'pidfile', state }],
        });
      }
    }),
  );

  it('missing', () =>
    withRig({}, async (rig) => {
      await rig.start();
      rmSync(rig.path('blue.pid'));
      expect(value(rig.pool.observe('blue'))).toMatchObject({
        state: 'running',
        pidfile: 'missing',
        warnings: [{ state: 'missing', pid: null }],
      });
    }));

  it('the other slot’s master', () =>
    withRig({}, async (rig) => {
      const green = await rig.start('green');
      rig.write('blue.pid', String(green.master?.pid));
      expect(value(rig.pool.observe('blue'))).toMatchObject({
        state: 'stale-pidfile',
        pidfile: 'other-master',
      });
      // it is no rival for the path: its own pidfile is another
      await rig.start('blue');
      expect(value(rig.pool.observe('green')).life?.master).toEqual(green.master);
    }));

  it('one of its workers', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      rig.write('blue.pid', String(life.workers[0]?.pid));
      expect(value(rig.pool.observe('blue'))).toMatchObject({
        state: 'running',
        pidfile: 'reused',
        life: { master: life.master },
      });
    }));
});

describe('a living FPM of another configuration that uses our pidfile', () => {
  it('refuses-the-start-and-is-left-alone', () =>
    withRig({}, async (rig) => {
      const other = rig.write(
        'other.conf',
        rig.fpmConfig({ listen: 'DIR/other.sock', pidfile: 'DIR/blue.pid' }),
      );
      expect(rig.startByHand(other)).toBe(0);
      const pid = Number(readFileSync(rig.path('blue.pid'), 'utf8'));
      expect(value(rig.pool.observe('blue'))).toMatchObject({
        state: 'stale-pidfile',
        pidfile: 'other-master',
      });
      const refused = {
        reason: 'pidfile-refused',
        state: 'other-master',
        path: rig.path('blue.pid'),
        suspect: { pid, command: `php-fpm: master process (${other})` },
      };
      expect(rig.pool.mayStart('blue')).toMatchObject({ failure: refused });
      expect(await rig.pool.start('blue')).toMatchObject({ failure: refused });
      expect(reason(await rig.pool.sweep('blue'))).toBe('ok');
      expect(readFileSync(rig.path('blue.pid'), 'utf8')).toBe(String(pid));
    }));

  it('is-no-rival-when-it-lives-in-a-container', async () => {
    if (!isRoot) return;
    await withRig({}, async (rig) => {
      const other = rig.write(
        'other.conf',
        rig.fpmConfig({ listen: 'DIR/other.sock', pidfile: 'DIR/other.pid' }),
      );
      const inside = spawn(
        'unshare',
        [
          '--mount',
          '--pid',
          '--fork',
          '--mount-proc',
          '--kill-child',
          '/usr/sbin/php-fpm8.2',
          '-F',
          '-y',
          other,
        ],
        { env: { SWAP_POOL_SLOT: 'blue' }, stdio: 'ignore' },
      );
      try {
        const outer = (): number | undefined =>
          rig
            .processes()
            .find((each) =>
              readFileSync(`/proc/${String(each)}/cmdline`, 'latin1').startsWith('php-fpm: master'),
            );
        await rig.until(() => outer() !== undefined && existsSync(rig.path('other.sock')));
        rig.write('blue.pid', String(outer()));
        expect(value(rig.pool.observe('blue')).pidfile).toBe('other-master');
        expect(reason(rig.pool.mayStart('blue'))).toBe('ok');
      } finally {
        inside.kill('SIGKILL');
      }
    });
  });

  it('a pidfile that is a link is judged by what it leads to, and only the link is swept', () =>
    withRig({}, async (rig) => {
      rig.write('precious', '4194000');
      symlinkSync('precious', rig.path('blue.pid'));
      expect(value(rig.pool.observe('blue')).pidfile).toBe('dead');
      value(await rig.pool.sweep('blue'));
      expect(existsSync(rig.path('blue.pid'))).toBe(false);
      expect(readFileSync(rig.path('precious'), 'utf8')).toBe('4194000');
    }));
});
