import { renameSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import { pointByHand } from '../support/by-hand.js';
import { deathAt, expectClean, recordsOf } from '../support/deaths.js';
import { withRig, type RigOptions } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind): RigOptions => ({ switch: by, site: { workers: 4 } });
const DEPLOY = recordsOf(['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop']);
const numberOf = (record: string): number => DEPLOY.indexOf(record) + 1;

describe('a slot that a person has pointed the proxy back to', () => {
  for (const by of BOTH) {
    it.each(['evidence verify', 'intent drain', 'intent retire', 'evidence retire'])(
      `stays, and the other one goes, when the deploy died at %s: ${by}`,
      async (record) => {
        await withRig(on(by), async (rig) => {
          rig.allow.reloads = true;
          await rig.deployed();
          await deathAt({ when: 'written', record: numberOf(record) }, (dieAt) => rig.deploy([], { dieAt }));
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
      await withRig(on(by), async (rig) => {
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
