/** The journal as a user meets it: a full disk, a namesake, a clock that was set back. */
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
  writeSync,
  openSync,
  closeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { otherSlot } from '../../src/event.js';
import { deathAt, expectClean, nameOf, openJournals, reasonOf } from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';

const SYMLINK: RigOptions = { switch: 'symlink', site: { workers: 6 } };

const failureOf = (run: { readonly events: readonly { type: string }[] }): Record<string, unknown> =>
  (run.events.find(({ type }) => type === 'failure') as { failure?: Record<string, unknown> } | undefined)
    ?.failure ?? {};

const mountable = mayMount();
if (!mountable)
  console.warn('SKIPPED, it takes root and the right to mount: what a full disk does to a deploy');

describe.skipIf(!mountable)('a disk', () => {
  it('without room for a whole journal: the deploy is refused before it has done anything', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const serving = await expectClean(rig);
      const before = rig.read('run', `demo-${serving}.pid`);
      await onSmallDisk(rig, 48, async (state) => {
        const run = await rig.deploy([], { env: { SWAP_POOL_STATE_DIR: state } });
        expect(run).toMatchObject({ exit: 1, result: { outcome: 'refused' } });
        expect(failureOf(run)).toMatchObject({ reason: 'state-unwritable', code: 'ENOSPC' });
        expect(run.events.filter(({ type }) => type === 'step-started')).toEqual([]);
        expect(readdirSync(join(state, 'demo', 'deploys'))).toEqual([]);
      });
      expect(rig.isListening(otherSlot(serving))).toBe(false);
      expect(rig.read('run', `demo-${serving}.pid`)).toBe(before);
      // where there is room it goes on as ever
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
    });
  });

  it('that fills up during a deploy does not stop it: the room was taken before', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const serving = await expectClean(rig);
      await onSmallDisk(rig, 256, async (state) => {
        rig.breakSlot(otherSlot(serving), 'status');
        const deploy = rig.spawnDeploy([], { env: { SWAP_POOL_STATE_DIR: state } });
        await deploy.untilStep('probe');
        fill(join(state, 'filler'));
        rig.breakSlot(otherSlot(serving), null);
        const run = await deploy.end;
        expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        expect(run.events.filter(({ warning }) => reasonOf(warning) === 'journal-write-failed')).toEqual([]);
        const [journal = ''] = readdirSync(join(state, 'demo', 'deploys'));
        const last = readFileSync(join(state, 'demo', 'deploys', journal), 'utf8')
          .trimEnd()
          .split('\n')
          .at(-1);
        expect(JSON.parse(last ?? '')).toMatchObject({ type: 'closed', outcome: 'done' });
      });
    });
  });
});

describe('the journal of one configuration', () => {
  it('is refused to another one of the same name, and stays as it is', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const serving = await expectClean(rig);
      const config = rig.sandbox.path('temp', 'config');
      mkdirSync(config);
      rig.allow.strays.push(/^temp\/config\//);
      writeFileSync(join(config, 'demo.yaml'), readFileSync(rig.site().config));
      const env = { SWAP_POOL_CONFIG_DIR: config };
      const before = rig.journals();
      for (const command of ['deploy', 'start', 'rollback', 'recover', 'history']) {
        const run = await rig.run([command, 'demo'], { env });
        expect(run, command).toMatchObject({
          exit: 1,
          result: { failure: { reason: 'state-of-another-config' } },
        });
        expect(failureOf(run), command).toMatchObject({
          owner: rig.site().config,
          config: join(config, 'demo.yaml'),
        });
      }
      expect(await rig.run(['status', 'demo'], { env })).toMatchObject({ exit: 1 });
      expect(rig.journals()).toEqual(before);
      await expectClean(rig, serving);
      // the same file under another spelling is the same configuration
      const alias = rig.sandbox.path('temp', 'alias');
      symlinkSync(rig.sandbox.path('config'), alias);
      rig.allow.strays.push(/^temp\/alias$/);
      expect(await rig.deploy([], { env: { SWAP_POOL_CONFIG_DIR: alias } })).toMatchObject({ exit: 0 });
    });
  });
});

describe('the history', () => {
  it('tells an unfinished deploy as one, and how it ended once it has', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const serving = await expectClean(rig);
      await deathAt({ when: 'written', record: 2 }, (dieAt) => rig.deploy([], { dieAt }));
      const swap = { command: 'deploy', from: serving, to: otherSlot(serving) };
      expect(await pastOf(rig)).toMatchObject([{ ...swap, outcome: null }, { outcome: 'done' }]);
      await rig.run(['recover', 'demo']);
      expect(await pastOf(rig)).toMatchObject([{ ...swap, outcome: 'interrupted' }, { outcome: 'done' }]);
    });
  });

  it('keeps its order when the clock was set back, and so does what is recovered', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      // as if the clock had been years ahead
      for (const { file, records } of rig.journals()) {
        const ahead = records.map((record) =>
          JSON.stringify({ ...record, time: '2099-01-01T00:00:00.000Z' }),
        );
        const path = rig.sandbox.path(file);
        writeFileSync(path, `${ahead.join('\n')}\n`);
        renameSync(path, path.replace(/-\d{8}T/, '-20990101T'));
      }
      const serving = await expectClean(rig);
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      const died = await deathAt({ when: 'next', record: 9 }, (dieAt) => rig.deploy([], { dieAt }));
      expect(died.words).toBe('next');
      const past = (await pastOf(rig)).map(({ deploy }) => Number.parseInt(String(deploy), 10));
      expect(past).toEqual([4, 3, 2, 1]);
      // the last one alone is open; what it goes back on is the third, not the one with the latest time
      expect(openJournals(rig)).toBe(1);
      expect(await rig.run(['recover', 'demo'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(rig.journals().at(-1)?.records.map(nameOf).at(-1)).toBe('closed');
      expect(await rig.run(['rollback', 'demo'])).toMatchObject({
        exit: 0,
        result: { to: otherSlot(serving) },
      });
    });
  });
});

const pastOf = async (rig: Rig): Promise<readonly Record<string, unknown>[]> =>
  (await rig.run(['history', 'demo'])).result['history'] as readonly Record<string, unknown>[];

/** A file system of so many KiB for as long as `act` runs. */
async function onSmallDisk(rig: Rig, kib: number, act: (state: string) => Promise<void>): Promise<void> {
  const folder = rig.sandbox.path('temp', 'small');
  mkdirSync(folder, { mode: 0o700 });
  expect(mount(folder, kib)).toBe(true);
  try {
    await act(folder);
  } finally {
    expect(spawnSync('/usr/bin/umount', [folder]).status).toBe(0);
    rmdirSync(folder);
  }
}

function mount(folder: string, kib: number): boolean {
  const options = `size=${kib}k,mode=0700`;
  return spawnSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).status === 0;
}

function mayMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  const folder = mkdtempSync(join(tmpdir(), 'swap-pool-mount-'));
  try {
    if (!mount(folder, 16)) return false;
    return spawnSync('/usr/bin/umount', [folder]).status === 0;
  } finally {
    rmdirSync(folder);
  }
}

function fill(path: string): void {
  const fd = openSync(path, 'w');
  try {
    for (;;) writeSync(fd, Buffer.alloc(1024));
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
  } finally {
    closeSync(fd);
  }
}
