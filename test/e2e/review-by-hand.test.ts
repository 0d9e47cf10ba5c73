/** What `recover` makes of a site that a person has pointed at the new slot while its deploy was dead. */
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SLOTS, type SwitchKind } from '../../src/event.js';
import { editByHand, pointByHand } from '../support/by-hand.js';
import {
  deathAt,
  expectClean,
  expectNoCut,
  openJournals,
  reasonOf,
  recordsOf,
  TRAFFIC,
} from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind): RigOptions => ({ switch: by, site: { workers: 8 } });
const DEPLOY = recordsOf(['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop']);
const numberOf = (record: string): number => DEPLOY.indexOf(record) + 1;

/** A deploy from blue to green that died before its switch. */
async function dead(rig: Rig, record: string): Promise<void> {
  rig.allow.reloads = true;
  await rig.deployed();
  await deathAt({ when: 'written', record: numberOf(record) }, (dieAt) => rig.deploy([], { dieAt }));
}

const edited = (rig: Rig): string =>
  rig.site().switch === 'symlink' ? readlinkSync(rig.site().link) : readFileSync(rig.site().upstream, 'utf8');

const STAYS = { exit: 4, result: { outcome: 'stranded', failure: { reason: 'stranded' } } };

describe.each(BOTH)('a person points nginx at the new slot of a deploy that died: %s', (by) => {
  it.each(['evidence start', 'intent probe', 'intent switch'])(
    'at %s, and `recover` goes on with it and cuts nothing',
    async (record) => {
      await withRig(on(by), async (rig) => {
        await dead(rig, record);
        const load = await rig.load({ ...TRAFFIC, slow: { every: 200, takes: 1_500 } });
        await rig.until(() => load.underWay('slow') > 0 && load.underWay('upload') > 0);
        const pid = rig.sandbox.poolMaster('green');
        await pointByHand(rig, 'green');
        const before = edited(rig);
        const run = await rig.run(['recover']);
        expect(run, run.stderr).toMatchObject({
          exit: 0,
          result: { outcome: 'done', from: 'blue', to: 'green', drain: { cut: 0 } },
        });
        expect(edited(rig)).toBe(before);
        expect(rig.sandbox.poolMaster('green')).toBe(pid);
        await expectClean(rig, 'green');
        expectNoCut(rig, load);
      });
    },
  );

  it('that had not started it: the pool that the person started stays, and nobody claims to know what it runs', async () => {
    await withRig(on(by), async (rig) => {
      await dead(rig, 'opened');
      expect((await rig.sandbox.startPool('green')).ok).toBe(true);
      const pid = rig.sandbox.poolMaster('green');
      await pointByHand(rig, 'green');
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(rig.sandbox.poolMaster('green')).toBe(pid);
      await expectClean(rig, 'green');
      const next = await rig.deploy(['--if-changed']);
      expect(next).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'blue' } });
    });
  });

  it('and a `recover` that is killed at its only record has done no harm', async () => {
    await withRig(on(by), async (rig) => {
      await dead(rig, 'intent probe');
      const load = await rig.load(TRAFFIC);
      await rig.until(() => load.underWay('slow') > 0);
      await pointByHand(rig, 'green');
      for (const at of [
        { when: 'next', record: 0 },
        { when: 'written', record: 1 },
      ] as const) {
        await deathAt(at, (dieAt) => rig.run(['recover'], { dieAt }));
        expect(await rig.answering()).toBe('green');
      }
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      await expectClean(rig, 'green');
      expectNoCut(rig, load);
    });
  });

  it.each([
    [
      'its probe fails',
      (rig: Rig, broken: boolean) => {
        rig.breakSlot('green', broken ? 'status' : null);
      },
    ],
    [
      'the request through nginx fails',
      (rig: Rig, broken: boolean) => {
        rig.breakVerify('green', broken);
      },
    ],
  ] as const)('and %s: the edit stays, both pools stay, exit 4 until it is well', async (_, breakIt) => {
    await withRig({ ...on(by), site: { workers: 4, yaml: 'drain: { timeout: 5s }' } }, async (rig) => {
      await dead(rig, 'evidence probe');
      const yaml = rig.read('config', 'demo.yaml');
      writeFileSync(rig.site().config, yaml.replace('probe:', 'probe:\n  timeout: 3s'));
      await pointByHand(rig, 'green');
      breakIt(rig, true);
      const before = edited(rig);
      for (const command of ['recover', 'deploy']) {
        const run = await rig.run([command]);
        expect(run, run.stderr).toMatchObject(STAYS);
        expect(run.stderr).toContain('green');
      }
      expect(edited(rig)).toBe(before);
      expect(SLOTS.every((slot) => rig.isListening(slot))).toBe(true);
      breakIt(rig, false);
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(edited(rig)).toBe(before);
      await expectClean(rig, 'green');
    });
  });

  it('and stops the old pool: there is nothing left to prove, the deploy is done', async () => {
    await withRig(on(by), async (rig) => {
      await dead(rig, 'evidence probe');
      await pointByHand(rig, 'green');
      rig.breakVerify('green');
      expect(await rig.run(['recover'])).toMatchObject(STAYS);
      await rig.signalPool('blue', 'SIGQUIT');
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      rig.breakVerify('green', false);
      expect(openJournals(rig)).toBe(0);
      await expectClean(rig, 'green');
    });
  });

  it('and back again: the deploy is undone', async () => {
    await withRig(on(by), async (rig) => {
      await dead(rig, 'evidence probe');
      await pointByHand(rig, 'green');
      rig.breakVerify('green');
      expect(await rig.run(['recover'])).toMatchObject(STAYS);
      await pointByHand(rig, 'blue');
      expect((await rig.run(['recover'])).result).toMatchObject({ outcome: 'reverted' });
      expect(openJournals(rig)).toBe(0);
      await expectClean(rig, 'blue');
      rig.breakVerify('green', false);
    });
  });
});

it('an edit that nginx was not told of is not put live by `recover`, nor taken back', async () => {
  await withRig(on('rewrite'), async (rig) => {
    await dead(rig, 'evidence probe');
    editByHand(rig, 'green');
    const before = edited(rig);
    const run = await rig.run(['recover']);
    expect(run, run.stderr).toMatchObject(STAYS);
    expect(reasonOf(run.result['failure'])).toBe('stranded');
    expect(run.stderr).toMatch(/reload/);
    expect(await rig.answering()).toBe('blue');
    expect(edited(rig)).toBe(before);
    await rig.signalNginx('SIGHUP');
    for (let seen = ''; seen !== 'green';) seen = await rig.answering();
    expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
    await expectClean(rig, 'green');
  });
});
