/** A disk that says no: at every single write of a deploy, for good; and what becomes of the state folder. */
import { readdirSync, renameSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import { expectClean, expectNoCut, TRAFFIC } from '../support/deaths.js';
import { expectTold, expectTrue, LEFT } from '../support/disk.js';
import { preloaded } from '../support/preload.js';
import { withRig } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];

describe.each(BOTH)('from any write on, by %s,', (by) => {
  // between the two switches each fault meets every sixth call; disk-switch.test.ts has every call of the switch itself
  it.each([
    ['ENOSPC', 12],
    ['EROFS', 12],
    ['EIO', 12],
    ['EACCES', 12],
  ] as const)(
    '%s: what is said of the site is so, nothing is cut, one recover ends it',
    async (code, pace) => {
      await withRig({ switch: by, site: { workers: 12 } }, async (rig) => {
        await rig.deployed();
        const load = await rig.load(TRAFFIC);
        const first = by === 'symlink' ? 1 : 1 + pace / 2;
        for (let call = first, met = true; met; call += pace) {
          const from = await expectClean(rig);
          const run = await rig.deploy([], preloaded('fail-files', { RIG_FAIL: `${code}:${call}` }));
          const words = /^failed: (.*)$/m.exec(run.stderr)?.[1];
          met = words !== undefined;
          const what = `${code} from call ${call} on: ${words ?? 'none'}`;
          if (met) {
            await expectTrue(rig, run, from, what);
            if (run.exit !== 0) expectTold(run, what);
          } else expect(run.exit, what).toBe(0);
          // the disk is well again
          const mended = await rig.run(['recover', 'demo']);
          expect(mended.exit, `${what}\n${mended.stdout}`).toBeOneOf([0, 1]);
          expectNoCut(rig, load, what);
          // a name that cannot be taken away now is the next deploy's to remove
          if (code !== 'ENOSPC' && rig.allow.strays.length === 0) rig.allow.strays.push(LEFT);
        }
        rig.allow.strays.length = 0;
      });
    },
  );
});

describe('the state folder', () => {
  it('is gone when a deploy begins, or goes while it drains: made anew, and the deploy is done', async () => {
    await withRig({ switch: 'symlink', site: { workers: 8 } }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      const gone = (to: string): void => {
        renameSync(rig.sandbox.path('state'), rig.sandbox.path('temp', to));
      };
      rig.allow.strays.push(/^temp\/state-/);
      gone('state-1');
      expect((await rig.deploy()).result).toMatchObject({ outcome: 'done', exit: 0, to: 'green' });
      expect(readdirSync(rig.sandbox.path('state', 'demo', 'deploys'))).toHaveLength(1);

      const held = await rig.occupy();
      const command = rig.spawnDeploy();
      await command.untilStep('drain', 'progress');
      gone('state-2');
      expect(await held.release()).toEqual([held.id]);
      const run = await command.end;
      expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, to: 'blue' });
      expect((await rig.deploy()).result).toMatchObject({ outcome: 'done', exit: 0, to: 'green' });
      await expectClean(rig, 'green');
    });
  });
});
