import { lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Slot, SwitchKind } from '../../src/event.js';
import type { Run } from '../support/command.js';
import { deathAt, expectClean, numberOf } from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind): RigOptions => ({ switch: by, site: { workers: 4 } });

const warned = (run: Run): string[] =>
  run.events
    .filter(({ type }) => type === 'warning')
    .map((line) => (line['warning'] as { reason: string }).reason);
const stepsOf = (run: Run): unknown[] =>
  run.events.filter(({ type }) => type === 'step-done').map(({ step }) => step);

/** As a reboot leaves a site: no pool, and with `link` not even what was in /run. */
async function stopPools(rig: Rig, { link = false } = {}): Promise<void> {
  for (const slot of ['blue', 'green'] as const) {
    if (rig.sandbox.poolMaster(slot) !== null) await rig.signalPool(slot, 'SIGQUIT');
  }
  if (link) rmSync(rig.site().link);
}

const linked = (rig: Rig): Slot => {
  expect(lstatSync(rig.site().link).isSymbolicLink()).toBe(true);
  const target = `unix:${readlinkSync(rig.site().link)}`;
  return target === rig.site().address.blue ? 'blue' : 'green';
};

describe('start', () => {
  it.each(BOTH)('brings a new site up, and has nothing to do the second time: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      const first = await rig.run(['start']);
      expect(first).toMatchObject({
        exit: 0,
        result: { command: 'start', outcome: 'done', from: null, to: 'blue', switch: by },
      });
      // its nginx was started in the very moment in which its files were written: it is made to follow them
      expect(stepsOf(first)).toEqual(['start', 'probe', 'switch']);
      expect(await rig.answering()).toBe('blue');
      await rig.load({ fast: { rate: 20 } });
      const pid = rig.sandbox.poolMaster('blue');
      const again = await rig.run(['start']);
      expect(again).toMatchObject({
        exit: 0,
        result: { command: 'start', outcome: 'unchanged', to: 'blue' },
      });
      expect(again.events).toHaveLength(1);
      expect(rig.sandbox.poolMaster('blue')).toBe(pid);
      expect(rig.journals()).toHaveLength(1);
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { from: 'blue', to: 'green' } });
    });
  });

  it.each(BOTH)('brings up the slot that the configuration names, not the first: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      await rig.deploy();
      await stopPools(rig);
      expect(await rig.run(['status'])).toMatchObject({
        exit: 1,
        result: { failure: { reason: 'not-serving' }, apps: [{ active: 'green', served: false }] },
      });
      expect(await rig.run(['start'])).toMatchObject({ exit: 0, result: { from: null, to: 'green' } });
      expect(await rig.answering()).toBe('green');
      expect(await rig.run(['status'])).toMatchObject({ exit: 0 });
    });
  });

  it('brings up the last finished deploy’s slot, and restores the link, when that is gone too', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.deploy();
      await stopPools(rig, { link: true });
      const run = await rig.run(['start']);
      expect(run).toMatchObject({ exit: 0, result: { from: null, to: 'green', outcome: 'done' } });
      expect(linked(rig)).toBe('green');
      expect(await rig.answering()).toBe('green');
    });
  });

  it('restores a missing link to the pool that runs, and starts nothing', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.deploy();
      const pid = rig.sandbox.poolMaster('green');
      rmSync(rig.site().link);
      expect(await rig.run(['status'])).toMatchObject({ exit: 1, result: { apps: [{ served: false }] } });
      const run = await rig.run(['start']);
      expect(run).toMatchObject({ exit: 0, result: { to: 'green', outcome: 'done' } });
      expect(stepsOf(run)).toEqual(['probe', 'switch']);
      expect(linked(rig)).toBe('green');
      expect(rig.sandbox.poolMaster('green')).toBe(pid);
      expect(await rig.answering()).toBe('green');
    });
  });

  it('replaces a link that dangles, and leaves alone what is no link of ours', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await stopPools(rig, { link: true });
      symlinkSync('/nonexistent/pool.sock', rig.site().link);
      expect(await rig.run(['start'])).toMatchObject({ exit: 0, result: { to: 'blue' } });
      expect(linked(rig)).toBe('blue');
      rmSync(rig.site().link);
      mkdirSync(rig.site().link);
      for (const verb of ['start', 'deploy']) {
        const run = await rig.run([verb]);
        expect(run).toMatchObject({
          exit: 1,
          result: { outcome: 'refused', failure: { reason: 'link-wrong' } },
        });
      }
      rmSync(rig.site().link, { recursive: true });
      expect(await rig.run(['start'])).toMatchObject({ exit: 0 });
    });
  });

  it.each(BOTH)('does its part while nginx does not run, and a deploy is refused: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      await rig.deploy();
      await rig.signalNginx('SIGQUIT', { gone: true });
      const refused = await rig.deploy();
      expect(refused).toMatchObject({
        exit: 1,
        result: { outcome: 'refused', failure: { reason: 'nginx-not-running' } },
      });
      expect(refused.stderr).toContain(rig.sandbox.path('nginx.conf'));
      await stopPools(rig, { link: by === 'symlink' });
      expect(await rig.run(['start'])).toMatchObject({
        exit: 0,
        result: { from: null, to: 'green', outcome: 'done' },
      });
      expect(await rig.run(['status'])).toMatchObject({
        result: {
          apps: [{ active: 'green', slots: { green: { state: 'running' } } }],
          nginx: { pid: null, workers: 0, retiring: 0 },
        },
      });
      expect((await rig.sandbox.startNginx()).ok).toBe(true);
      expect(await rig.answering()).toBe('green');
      expect(await rig.run(['start'])).toMatchObject({ exit: 0, result: { outcome: 'unchanged' } });
    });
  });

  it.each(BOTH)('is what a deploy does when nothing serves: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      const first = await rig.deploy();
      expect(first).toMatchObject({ exit: 0, result: { command: 'deploy', from: null, to: 'blue' } });
      expect(warned(first)).toContain('nothing-serves');
      await rig.deploy();
      await stopPools(rig);
      const second = await rig.deploy();
      expect(second).toMatchObject({ exit: 0, result: { from: null, to: 'green' } });
      expect(warned(second)).toContain('nothing-serves');
      expect(await rig.answering()).toBe('green');
    });
  });

  it.each(BOTH)('that fails leaves nothing of its own behind: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      const { config } = rig.site();
      writeFileSync(config, rig.read('config', 'demo.yaml').replace('probe:', 'probe:\n  timeout: 2s'));
      rig.breakSlot('blue', 'status');
      const failed = await rig.run(['start']);
      expect(failed).toMatchObject({
        exit: 1,
        result: { outcome: 'reverted', failure: { reason: 'probe-failed' } },
      });
      expect(rig.isListening('blue')).toBe(false);
      rig.breakSlot('blue', null);
      expect(await rig.run(['start'])).toMatchObject({ exit: 0, result: { to: 'blue' } });
    });
  });

  it('brings up every app, whatever became of the one before; the worst end is its own', async () => {
    const sites = ['first', 'second'].map((name) => ({ name, switch: 'symlink' as const, workers: 2 }));
    await withRig({ sites }, async (rig) => {
      const { config } = rig.site('first');
      const text = rig.read('config', 'first.yaml');
      writeFileSync(config, `${text}\nno-such-key: 1\n`);
      const run = await rig.run(['start']);
      expect(run).toMatchObject({
        exit: 2,
        result: { app: 'first', command: 'start', outcome: 'usage', failure: { reason: 'config-invalid' } },
      });
      // each has its own result, and the deploy in it is its own
      const results = run.events.filter(({ type }) => type === 'result');
      const deploy = run.events.find(({ type, app }) => type === 'plan' && app === 'second')?.['deploy'];
      expect(results).toMatchObject([
        { app: 'second', deploy, outcome: 'done', exit: 0, to: 'blue' },
        { app: 'first', outcome: 'usage' },
      ]);
      expect(deploy).toBeDefined();
      expect(results[1]).not.toHaveProperty('deploy');
      expect(await rig.answering('second')).toBe('blue');
      expect(await rig.run(['status'])).toMatchObject({
        exit: 2,
        result: {
          app: null,
          apps: [
            { app: 'first', failure: { reason: 'config-invalid' } },
            { app: 'second', served: true },
          ],
        },
      });
      writeFileSync(config, text);
      const plain = await rig.run(['start'], { json: false });
      expect(plain).toMatchObject({ exit: 0 });
      expect(plain.stdout).toMatch(/^first: blue serves in .*$[^]*^second: Unchanged: blue serves/m);
      expect(await rig.answering('first')).toBe('blue');
    });
  });
});

/** Where a deploy can have died: before its switch acted, after it, past the pivot. */
const DEATHS = [
  ['the switch began', { when: 'written', record: numberOf('intent switch') }],
  ['the switch acted', { when: 'next', record: numberOf('intent switch') }],
  ['the switch was proven', { when: 'written', record: numberOf('evidence switch') }],
  ['the drain began', { when: 'written', record: numberOf('intent drain') }],
] as const;

describe('start after a reboot, before nginx runs', () => {
  for (const by of BOTH) {
    it.each(DEATHS)(`brings the site up when a deploy had died as %s: ${by}`, async (_, dieAt) => {
      await withRig({ switch: by, site: { workers: 4 } }, async (rig) => {
        await rig.deployed();
        await deathAt(dieAt, (at) => rig.deploy([], { dieAt: at }));
        for (const slot of ['blue', 'green'] as const) {
          if (rig.sandbox.poolMaster(slot) !== null) await rig.signalPool(slot, 'SIGTERM');
        }
        await rig.signalNginx('SIGQUIT', { gone: true });
        const run = await rig.run(['start']);
        expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        await rig.sandbox.startNginx();
        await expectClean(rig);
        expect(await rig.deploy()).toMatchObject({ exit: 0 });
      });
    });
  }
});
