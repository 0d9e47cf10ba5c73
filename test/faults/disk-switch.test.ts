/**
 * A disk that says no at each call of the switch, once or from then on. A link that was renamed moves all requests
 * though its folder could not be made durable: whoever takes that for "not moved" takes down the pool that serves.
 */
import { describe, expect, it } from 'vitest';
import type { LoadPlan } from '../../src/demo/load.js';
import type { SwitchKind } from '../../src/event.js';
import { expectClean, expectNoCut, mend, openJournals, reasonOf } from '../support/deaths.js';
import { expectTold, expectTrue, failureOf, LEFT } from '../support/disk.js';
import { preloaded } from '../support/preload.js';
import { withRig } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
/** As a disk fails that takes bytes and loses them: neither files nor folders become durable, all else goes well. */
const SYNC = { RIG_ONLY: 'fsyncSync' };
/** What the next deploy can do without: its proof that nginx need not be asked again. */
const KEPT = '.proof';
/** Rounds are many, and none of them is about what is under way. */
const BRIEF: LoadPlan = {
  fast: { rate: 40 },
  slow: { every: 100, takes: 100 },
  post: { clients: 1, takes: 5 },
};

describe.each(BOTH)('at each call of the switch by %s,', (by) => {
  // a drain of the pool that serves comes to no end
  const site = { workers: 12, yaml: 'drain: { timeout: 2s }' };

  it.each([
    ['ENOSPC', {}, 7],
    ['EIO', {}, 7],
    ['EIO', SYNC, 1],
  ] as const)(
    '%s (%j), once or from then on: deploy and site agree, and the disk is told',
    async (code, only, least) => {
      await withRig({ switch: by, site }, async (rig) => {
        await rig.deployed();
        const load = await rig.load(BRIEF);
        for (const once of ['', ':once']) {
          let call = 0;
          for (let met = true; met;) {
            call += 1;
            const from = await expectClean(rig);
            const env = { RIG_STEP: 'switch', RIG_NOT: KEPT, RIG_FAIL: `${code}:${call}${once}`, ...only };
            const run = await rig.deploy([], preloaded('fail-files', env));
            const words = failureOf(run);
            met = words !== null;
            const what = `${code}${once} at call ${call}: ${words ?? 'none'}`;
            if (met) {
              await expectTrue(rig, run, from, what);
              expectTold(run, what);
            } else expect(run.exit, what).toBe(0);
            const failures = run.events.map(({ failure }) => reasonOf(failure));
            expect(failures, what).not.toContain('drain-timeout');
            if (openJournals(rig) > 0) await mend(rig, 'recover');
            expectNoCut(rig, load, what);
            // a name that could be neither used nor taken away is the next switch's to remove
            if (rig.allow.strays.length === 0) rig.allow.strays.push(LEFT);
          }
          expect(call, `calls that ${code} met`).toBeGreaterThan(least);
        }
        rig.allow.strays.length = 0;
      });
    },
  );
});
