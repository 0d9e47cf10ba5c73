/** What somebody else may have prepared for a swap-pool that runs as root: refused with the reason, nothing followed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Slot, SwitchKind } from '../../src/event.js';
import { places, proxyLock } from '../../src/system/places.js';
import type { Run } from '../support/command.js';
import { reasonOf } from '../support/deaths.js';
import { listener, sleeper } from '../support/strangers.js';
import { preloaded } from '../support/preload.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';

const isRoot = process.geteuid?.() === 0;
const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind): RigOptions => ({ switch: by, site: { workers: 2 } });
const failureOf = ({ events }: Run): Readonly<Record<string, unknown>> =>
  (events.find(({ type }) => type === 'failure')?.['failure'] ?? {}) as Record<string, unknown>;
const warned = (run: Run): unknown[] =>
  run.events.filter(({ type }) => type === 'warning').map(({ warning }) => reasonOf(warning));
const socketOf = (rig: Rig, slot: Slot): string => rig.site().address[slot].slice('unix:'.length);
/** An ordinary user who stands in no file of this host. */
const SOMEBODY = 54_321;

/** Once nginx has written the last line of its start. */
const isUp = (rig: Rig): Promise<void> =>
  rig.until(() => {
    const log = readFileSync(rig.sandbox.path('log', 'nginx.log'), 'utf8');
    return (log.match(/start worker process \d+\n/g) ?? []).length === 2;
  });

/** Everything that there is below a folder, with its kind and its text. */
function everything(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const stat = lstatSync(`${folder}/${name}`);
    found[name] = stat.isSymbolicLink()
      ? `-> ${readlinkSync(`${folder}/${name}`)}`
      : stat.isFile()
        ? readFileSync(`${folder}/${name}`, 'utf8')
        : stat.isDirectory()
          ? 'folder'
          : 'other';
  }
  return found;
}

/** Whose state it is was written before a lock was asked for. */
const besidesState = (all: Record<string, string>): unknown[] =>
  Object.entries(all).filter(([name]) => !/^(open\/)?state\b/.test(name));

describe.runIf(isRoot)('a folder of swap-pool’s that others may write', () => {
  const doors: readonly [string, (rig: Rig, name: 'state' | 'run') => string][] = [
    [
      'itself',
      (rig, name) => {
        chmodSync(rig.sandbox.path(name), 0o777);
        return rig.sandbox.path(name);
      },
    ],
    [
      'itself, with the sticky bit',
      (rig, name) => {
        chmodSync(rig.sandbox.path(name, ...(name === 'state' ? ['demo'] : [])), 0o1777);
        return rig.sandbox.path(name, ...(name === 'state' ? ['demo'] : []));
      },
    ],
    [
      'as its owner',
      (rig, name) => {
        chownSync(rig.sandbox.path(name), SOMEBODY, SOMEBODY);
        return rig.sandbox.path(name);
      },
    ],
    [
      'from above',
      (rig, name) => {
        const open = rig.sandbox.path('open');
        mkdirSync(`${open}/${name}`, { recursive: true });
        chmodSync(open, 0o777);
        rig.allow.strays.push(/^open\//);
        return open;
      },
    ],
  ];

  it.each((['state', 'run'] as const).flatMap((name) => doors.map(([how, open]) => ({ name, how, open }))))(
    '$name, $how: nothing is done, nothing is made, and it is said which',
    async ({ name, open }) => {
      await withRig(on('rewrite'), async (rig) => {
        mkdirSync(rig.sandbox.path('state', 'demo'), { mode: 0o700 });
        const path = open(rig, name);
        const env =
          path === rig.sandbox.path('open')
            ? { [name === 'state' ? 'SWAP_POOL_STATE_DIR' : 'SWAP_POOL_RUN_DIR']: `${path}/${name}` }
            : {};
        await isUp(rig);
        const before = everything(rig.sandbox.folder);
        const verbs = [['deploy'], ['start'], ['recover'], ['pool', 'start', 'blue']];
        if (name === 'state') verbs.push(['status'], ['history'], ['pool', 'status', 'blue']);
        for (const args of verbs) {
          const run = await rig.run(args, { env });
          expect(run.exit, `${args.join(' ')}: ${run.stdout}`).toBeGreaterThan(0);
          expect(run.stdout).toContain('"unsafe-path"');
          expect(run.stdout).toContain(JSON.stringify(path).slice(0, -1));
        }
        const seen = await rig.run(['doctor'], { env });
        expect(seen.exit).toBe(1);
        expect(seen.stdout).toContain('"unsafe-path"');
        expect(besidesState(everything(rig.sandbox.folder))).toEqual(besidesState(before));
        expect(rig.journals()).toEqual([]);
        for (const folder of [path, rig.sandbox.path(name)]) chmodSync(folder, 0o755);
        chownSync(rig.sandbox.path(name), 0, 0);
        expect(await rig.deploy()).toMatchObject({ exit: 0 });
      });
    },
  );

  it('a folder for temporary files in which others could exchange ours is not used', async () => {
    await withRig(on('symlink'), async (rig) => {
      const folder = rig.sandbox.path('work', 'tmp');
      mkdirSync(folder);
      chmodSync(folder, 0o777);
      const run = await rig.deploy([], { env: { TMPDIR: folder } });
      expect(failureOf(run)).toMatchObject({ reason: 'unsafe-path', path: folder });
      expect(readdirSync(folder)).toEqual([]);
      chmodSync(folder, 0o1777);
      expect(await rig.deploy([], { env: { TMPDIR: folder } })).toMatchObject({ exit: 0 });
    });
  });
});

describe('a link that was planted', () => {
  /** A file of somebody's that nobody may touch. */
  const victim = (rig: Rig): string => {
    const path = rig.sandbox.path('work', 'victim');
    writeFileSync(path, 'precious');
    return path;
  };
  const untouched = (path: string): void => {
    expect(readFileSync(path, 'utf8')).toBe('precious');
  };

  it.each([
    ['the owner of the journals', 'state/demo/owner', 'state-unwritable'],
    ['the folder of the journals', 'state/demo/deploys', null],
    ['the words of a start', 'state/demo/start-blue.log', 'state-unwritable'],
  ])('where %s will be is not followed', async (_, name, reason) => {
    await withRig(on('symlink'), async (rig) => {
      const target = victim(rig);
      mkdirSync(rig.sandbox.path('state', 'demo'), { recursive: true, mode: 0o700 });
      symlinkSync(target, rig.sandbox.path(name));
      const run = await rig.deploy();
      expect(run.exit).toBe(1);
      if (reason !== null) expect(failureOf(run)).toMatchObject({ reason });
      untouched(target);
      expect(readlinkSync(rig.sandbox.path(name))).toBe(target);
      rmSync(rig.sandbox.path(name));
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
    });
  });

  it('where FPM’s answer is kept is replaced, and what it leads to is neither believed nor written', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      const target = victim(rig);
      const kept = readdirSync(rig.sandbox.path('state', 'demo')).filter((name) => name.endsWith('.answer'));
      expect(kept).not.toEqual([]);
      for (const name of kept) {
        rmSync(rig.sandbox.path('state', 'demo', name));
        symlinkSync(target, rig.sandbox.path('state', 'demo', name));
        symlinkSync(target, rig.sandbox.path('state', 'demo', `.${name.replace('.answer', '.new')}`));
      }
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      untouched(target);
    });
  });

  it.each([
    ['rewrite', 'a new file of nginx'],
    ['symlink', 'the new link'],
  ] as const)('where %s is about to make %s is not written through', async (by, _) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      const target = victim(rig);
      const file = by === 'rewrite' ? rig.site().upstream : rig.site().link;
      const run = await rig.deploy([], preloaded('plant-link', { RIG_VICTIM: target }));
      expect(run.stderr).toMatch(/^planted: /m);
      expect(run, run.stdout).toMatchObject({ exit: 1, result: { outcome: 'reverted' } });
      expect(failureOf(run)).toMatchObject({ reason: 'config-unwritable', file, code: 'EEXIST' });
      untouched(target);
      expect(await rig.answering()).toBe('blue');
      // whoever planted it gains nothing: the next one sweeps it away
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      untouched(target);
    });
  });

  it('where a temporary file could be is removed, not written through', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      const target = victim(rig);
      const { upstream } = rig.site();
      const planted = upstream.replace(/([^/]+)$/, '.$1.swap-pool-0123456789ab');
      symlinkSync(target, planted);
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      untouched(target);
      expect(existsSync(planted)).toBe(false);
      expect(lstatSync(upstream).isFile()).toBe(true);
    });
  });

  it('where the link of a symlink switch is: to something else it is refused, to nothing it is replaced', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      const target = victim(rig);
      const { link } = rig.site();
      rmSync(link);
      symlinkSync(target, link);
      const refused = await rig.deploy();
      expect(refused).toMatchObject({ exit: 1, result: { outcome: 'refused' } });
      expect(failureOf(refused)).toMatchObject({ reason: 'link-wrong', link });
      untouched(target);
      expect(readlinkSync(link)).toBe(target);
      rmSync(link);
      // a dangling one: whoever wrote through it would make the file
      symlinkSync(rig.sandbox.path('work', 'made'), link);
      expect(await rig.run(['start'])).toMatchObject({ exit: 0 });
      expect(existsSync(rig.sandbox.path('work', 'made'))).toBe(false);
      expect(lstatSync(link).isSymbolicLink()).toBe(true);
      expect(readlinkSync(link)).toContain('demo-');
      rig.allow.log.push(/connect\(\) to unix:/);
    });
  });
});

describe('a FIFO in the place of', () => {
  it.each([
    ['the lock', 'run/demo.lock', 'state-unwritable'],
    ['the owner of the journals', 'state/demo/owner', 'state-unwritable'],
    ['the words of a start', 'state/demo/start-blue.log', 'state-unwritable'],
  ])('%s is not waited for', async (_, name, reason) => {
    await withRig(on('symlink'), async (rig) => {
      mkdirSync(rig.sandbox.path('state', 'demo'), { recursive: true, mode: 0o700 });
      await once(spawn('mkfifo', [rig.sandbox.path(name)]), 'exit');
      expect(failureOf(await rig.deploy())).toMatchObject({ reason });
      expect((await rig.run(['status'])).exit).toBe(1);
      rmSync(rig.sandbox.path(name));
    });
  });
});

describe('a socket that is replaced between the probe and the switch', () => {
  /** Holds the lock that a switch by rewrite needs: a deploy waits for it, right before its switch. */
  async function holdNginx(rig: Rig): Promise<() => Promise<void>> {
    const { locks } = places({}, process.getuid?.() ?? -1);
    mkdirSync(locks, { recursive: true, mode: 0o755 });
    const lock = proxyLock(locks, rig.sandbox.path('nginx.conf'));
    const holder = spawn('/usr/bin/flock', [lock, '-c', 'echo held; read line'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await once(holder.stdout, 'data');
    return async () => {
      const gone = once(holder, 'exit');
      holder.stdin.end('\n');
      await gone;
    };
  }

  it.each([
    [
      'by a rename',
      async (path: string) => {
        const stranger = await listener(`unix:${path}.other`);
        renameSync(`${path}.other`, path);
        return stranger;
      },
      'slot-foreign',
    ],
    [
      'by one that binds the same path',
      async (path: string) => {
        rmSync(path);
        return listener(`unix:${path}`);
      },
      'slot-foreign',
    ],
    [
      'by a link to another one',
      async (path: string) => {
        const stranger = await listener(`unix:${path}.other`);
        rmSync(path);
        symlinkSync(`${path}.other`, path);
        return stranger;
      },
      'probe-failed',
    ],
  ])('%s: nobody is sent to it', async (_, replace, reason) => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      await rig.load({ fast: { rate: 20 } });
      const letGo = await holdNginx(rig);
      const before = rig.read('upstreams', 'demo.conf');
      const deploy = rig.spawnDeploy();
      await deploy.untilStep('probe', 'step-done');
      const stranger = await replace(socketOf(rig, 'green'));
      try {
        await letGo();
        const run = await deploy.end;
        expect(run, run.stdout).toMatchObject({ exit: 1, result: { outcome: 'reverted' } });
        expect(failureOf(run)).toMatchObject({ reason, slot: 'green' });
        expect(rig.read('upstreams', 'demo.conf')).toBe(before);
        expect(await rig.answering()).toBe('blue');
        expect(stranger.lives()).toBe(true);
      } finally {
        await stranger.end();
      }
      rmSync(socketOf(rig, 'green'), { force: true });
      // the pool that lost its name has been ended, and the next deploy goes through
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'green' } });
    });
  });
});

describe('a pidfile of somebody else’s', () => {
  it.runIf(isRoot).each(BOTH)('that names pid 1 or a stranger: none of them is signalled: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      const stranger = await sleeper();
      const one = readFileSync('/proc/1/stat', 'utf8').split(' ')[21];
      try {
        for (const pid of ['1', String(stranger.pid)]) {
          for (const slot of ['blue', 'green'] as const) {
            rig.writePidfile(slot, `${pid}\n`);
            chownSync(rig.site().pidfile[slot], SOMEBODY, SOMEBODY);
          }
          const run = await rig.deploy();
          expect(run, run.stdout).toMatchObject({ exit: 0 });
          expect(warned(run)).toContain('pidfile');
          expect(stranger.lives()).toBe(true);
        }
        const serving = (await rig.answering()) as Slot;
        rig.writePidfile(serving, `${stranger.pid}\n`);
        for (const args of [
          ['pool', 'force-stop', serving, '--yes'],
          ['pool', 'start', serving],
        ]) {
          const run = await rig.run(args);
          expect(run, run.stdout).toMatchObject({ exit: 0 });
        }
        expect(stranger.lives()).toBe(true);
        expect(readFileSync('/proc/1/stat', 'utf8').split(' ')[21]).toBe(one);
      } finally {
        await stranger.end();
      }
      rig.allow.log.push(/connect\(\) to unix:/);
    });
  });

  it.runIf(isRoot)(
    'nginx’s that names pid 1 or a stranger: the nginx that is meant is found, or nobody',
    async () => {
      await withRig(on('rewrite'), async (rig) => {
        await rig.deployed();
        const stranger = await sleeper();
        const pidfile = /^pid (\S+);$/m.exec(rig.read('nginx.conf'))?.[1] ?? '';
        const own = readFileSync(pidfile, 'utf8');
        try {
          for (const pid of ['1', String(stranger.pid)]) {
            writeFileSync(pidfile, `${pid}\n`);
            chownSync(pidfile, SOMEBODY, SOMEBODY);
            const run = await rig.deploy();
            expect(run, run.stdout).toMatchObject({ exit: 0 });
            expect((await rig.run(['nginx', 'reload'])).exit).toBe(0);
            expect(stranger.lives()).toBe(true);
          }
          expect(await rig.run(['nginx', 'force-stop', '--yes'])).toMatchObject({ exit: 0 });
          expect(stranger.lives()).toBe(true);
          writeFileSync(pidfile, `${stranger.pid}\n`);
          expect((await rig.run(['nginx', 'stop', '--yes'])).exit).toBe(0);
          expect(stranger.lives()).toBe(true);
          rmSync(pidfile, { force: true });
          expect((await rig.sandbox.startNginx()).ok).toBe(true);
        } finally {
          if (existsSync(pidfile) && readFileSync(pidfile, 'utf8') === `${stranger.pid}\n`)
            writeFileSync(pidfile, own);
          await stranger.end();
        }
      });
    },
  );
});

describe('the caller’s environment', () => {
  /** Every program that swap-pool runs, and shells; each leaves a mark when somebody runs it. */
  const NAMES =
    'nginx php-fpm php-fpm8.2 php-fpm8.3 php-fpm8.4 flock systemctl systemd-run sh bash env ps kill ss'.split(
      ' ',
    );

  it.each(BOTH)('is nobody’s but swap-pool’s own, and its PATH is not searched: %s', async (by) => {
    // what the master gave them the workers would show
    const site = { workers: 2, fpmPool: 'clear_env = no' };
    await withRig({ switch: by, site }, async (rig) => {
      const [folder, mark] = [rig.sandbox.path('work', 'bin'), rig.sandbox.path('work', 'mark')];
      mkdirSync(folder);
      const node = process.execPath;
      for (const name of NAMES) {
        writeFileSync(`${folder}/${name}`, `#!/bin/sh\necho ${name} >> ${mark}\nexit 1\n`, { mode: 0o755 });
      }
      const hostile = {
        PATH: folder,
        // what nginx, PHP and shells would take from it
        NGINX: '3;4;',
        PHPRC: folder,
        PHP_INI_SCAN_DIR: folder,
        FPM_SOCKETS: '/tmp/x=3',
        BASH_ENV: `${folder}/sh`,
        ENV: `${folder}/sh`,
        IFS: '/',
        SWAP_POOL_SLOT: 'neither',
        SECRET: 'to be kept',
      };
      writeFileSync(`${folder}/php.ini`, 'auto_prepend_file = /nonexistent\n');
      const run = (args: readonly string[]): Promise<Run> => rig.run(args, { env: hostile });
      for (const args of [
        ['deploy', 'demo'],
        ['deploy', 'demo'],
        ['rollback'],
        ['status'],
        ['nginx', 'test'],
        ['nginx', 'reload'],
        ['pool', 'reload', 'blue'],
      ]) {
        const ran = await run(args);
        expect(ran.exit, `${args.join(' ')}: ${ran.stdout}`).toBe(0);
      }
      expect((await run(['doctor'])).stdout).not.toContain('"bug"');
      expect(existsSync(mark)).toBe(false);
      expect(node).toContain('/');
      // php-fpm writes its title over what /proc/PID/environ would show: only a script knows
      rig.allow.strays.push(/^www\/env\.php$/);
      writeFileSync(rig.sandbox.path('www', 'env.php'), '<?php echo json_encode(getenv());');
      const answer = await fetch(`http://127.0.0.1:${rig.site().port}/env.php`);
      const environment = (await answer.json()) as Record<string, string>;
      expect(environment['SWAP_POOL_SLOT']).toMatch(/^(blue|green)$/);
      // names are no proof: FPM gives FPM_SOCKETS to itself when it reloads
      const given = Object.entries(hostile).filter(([name, value]) => environment[name] === value);
      expect(given).toEqual([]);
      expect(environment).not.toHaveProperty('SECRET');
      expect(Object.values(environment).join('\n')).not.toContain(folder);
    });
  });
});

describe('a name that no app may have', () => {
  it.each([
    ['slashes', '../../etc/passwd'],
    ['dots alone', '..'],
    ['a line break', 'demo\n::error::owned'],
    ['an escape', 'demo\u001b]0;owned\u0007'],
    ['10 kB', 'x'.repeat(10_000)],
    ['an option', '--config=/etc/passwd'],
  ])('%s leads nowhere and shows nothing but text', async (_, name) => {
    // what begins with a dash is an option, and its file is no app's
    const reasons = name.startsWith('-') ? ['usage', 'config-invalid'] : ['usage', 'app-unknown'];
    await withRig(on('symlink'), async (rig) => {
      await isUp(rig);
      const before = everything(rig.sandbox.folder);
      for (const args of [
        ['deploy', name],
        ['status', name],
        ['history', name],
        ['pool', 'stop', 'blue', name],
        ['init', name],
      ]) {
        for (const json of [true, false]) {
          const run = await rig.run(args, { json });
          expect(run.exit, `${args.join(' ')}: ${run.stdout}`).toBe(2);
          if (json) expect(reasonOf(run.result['failure']), run.stdout).toBeOneOf(reasons);
          // eslint-disable-next-line no-control-regex
          expect(run.stdout + run.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
          expect(run.stderr).not.toMatch(/^::error/m);
          expect(run.stdout.length + run.stderr.length).toBeLessThan(4000);
        }
      }
      expect(everything(rig.sandbox.folder)).toEqual(before);
    });
  });
});
