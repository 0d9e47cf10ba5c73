/** What a master that runs lets requests end in is what it began with, whatever its file says by now. */
import { spawn } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Pools } from '../../src/pool/driver.js';
import { FPM, value, withRig } from './rig.js';
import type { Rig } from './rig.js';

/** The driver that a run of the program would have once the file says so. */
async function saying(rig: Rig, timeout: string): Promise<Pools> {
  rig.write('fpm.conf', rig.fpmConfig({ ...rig.options, global: `process_control_timeout = ${timeout}` }));
  return value(await rig.create());
}
const held = async (rig: Rig): Promise<() => Promise<unknown>> => {
  const asked = rig.ask('held');
  await rig.until(() => value(rig.pool.observe('blue')).connections.accepted === 1);
  return () => {
    rig.release();
    return asked;
  };
};

describe('a master that we started', () => {
  it('goes-by-what-it-began-with', () =>
    withRig({ stop: 1000, global: 'process_control_timeout = 30s' }, async (rig) => {
      await rig.start();
      const less = await saying(rig, '0');
      expect([less.grace('blue'), less.patience('blue')]).toEqual([30_000, 32_000]);
      // nobody runs there: what starts next goes by the file
      expect([less.grace('green'), less.patience('green')]).toEqual([0, 2000]);
    }));

  it('has-none-though-its-file-says-so-by-now', () =>
    withRig({ stop: 1000, global: 'process_control_timeout = 0' }, async (rig) => {
      await rig.start();
      const more = await saying(rig, '7s');
      expect([more.grace('blue'), more.patience('blue')]).toEqual([0, 9000]);
    }));

  it('has-what-its-file-says-once-it-was-reloaded', () =>
    withRig({ stop: 1000, global: 'process_control_timeout = 0' }, async (rig) => {
      const life = await rig.start();
      const more = await saying(rig, '7s');
      value(await more.reload('blue', life, () => undefined));
      expect((await saying(rig, '0')).grace('blue')).toBe(7000);
    }));

  it('is-given-as-long-as-it-takes-itself-when-it-reloads', () =>
    withRig({ stop: 100, startTimeout: 100, global: 'process_control_timeout = 30s' }, async (rig) => {
      const life = await rig.start();
      const less = await saying(rig, '0');
      const end = await held(rig);
      const began = performance.now();
      const reloaded = less.reload('blue', life, () => undefined);
      // longer than what the file says would let it take
      await rig.until(() => performance.now() - began > 2500);
      expect(await end()).toMatchObject({ ok: true });
      expect(value(await reloaded).master).not.toEqual(life.master);
    }));

  it('is-given-as-long-as-it-takes-itself-when-it-is-stopped', () =>
    withRig({ stop: 100, global: 'process_control_timeout = 30s' }, async (rig) => {
      const life = await rig.start();
      const less = await saying(rig, '0');
      const end = await held(rig);
      const began = performance.now();
      const told: unknown[] = [];
      const stopped = less.stop('blue', life, (warning) => told.push(warning), 'patient');
      await rig.until(() => performance.now() - began > 2500);
      expect(await end()).toMatchObject({ ok: true });
      expect([value(await stopped).signal, told]).toEqual(['SIGQUIT', []]);
    }));
});

describe('a master that somebody else began', () => {
  const settled = (rig: Rig): Promise<void> =>
    rig.until(() => Date.now() - statSync(rig.path('fpm.conf')).ctimeMs > 3500, 10_000);

  it('goes-by-its-files-where-these-are-older', () =>
    withRig({ global: 'process_control_timeout = 0' }, async (rig) => {
      await settled(rig);
      expect(rig.startByHand()).toBe(0);
      await rig.until(() => value(rig.pool.observe('blue')).life !== null);
      expect(rig.pool.grace('blue')).toBe(0);
    }));

  it('cannot-be-told-where-they-have-changed-and-has-the-longest-time-that-is-known', () =>
    withRig({ stop: 1000, global: 'process_control_timeout = 50s' }, async (rig) => {
      mkdirSync(rig.path('state'));
      rig.pool.remember();
      expect(rig.startByHand()).toBe(0);
      await rig.until(() => value(rig.pool.observe('blue')).life !== null);
      const less = await saying(rig, '3s');
      expect([less.grace('blue'), less.patience('blue')]).toEqual([null, 52_000]);
    }));

  it('is-another-run-once-it-was-reloaded-by-hand-though-its-pid-stays', () =>
    withRig({ global: 'process_control_timeout = 0' }, async (rig) => {
      mkdirSync(rig.path('state'));
      rig.write('fpm.log', '');
      const env = { SWAP_POOL_SLOT: 'blue' };
      const child = spawn(FPM, ['-F', '-y', rig.path('fpm.conf')], { cwd: '/', stdio: 'ignore', env });
      let runs = 1;
      const up = (): Promise<void> =>
        rig.until(() => rig.log().split('ready to handle connections').length - 1 === runs);
      const byHand = async (): Promise<void> => {
        runs += 1;
        child.kill('SIGUSR2');
        await up();
      };
      await up();
      const { life } = value(rig.pool.observe('blue'));
      if (life === null) throw new Error('nobody lives there');
      value(await rig.pool.reload('blue', life, () => undefined));
      runs += 1;
      const more = await saying(rig, '9s');
      expect(more.grace('blue')).toBe(0);
      await byHand();
      expect(more.grace('blue')).toBeNull();
      // the pidfile tells when a run began that its files are older than
      await settled(rig);
      await byHand();
      expect(more.grace('blue')).toBe(9000);
      expect(value(more.observe('blue')).life?.master?.pid).toBe(child.pid);
    }));
});
