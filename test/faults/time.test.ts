/** A clock that is set: swap-pool's own is a day off, ahead or behind, and files are younger than now. */
import { utimesSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import type { Run } from '../support/command.js';
import { deathAt, expectClean, mend, numberOf, TRAFFIC } from '../support/deaths.js';
import { preloaded } from '../support/preload.js';
import { withRig, type Rig } from '../support/rig.js';

const DAY = 86_400_000;
const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];

/** No step, and not the whole, is said to have taken a time that only the clock has passed. */
const expectTimes = (run: Run): void => {
  for (const [step, ms] of Object.entries(run.result['ms'] as Record<string, number>)) {
    expect(ms, step).toBeGreaterThanOrEqual(0);
    if (step !== 'total') expect(ms, step).toBeLessThan(DAY / 2);
  }
};

describe.each(BOTH)('a clock that jumps by a day, by %s:', (by) => {
  const withTraffic = (act: (rig: Rig) => Promise<void>): Promise<void> =>
    withRig({ switch: by, site: { workers: 8 } }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      await act(rig);
    });

  it('back and forth during deploys, which are done all the same', async () => {
    await withTraffic(async (rig) => {
      for (const [to, clock] of [
        ['green', `~${DAY}`],
        ['blue', `~-${DAY}`],
      ] as const) {
        const run = await rig.deploy([], preloaded('shift-clock', { RIG_CLOCK: clock }));
        expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, to, drain: { cut: 0 } });
        expectTimes(run);
        await expectClean(rig, to);
      }
    });
  });

  it('after a death: recover waits for no clock', async () => {
    await withTraffic(async (rig) => {
      for (const [index, record] of [
        'intent start',
        'intent start',
        'evidence switch',
        'evidence drain',
      ].entries()) {
        const { env, program } = preloaded('shift-clock', {
          RIG_CLOCK: String(index % 2 === 0 ? DAY : -DAY),
        });
        const NODE_OPTIONS = `--require ${program[2]}`;
        const point = { when: 'written', record: numberOf(record) } as const;
        await deathAt(point, (dieAt) => rig.deploy([], { dieAt, env: { ...env, NODE_OPTIONS } }));
        await mend(rig, 'recover');
        await expectClean(rig);
      }
    });
  });

  it('files of tomorrow are read by a reload, once', async () => {
    await withTraffic(async (rig) => {
      const tomorrow = new Date(Date.now() + DAY);
      for (const path of [rig.site().upstream, rig.site().site, rig.sandbox.path('nginx.conf')])
        utimesSync(path, tomorrow, tomorrow);
      for (const to of ['green', 'blue']) {
        const run = await rig.deploy();
        expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, to });
      }
      expect((await rig.run(['status', 'demo'])).exit).toBe(0);
    });
  });
});
