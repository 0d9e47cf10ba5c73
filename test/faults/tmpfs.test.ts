/** A small tmpfs under everything that a deploy, nginx and the pools write: full to the last byte, or of its last file. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { SwitchKind } from '../../src/event.js';
import { expectClean, expectNoCut } from '../support/deaths.js';
import { expectTrue } from '../support/disk.js';
import type { LoadPlan } from '../../src/demo/load.js';
import { withRig, type Rig } from '../support/rig.js';
import { mountable, withTmpfs } from '../support/tmpfs.js';

if (!mountable) console.warn('SKIPPED, it takes root and the right to mount: a small tmpfs under everything');

/** What nginx need not keep on its disk. */
const LIGHT: LoadPlan = { fast: { rate: 40 }, slow: { every: 500, takes: 1_000 } };

/** A rig on a tmpfs of its own, but for what is the test's: nginx's logs, and the words to its scripts. */
async function onTmpfs(by: SwitchKind, act: (rig: Rig, disk: string) => Promise<void>): Promise<void> {
  const before = process.env['TMPDIR'];
  const apart = mkdtempSync(join(tmpdir(), 'swap-pool-apart-'));
  chmodSync(apart, 0o755);
  const prepare = (sandbox: Sandbox): void => {
    for (const name of ['log', 'work']) {
      expect(spawnSync('/bin/cp', ['-a', sandbox.path(name), apart]).status).toBe(0);
      rmSync(sandbox.path(name), { recursive: true });
      symlinkSync(join(apart, name), sandbox.path(name));
    }
  };
  try {
    await withTmpfs('size=2m,nr_inodes=300', async (disk) => {
      process.env['TMPDIR'] = disk;
      await withRig({ switch: by, site: { workers: 8 }, prepare }, (rig) => act(rig, disk));
    });
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    rmSync(apart, { recursive: true });
  }
}

/** Takes all there is; gives back what frees it. */
const FILL: Readonly<Record<string, (disk: string) => () => void>> = {
  byte: (disk) => {
    const path = join(disk, 'filler');
    for (let size = 4_194_304; size >= 1; size /= 2) {
      try {
        for (;;) writeFileSync(path, Buffer.alloc(size), { flag: 'a' });
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
      }
    }
    return () => {
      rmSync(path);
    };
  },
  file: (disk) => {
    const made: string[] = [];
    try {
      for (;;) {
        const path = join(disk, `filler-${made.length}`);
        writeFileSync(path, '');
        made.push(path);
      }
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
    }
    return () => {
      for (const path of made) rmSync(path);
    };
  },
};

describe.each<SwitchKind>(['rewrite', 'symlink'])('by %s,', (by) => {
  /** Everything is as it should be once there is room again. */
  const mended = async (rig: Rig): Promise<void> => {
    const recovered = await rig.run(['recover', 'demo']);
    expect(recovered.exit, recovered.stdout).toBeOneOf([0, 1]);
    const next = await rig.deploy();
    expect(next.result, next.stdout).toMatchObject({ outcome: 'done', exit: 0 });
    await expectClean(rig);
  };

  it.skipIf(!mountable).each(['byte', 'file'])(
    'no %s is left from the first: refused, the site as it was',
    (last) =>
      onTmpfs(by, async (rig, disk) => {
        await rig.deployed();
        const load = await rig.load(LIGHT);
        const free = FILL[last]?.(disk);
        const run = await rig.deploy();
        expect(run.exit, run.stdout).toBe(1);
        expect(run.stderr).toContain('ENOSPC');
        expect(await rig.answering()).toBe('blue');
        free?.();
        await mended(rig);
        expectNoCut(rig, load);
      }),
  );

  it.skipIf(!mountable).each(['byte', 'file'])(
    'no %s is left once it drains: nothing is cut, what is said is so',
    (last) =>
      onTmpfs(by, async (rig, disk) => {
        await rig.deployed();
        const load = await rig.load(LIGHT);
        const held = await rig.occupy();
        const command = rig.spawnDeploy();
        await command.untilStep('drain', 'progress');
        const free = FILL[last]?.(disk);
        expect(await held.release()).toEqual([held.id]);
        const run = await command.end;
        await expectTrue(rig, run, 'blue', 'full once it drains');
        expect(await rig.answering()).toBe('green');
        free?.();
        await mended(rig);
        expectNoCut(rig, load);
      }),
  );
});
