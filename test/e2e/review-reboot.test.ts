import { describe, expect, it } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import { deathAt, expectClean, recordsOf } from '../support/deaths.js';
import { withRig } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const DEPLOY = recordsOf(['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop']);
const numberOf = (record: string): number => DEPLOY.indexOf(record) + 1;

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
