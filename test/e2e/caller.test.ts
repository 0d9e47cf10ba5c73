/** Who calls a deploy, and what of the caller the new pool has: nothing, and it does not die with it. */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { otherSlot } from '../../src/event.js';
import type { ProcessId } from '../../src/event.js';
import { children, identify, pids, procfs, readStat, signalProcess, title } from '../../src/system/proc.js';
import { PROGRAM, type Command } from '../support/command.js';
import { expectClean, expectNoCut, mend } from '../support/deaths.js';
import { SHORT, withRig, type Rig, type RigOptions } from '../support/rig.js';

const fs = procfs();
const SYMLINK: RigOptions = { switch: 'symlink', site: { workers: 8 } };
const DEPLOY = [process.execPath, PROGRAM, 'deploy', 'demo'];

describe('a job that is killed with all its processes', () => {
  it('after its deploy leaves the new pool alive', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const load = await rig.load(SHORT);
      const serving = await expectClean(rig);
      const job = jobOf(rig, '"$@"; echo deployed; sleep 600');
      await rig.until(() => job.stdout.includes('deployed'));
      const pool = rig.sandbox.poolMaster(otherSlot(serving));
      await killJob(job);
      expect(pool).not.toBeNull();
      expect(rig.sandbox.poolMaster(otherSlot(serving))).toBe(pool);
      await expectClean(rig, otherSlot(serving));
      expectNoCut(rig, load);
    });
  });

  it('in the midst of its deploy leaves both pools alive, and recover ends it', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const load = await rig.load(SHORT);
      await rig.until(() => load.underWay('slow') > 0);
      const serving = await expectClean(rig);
      const held = await rig.occupy();
      const job = jobOf(rig, '"$@" --json');
      await job.untilStep('drain');
      await killJob(job);
      expect(rig.isListening(serving)).toBe(true);
      expect(await rig.answering()).toBe(otherSlot(serving));
      expect(await held.release()).toEqual([held.id]);
      await mend(rig, 'recover');
      await expectClean(rig, otherSlot(serving));
      expectNoCut(rig, load);
    });
  });
});

describe('the new pool holds nothing of its caller', () => {
  it.each([
    [
      'descriptor 200, as crontabs have it',
      ['/bin/bash', '-c', 'exec 200>"$0"; flock -n 200 || exit 9; "$@"'],
    ],
    ['the descriptor of flock FILE COMMAND', ['/usr/bin/flock', '-n']],
  ])('no lock: %s', async (_, lock) => {
    await withRig(SYMLINK, async (rig) => {
      const file = rig.sandbox.path('temp', 'job.lock');
      rig.allow.strays.push(/^temp\/job\.lock$/);
      const run = await rig.run([], { program: [...lock, file, ...DEPLOY] });
      expect(run, run.stderr).toMatchObject({ exit: 0 });
      const free = await rig.run([], { program: ['/usr/bin/flock', '-n', file, '/bin/true'], json: false });
      expect(free.exit).toBe(0);
      for (const pid of poolProcesses(rig)) {
        const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
        expect(open).not.toContain(file);
        expect(open.filter((target) => target.startsWith('pipe:'))).toEqual([]);
      }
      // it has left the caller's session, and its folder too
      const master = rig.sandbox.poolMaster('blue') ?? 0;
      expect(sessionOf(master)).toBe(master);
      expect(readlinkSync(`/proc/${master}/cwd`)).toBe('/');
    });
  });

  it('no variable: those of the app, SWAP_POOL_SLOT, PATH and LANG are all there are', async () => {
    const options: RigOptions = {
      ...SYMLINK,
      site: { workers: 4, fpmPool: 'clear_env = no', yamlPool: 'env: { APP_ENV: prod }' },
      prepare: (sandbox) => {
        writeFileSync(sandbox.path('www', 'env.php'), '<?php echo shell_exec("/usr/bin/env -0");');
      },
    };
    await withRig(options, async (rig) => {
      const env = {
        SECRET: 'of-the-caller',
        BUILD_ID: '42',
        LANG: 'de_DE.UTF-8',
        LD_PRELOAD: '',
        PHP_INI_SCAN_DIR: '/nowhere',
        TMPDIR: '/var/tmp',
      };
      expect(await rig.deploy([], { env })).toMatchObject({ exit: 0 });
      const answer = await fetch(`http://127.0.0.1:${rig.site().port}/env.php`);
      const pairs = (await answer.text()).split('\0').filter(Boolean);
      const seen = Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s, 2) as [string, string]));
      expect(seen).toMatchObject({ APP_ENV: 'prod', SWAP_POOL_SLOT: 'blue', LANG: 'C.UTF-8' });
      expect(JSON.stringify(seen)).not.toContain('of-the-caller');
      // FPM names the pool's user itself, and the shell that runs env adds where it is
      const known = [
        'APP_ENV',
        'SWAP_POOL_SLOT',
        'PATH',
        'LANG',
        'USER',
        'HOME',
        'PWD',
        'OLDPWD',
        'SHLVL',
        '_',
      ];
      expect(Object.keys(seen).filter((name) => !known.includes(name))).toEqual([]);
    });
  });
});

describe('what runs as its child has nothing of the caller', () => {
  const BARE = ['LANG=C.UTF-8', 'PATH='];
  /** The environment of a child of a command whose command line has these words, once there is one. */
  const environmentOf = async (rig: Rig, command: Command, words: string): Promise<string[]> => {
    let seen: string[] = [];
    await rig.until(() => {
      const child = children(fs, command.pid).find((pid) => title(fs, pid).includes(words));
      seen = child === undefined ? [] : readFileSync(`/proc/${child}/environ`, 'latin1').split('\0');
      // before it has called exec it is a copy of its parent
      return seen.length > 0 && !seen.some((each) => each.startsWith('SWAP_POOL_CONFIG_DIR='));
    });
    return seen.filter(Boolean);
  };
  const env = {
    SECRET: 'of-the-caller',
    LANG: 'de_DE.UTF-8',
    TMPDIR: '/var/tmp',
    PATH: '/nowhere:/usr/bin:/bin',
  };

  it('a test of nginx’s files', () =>
    withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const [fifo, spoilt] = [rig.sandbox.path('work', 'log'), rig.sandbox.path('sites', 'spoilt.conf')];
      expect(spawnSync('/usr/bin/mkfifo', [fifo]).status).toBe(0);
      // whoever opens it waits for somebody to read it
      writeFileSync(spoilt, `server { listen 127.0.0.1:1; access_log ${fifo}; }\n`);
      const test = rig.spawn(['nginx', 'test'], { env });
      const seen = await environmentOf(rig, test, '/nginx.conf');
      const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
      await test.end;
      closeSync(reader);
      for (const path of [fifo, spoilt]) rmSync(path);
      expect(seen.map(nameOf).sort()).toEqual(BARE.map(nameOf));
      expect(seen).toContain('LANG=C.UTF-8');
      expect(seen.join()).not.toMatch(/nowhere|of-the-caller/);
    }));

  it('the wait for a lock', () =>
    withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const held = await rig.occupy();
      const first = rig.spawnDeploy();
      await first.untilStep('drain');
      const second = rig.spawnDeploy(['--wait-lock', '1m'], { env });
      const seen = await environmentOf(rig, second, '/flock ');
      expect(await held.release()).toEqual([held.id]);
      for (const run of [await first.end, await second.end]) expect(run.exit, run.stdout).toBe(0);
      expect(seen.map(nameOf).sort()).toEqual(BARE.map(nameOf));
      expect(seen.join()).not.toMatch(/nowhere|of-the-caller/);
    }));
});

const nameOf = (pair: string): string => pair.split('=', 1)[0] ?? '';

describe('cron', () => {
  const JOB = 'exec "$@" --if-changed --quiet';

  it.each([
    ['with its input closed', `${JOB} <&-`],
    ['with everything closed', `${JOB} <&- >&- 2>&-`],
  ])('%s deploys what has changed, and says nothing either way', async (_, script) => {
    const options: RigOptions = {
      ...SYMLINK,
      prepare: (sandbox) => {
        // PATH has neither nginx nor php-fpm, and the configuration does not say where they are
        const { config } = sandbox.site();
        const text = readFileSync(config, 'utf8').replace(/^\s*binary: .*\n/gm, '');
        writeFileSync(config, `${text}\nwatch: [${JSON.stringify(sandbox.path('work', 'version*'))}]\n`);
      },
    };
    await withRig(options, async (rig) => {
      await rig.deployed();
      // the second one has seen what nginx runs
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      const cron = async (): Promise<void> => {
        const job = jobOf(rig, script, { PATH: '/usr/bin:/bin', LANG: undefined });
        const run = await job.end;
        expect({ exit: run.exit, said: run.stdout + run.stderr }).toEqual({ exit: 0, said: '' });
      };
      const serving = await expectClean(rig);
      await cron();
      expect(rig.journals()).toHaveLength(2);

      appendFileSync(rig.site().fpmConfig.blue, '; changed\n');
      await cron();
      expect(await rig.answering()).toBe(otherSlot(serving));
      writeFileSync(rig.sandbox.path('work', 'version'), '2');
      await cron();
      expect(await rig.answering()).toBe(serving);
      await cron();
      expect(rig.journals()).toHaveLength(4);
      await expectClean(rig, serving);
    });
  });

  it('is told when something is wrong', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const serving = await expectClean(rig);
      rig.breakVerify(otherSlot(serving));
      appendFileSync(rig.site().fpmConfig.blue, '; changed\n');
      const run = await jobOf(rig, `${JOB} <&-`).end;
      expect(run).toMatchObject({ exit: 1, stdout: '' });
      expect(run.stderr).toMatch(/500/);
      await expectClean(rig, serving);
    });
  });
});

/** A deploy called from a shell script, which finds its command line in "$@". */
const jobOf = (rig: Rig, script: string, env: Record<string, string | undefined> = {}): Command =>
  rig.spawn([], { program: ['/bin/sh', '-c', script, 'job', ...DEPLOY], json: false, env });

/** Kills whoever is of the job's session or descends from it, as a runner does that cleans up. */
async function killJob(job: Command): Promise<void> {
  const members = new Map<number, ProcessId>();
  for (let grown = -1; grown < members.size;) {
    grown = members.size;
    for (const pid of pids(fs)) {
      const parent = readStat(fs, pid)?.ppid ?? 0;
      const id = identify(fs, pid);
      if (id === null) continue;
      if (pid === job.pid || sessionOf(pid) === job.pid || members.has(parent)) members.set(pid, id);
    }
  }
  for (const id of members.values()) signalProcess(fs, id, 'SIGKILL');
  expect((await job.end).signal).toBe('SIGKILL');
}

/** Field 6 of /proc/PID/stat; 0 when the process is gone. */
function sessionOf(pid: number): number {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return 0;
  try {
    const text = readFileSync(path, 'utf8');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[3]);
  } catch {
    return 0;
  }
}

const poolProcesses = (rig: Rig): number[] =>
  rig.sandbox
    .residents()
    .filter(({ command }) => command.startsWith('php-fpm: '))
    .map(({ id }) => id.pid);
