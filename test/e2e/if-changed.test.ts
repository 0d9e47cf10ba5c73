/** `--if-changed` after a pool was put back into service that runs what it was started with. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { byInit } from '../support/managed.js';
import { withRig, type Rig } from '../support/rig.js';

const KEEP = { workers: 4, yaml: 'drain: { timeout: 2s, on-timeout: keep }' };

const ifChanged = async (rig: Rig, outcome: 'done' | 'unchanged'): Promise<void> => {
  const run = await rig.deploy(['--if-changed']);
  expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome } });
};
const edit = (rig: Rig): void => {
  rig.append('; a word\n', 'pools', 'demo.conf');
};

describe('a link that was put back to a pool that runs', () => {
  it.each([
    ['has not, nothing is to be done', false],
    ['has changed, the pool is not the one that it should be', true],
  ])('when the configuration since its start %s', async (_, changed) => {
    await withRig({ switch: 'symlink', site: { workers: 4 } }, async (rig) => {
      await rig.deployed();
      await rig.deploy();
      if (changed) edit(rig);
      rmSync(rig.site().link);
      const run = await rig.run(['start']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'green' } });
      expect(run.events.some(({ step }) => step === 'start')).toBe(false);
      await ifChanged(rig, changed ? 'done' : 'unchanged');
      await ifChanged(rig, 'unchanged');
    });
  });
});

describe('a slot that was taken back while it drained', () => {
  it.each([
    ['has not, nothing is to be done', false],
    ['has changed, it is replaced', true],
  ])('when the configuration since its start %s', async (_, changed) => {
    await withRig({ switch: 'symlink', site: KEEP }, async (rig) => {
      await rig.deployed();
      const held = await rig.occupy();
      if (changed) edit(rig);
      expect(await rig.deploy()).toMatchObject({ exit: 5 });
      const back = await rig.run(['rollback']);
      expect(back, back.stderr).toMatchObject({ exit: 0, result: { to: 'blue' } });
      expect(back.events.some(({ step }) => step === 'start')).toBe(false);
      expect(await held.release()).toEqual([held.id]);
      await ifChanged(rig, changed ? 'done' : 'unchanged');
      await ifChanged(rig, 'unchanged');
    });
  });
});

describe('a configuration that is changed while the pool starts, and changed back', () => {
  // what it starts from is not what the deploy had read before
  const manager = byInit((script) =>
    script.replace(
      '"$DAEMON" --daemonize',
      '[ -f "$CONFIG.late" ] && cat "$CONFIG.late" >>"$CONFIG"\n    "$DAEMON" --daemonize',
    ),
  );

  it('is not taken for what the pool runs', async () => {
    await withRig({ ...manager.rig, switch: 'symlink', site: { workers: 4 } }, async (rig) => {
      await rig.deployed();
      await ifChanged(rig, 'unchanged');
      const { blue: config } = rig.site().fpmConfig;
      const text = readFileSync(config, 'utf8');
      writeFileSync(`${config}.late`, '; a word\n');
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      rmSync(`${config}.late`);
      writeFileSync(config, text);
      await ifChanged(rig, 'done');
      await ifChanged(rig, 'unchanged');
    });
  });
});
