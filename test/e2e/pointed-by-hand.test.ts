/** What becomes of a deploy whose site a person has pointed at the other slot, while it was dead or drained. */
import { readFileSync, readlinkSync, renameSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SLOTS, type SwitchKind } from '../../src/event.js';
import { editByHand, pointByHand } from '../support/by-hand.js';
import {
  deathAt,
  expectClean,
  expectNoCut,
  numberOf,
  openJournals,
  reasonOf,
  TRAFFIC,
} from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind, workers = 8): RigOptions => ({ switch: by, site: { workers } });

/** A deploy from blue to green that died after this record. */
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

describe('a slot that a person has pointed the proxy back to', () => {
  for (const by of BOTH) {
    it.each(['evidence verify', 'intent drain', 'intent retire', 'evidence retire'])(
      `stays, and the other one goes, when the deploy died at %s: ${by}`,
      async (record) => {
        await withRig(on(by, 4), async (rig) => {
          await dead(rig, record);
          const pid = rig.sandbox.poolMaster('blue');
          const text = rig.site().address.blue.slice('unix:'.length);
          if (record === 'evidence retire') {
            renameSync(text.replace(/([^/]+)$/, '.$1.swap-pool-retired'), text);
          }
          await pointByHand(rig, 'blue');
          await rig.load({ fast: { rate: 30 }, post: { clients: 1, takes: 5 } });
          const run = await rig.run(['recover', 'demo']);
          expect(run, run.stderr).toMatchObject({ exit: 1, result: { outcome: 'reverted' } });
          expect(rig.sandbox.poolMaster('blue')).toBe(pid);
          await expectClean(rig, 'blue');
        });
      },
    );

    it(`is not taken down by the deploy that drains it: ${by}`, async () => {
      await withRig(on(by, 4), async (rig) => {
        rig.allow.reloads = true;
        await rig.deployed();
        const held = await rig.occupy();
        const deploy = rig.spawnDeploy();
        await deploy.untilStep('drain');
        await pointByHand(rig, 'blue');
        expect(await held.release()).toEqual([held.id]);
        const run = await deploy.end;
        expect(run, run.stderr).toMatchObject({ exit: 4, result: { outcome: 'stranded' } });
        expect(await rig.answering()).toBe('blue');
        expect(await rig.run(['recover', 'demo'])).toMatchObject({
          exit: 1,
          result: { outcome: 'reverted' },
        });
        await expectClean(rig, 'blue');
      });
    });
  }
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
