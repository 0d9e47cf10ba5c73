/** What a process table may hide, forget, or be full of. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../src/demo/machine.js';
import type { SwitchKind } from '../../src/event.js';
import { expectClean, TRAFFIC } from '../support/deaths.js';
import { preloaded } from '../support/preload.js';
import { withRig } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];

describe.each(BOTH)('deploys by %s cut nothing', (by) => {
  it('where no /proc/PID/syscall may be read', async () => {
    await withRig({ switch: by, site: { workers: 8 } }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      for (const to of ['green', 'blue']) {
        const run = await rig.deploy([], preloaded('hide-syscall'));
        expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, to, drain: { cut: 0 } });
      }
      await expectClean(rig, 'blue');
    });
  });

  it('while processes come and go by the thousand each second', async () => {
    await withRig({ switch: by, site: { workers: 8 } }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      // a fork that ends at once is four times as quick as one that calls exec: some 4,000 a second on two cores
      const storms: readonly ChildProcess[] = [1, 2].map(() =>
        spawn('/bin/sh', ['-c', 'while :; do (:); (:); (:); /bin/true; done'], { stdio: 'ignore', cwd: '/' }),
      );
      try {
        const [begun, forks] = [performance.now(), forked()];
        for (const to of ['green', 'blue']) {
          const run = await rig.deploy();
          expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, to, drain: { cut: 0 } });
        }
        const rate = (forked() - forks) / ((performance.now() - begun) / 1000);
        expect(rate, 'processes a second').toBeGreaterThan(1000);
      } finally {
        for (const storm of storms) storm.kill('SIGKILL');
      }
      await expectClean(rig, 'blue');
    });
  });
});

/** How many processes were begun since the machine was. */
const forked = (): number => Number(/^processes (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]);

/** In no /etc/passwd, and no other test's. */
const NOBODY = '54322';
const isRoot = process.geteuid?.() === 0;
const separable =
  isRoot && spawnSync('/usr/bin/unshare', ['-m', '-p', '-f', '--mount-proc', 'true']).status === 0;
if (!separable)
  console.warn('SKIPPED, it takes root and namespaces: pids that are used again, and a hidden /proc');

describe.skipIf(!separable)('in a namespace of its own', () => {
  let folder = '';

  beforeAll(async () => {
    folder = mkdtempSync(join(temporaryFolder(true), 'separate-'));
    chmodSync(folder, 0o755);
    for (const name of ['dist', 'test']) mkdirSync(join(folder, name));
    cpSync('templates', join(folder, 'templates'), { recursive: true });
    cpSync('test/support', join(folder, 'test/support'), { recursive: true });
    cpSync('dist', join(folder, 'dist'), { recursive: true });
    await build({
      entryPoints: [resolve('test/support/separate.ts')],
      outfile: join(folder, 'run.cjs'),
      bundle: true,
      platform: 'node',
      format: 'cjs',
      external: ['vitest'],
      logLevel: 'error',
    });
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
    // where a user without a runtime folder keeps locks
    rmSync(`/tmp/swap-pool-${NOBODY}`, { recursive: true, force: true });
  });

  it('who may not see into the pools is told so, and touches nothing', async () => {
    await withRig({ switch: 'rewrite', site: { workers: 8 } }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      const [state, locks] = ['state', 'locks'].map((name) => join(folder, name)) as [string, string];
      for (const each of [state, locks]) {
        mkdirSync(each, { mode: 0o700 });
        chownSync(each, Number(NOBODY), Number(NOBODY));
      }
      const before = rig.contents();
      const user = ['/usr/bin/setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
      const run = await rig.deploy([], {
        program: [...user, process.execPath, join(folder, 'dist/swap-pool.cjs')],
        env: { SWAP_POOL_STATE_DIR: state, SWAP_POOL_RUN_DIR: locks },
      });
      expect(run.result, run.stdout).toMatchObject({
        outcome: 'refused',
        exit: 1,
        failure: { reason: 'unobservable' },
      });
      expect(rig.contents()).toEqual(before);
      await expectClean(rig, 'blue');
    });
  });

  /** The shell is its init: it reaps whom nobody else reaps, and a pid is free only then. */
  const inside = (shell: string, ...words: readonly string[]): Promise<Ran> => {
    const own = ['/usr/bin/unshare', '-m', '-p', '-f', '--mount-proc', '--kill-child', '/bin/sh', '-c'];
    return run([...own, `${shell}; exit $?`, process.execPath, 'run.cjs', ...words], folder);
  };

  it('a recorded pid that somebody else has by now is not signalled', async () => {
    expect(await inside('"$0" "$@"', 'reuse')).toEqual({ exit: 0, output: '' });
  });

  it.each(BOTH)(
    'to whom /proc shows no process but its own (hidepid), deploys by %s cut nothing',
    async (by) => {
      const nobody = `setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups`;
      const ran = await inside(`mount -o remount,hidepid=2 /proc && ${nobody} "$0" "$@"`, 'deploy', by);
      expect(ran).toEqual({ exit: 0, output: '' });
    },
  );
});

interface Ran {
  readonly exit: number | null;
  readonly output: string;
}

function run(argv: readonly string[], cwd: string): Promise<Ran> {
  return new Promise((done, failed) => {
    const [file = '', ...words] = argv;
    const child = spawn(file, words, {
      cwd,
      env: { PATH: '/usr/bin:/bin' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes) => (output += String(bytes)));
    child.on('error', failed);
    child.on('close', (exit) => {
      done({ exit, output });
    });
  });
}
