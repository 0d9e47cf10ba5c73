/** A pool dies while the other one is being taken down for it: the one that is left is not touched. */
import { rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { deathAt, expectClean, numberOf } from '../support/deaths.js';
import { withRig } from '../support/rig.js';
import type { Rig, RigOptions } from '../support/rig.js';

const rewrite: RigOptions = { switch: 'rewrite', site: { workers: 4, yaml: 'drain: { timeout: 60s }' } };
const symlink: RigOptions = { ...rewrite, switch: 'symlink' };
const BOTH = [
  ['rewrite', rewrite],
  ['symlink', symlink],
] as const;

const STRANDED = {
  exit: 4,
  result: { outcome: 'stranded', failure: { reason: 'stranded' } },
};

/** A deploy to green that waits for a request in blue, until green is dead. */
async function newPoolDies(rig: Rig, end: () => Promise<void>): Promise<void> {
  await rig.deployed();
  const held = await rig.occupy();
  const deploy = rig.spawnDeploy();
  await rig.until(() => deploy.stdout.includes('"step":"drain"'));
  await end();
  expect(await deploy.end).toMatchObject(STRANDED);
  expect(await held.release()).toEqual([held.id]);
}

describe('the old pool stays when the new one dies while it drains', () => {
  it.each(BOTH)('%s: recover starts the new one again, and goes on', async (by, options) => {
    await withRig(options, async (rig) => {
      await newPoolDies(rig, () => rig.signalPool('green', 'SIGTERM'));
      expect(rig.sandbox.poolMaster('blue')).not.toBeNull();
      // each is the other's backup
      if (by === 'rewrite') expect(await rig.answering()).toBe('blue');
      const run = await rig.run(['recover']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'done', from: 'blue', to: 'green' } });
      expect(run.stdout).toContain('"reason":"brought-back"');
      await expectClean(rig, 'green');
    });
  });

  it.each(BOTH)('%s: rollback takes the old one back as it runs', async (_, options) => {
    await withRig(options, async (rig) => {
      await newPoolDies(rig, () => rig.signalPool('green', 'SIGTERM'));
      const master = rig.sandbox.poolMaster('blue');
      expect(await rig.run(['rollback'])).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'blue' } });
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      await expectClean(rig, 'blue');
    });
  });

  it('and when workers alone are left of the new one', async () => {
    await withRig(rewrite, async (rig) => {
      await newPoolDies(rig, () => rig.signalPool('green', 'SIGKILL'));
      const master = rig.sandbox.poolMaster('blue');
      expect(await rig.run(['recover'])).toMatchObject(STRANDED);
      expect(await rig.run(['rollback'])).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'blue' } });
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      await expectClean(rig, 'blue');
    });
  });

  it('and when it was kept at its deadline, or the deploy was killed', async () => {
    const kept: RigOptions = { ...rewrite, site: { workers: 4, yaml: 'drain: { timeout: 200ms }' } };
    await withRig(kept, async (rig) => {
      await rig.deployed();
      const held = await rig.occupy();
      expect(await rig.deploy()).toMatchObject({ exit: 5 });
      await rig.signalPool('green', 'SIGTERM');
      rig.breakSlot('green', 'body');
      const run = await rig.run(['recover']);
      expect(run).toMatchObject(STRANDED);
      // it did not answer rightly: nobody is sent there
      expect(rig.sandbox.poolMaster('green')).toBeNull();
      expect(await rig.answering()).toBe('blue');
      rig.breakSlot('green', null);
      expect(await held.release()).toEqual([held.id]);
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      await expectClean(rig, 'green');
    });
  });
});

describe('the new pool stays when the old one dies while it is being undone', () => {
  it('a deploy that fails then is stranded, and not led back to nobody', async () => {
    await withRig(rewrite, async (rig) => {
      await rig.deployed();
      const yaml = rig.read('config', 'demo.yaml').replace('probe:\n', 'probe:\n  timeout: 2s\n');
      writeFileSync(rig.sandbox.path('config', 'demo.yaml'), yaml);
      rig.breakSlot('green', 'body');
      const deploy = rig.spawnDeploy();
      await rig.until(() => deploy.stdout.includes('"step":"probe"'));
      await rig.signalPool('blue', 'SIGTERM');
      expect(await deploy.end).toMatchObject(STRANDED);
      expect(rig.sandbox.poolMaster('green')).not.toBeNull();
      expect(await rig.run(['recover'])).toMatchObject({ exit: 1, result: { outcome: 'reverted' } });
      await expectClean(rig, 'blue');
    });
  });

  it('recover starts the old one again before it takes the new one down', async () => {
    await withRig(rewrite, async (rig) => {
      await rig.deployed();
      const record = numberOf('evidence probe');
      await deathAt({ when: 'written', record }, (dieAt) => rig.deploy([], { dieAt }));
      await rig.signalPool('blue', 'SIGTERM');
      expect(await rig.answering()).toBe('green');
      const run = await rig.run(['recover']);
      expect(run).toMatchObject({ exit: 1, result: { outcome: 'reverted' } });
      expect(run.stdout).toContain('"reason":"brought-back"');
      await expectClean(rig, 'blue');
    });
  });
});

it('a slot that somebody has put to another use while it drained is not stopped', async () => {
  await withRig(rewrite, async (rig) => {
    await rig.deployed();
    const held = await rig.occupy();
    const deploy = rig.spawnDeploy();
    await rig.until(() => deploy.stdout.includes('"step":"drain"'));
    const { address } = rig.site();
    const preview = rig.sandbox.path('sites', 'preview.conf');
    writeFileSync(preview, `upstream preview { server ${address.blue}; }\n`);
    await rig.signalNginx('SIGHUP');
    expect(await held.release()).toEqual([held.id]);
    expect(await deploy.end).toMatchObject({
      exit: 5,
      result: { failure: { reason: 'reference-ambiguous' } },
    });
    expect(rig.sandbox.poolMaster('blue')).not.toBeNull();
    rmSync(preview);
    expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
    await expectClean(rig, 'green');
  });
});
