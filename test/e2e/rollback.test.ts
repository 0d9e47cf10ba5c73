import { describe, expect, it } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import { deathAt, expectClean, numberOf, openJournals } from '../support/deaths.js';
import { withRig, type RigOptions } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind): RigOptions => ({ switch: by, site: { workers: 4 } });

describe('rollback', () => {
  it.each(BOTH)('from a slot whose pool has died goes to the other one: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      await rig.deploy();
      await rig.signalPool('green', 'SIGQUIT');
      const run = await rig.run(['rollback', 'demo']);
      expect(run, run.stderr).toMatchObject({
        exit: 0,
        result: { from: 'green', to: 'blue', outcome: 'done' },
      });
      await expectClean(rig, 'blue');
    });
  });

  it.each(BOTH)(
    'onto a slot whose drain ended by itself leaves no deploy behind that would stop it later: %s',
    async (by) => {
      await withRig(on(by), async (rig) => {
        await rig.deployed();
        await deathAt({ when: 'written', record: numberOf('intent drain') }, (dieAt) =>
          rig.deploy([], { dieAt }),
        );
        await rig.signalPool('blue', 'SIGQUIT');
        const run = await rig.run(['rollback', 'demo']);
        expect(run, run.stderr).toMatchObject({ exit: 0, result: { to: 'blue' } });
        expect(openJournals(rig)).toBe(0);
        await rig.run(['recover', 'demo']);
        await expectClean(rig, 'blue');
      });
    },
  );
});
