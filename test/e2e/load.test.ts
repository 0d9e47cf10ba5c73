/**
 * The claim itself: deploy after deploy under everything at once, and not one request cut. What
 * takes long is sent in some of the rounds only, so that twenty of them stay affordable.
 */
import { expect, it } from 'vitest';
import type { Load, LoadPlan } from '../../src/demo/load.js';
import { otherSlot, type Slot } from '../../src/event.js';
import { across, moment } from '../support/moments.js';
import { withRig, type Rig } from '../support/rig.js';
import type { Run } from '../support/command.js';

const ROUNDS = 20;
const WORKERS = 16;

/** In every round: new and kept connections, POSTs without a pause, connections kept idle over a distance. */
const ALWAYS: LoadPlan = {
  fast: { rate: 60 },
  post: { clients: 3, takes: 5 },
  idle: { clients: 6, every: 300, delay: 25 },
};

/**
 * What a round sends besides, all of it begun before the deploy and none after. It is to outlast a switch: where
 * deploys are `pace` times as long as they should be, so is it.
 */
function plansAt(pace: number): Readonly<Record<number, LoadPlan>> {
  const slow = { every: 300, takes: 8_000 * pace };
  const upload = { every: 300, takes: 4_000 * pace, bytes: 100_000 };
  const finish = { every: 300, takes: 3_000 * pace };
  // four seconds of queue for 16 workers, and far from a full backlog
  const burst = { every: 600_000, takes: 600 * pace, requests: 112 };
  return {
    2: { slow, upload, finish },
    5: { upload },
    8: { finish },
    11: { burst },
    16: { burst },
    18: { slow, upload, finish },
  };
}

/** How much longer than a second a deploy takes here, under the load that is always there. */
function paceOf(runs: readonly Run[]): number {
  const longest = Math.max(...runs.map(({ result }) => (result['ms'] as { total: number }).total));
  // nginx gives up after a minute
  return Math.min(6, Math.max(1, longest / 1_000));
}

/** Starts a round's own load, and stops to send once three requests of every class of it are under way. */
async function begun(rig: Rig, plan: LoadPlan): Promise<Load> {
  const load = await rig.load(plan);
  await rig.until(
    () =>
      (plan.slow === undefined || load.underWay('slow') > 2) &&
      (plan.upload === undefined || load.underWay('upload') > 2) &&
      (plan.finish === undefined || load.records.filter((one) => one.class === 'finish').length > 2) &&
      (plan.burst === undefined || load.underWay('burst') > 32),
  );
  void load.stop();
  return load;
}

it.each(['rewrite', 'symlink'] as const)(
  'twenty deploys in a row by %s cut nothing, whatever is under way',
  async (by) => {
    await withRig({ switch: by, site: { workers: WORKERS } }, async (rig) => {
      await rig.deployed();
      // bringing it up has reloaded nginx, which was as young as its files
      const { reloads } = rig.sandbox.account();
      const always = await rig.load(ALWAYS);
      const rounds: { readonly run: Run; readonly own: Load | null }[] = [];
      let plans = plansAt(1);
      let active: Slot = 'blue';
      for (let round = 0; round < ROUNDS; round += 1) {
        if (round === 2) plans = plansAt(paceOf(rounds.map(({ run }) => run)));
        const plan = plans[round];
        const own = plan === undefined ? null : await begun(rig, plan);
        const run = await rig.deploy();
        expect(run.result, run.stdout).toMatchObject({
          outcome: 'done',
          exit: 0,
          from: active,
          to: otherSlot(active),
          drain: { cut: 0 },
        });
        active = otherSlot(active);
        rounds.push({ run, own });
      }

      // the rounds were what they are meant to be
      for (const { run, own } of rounds) {
        const plan = plans[rounds.findIndex((one) => one.run === run)];
        if (plan === undefined || own === null) continue;
        const records = await own.stop();
        const pointed = moment(run, 'step-started', 'switch');
        const stopped = moment(run, 'step-done', 'stop');
        if (plan.slow) expect(across(records, 'slow', pointed, pointed).length).toBeGreaterThan(2);
        if (plan.upload) expect(across(records, 'upload', pointed, pointed).length).toBeGreaterThan(2);
        // their bodies are still under way when the pool is gone for which they were sent
        if (plan.upload && !plan.slow && !plan.finish) {
          expect(across(records, 'upload', pointed, stopped).length).toBeGreaterThan(2);
        }
        // answered before the switch, at work after it: nothing but the pool's own workers shows that
        if (plan.finish) {
          const { takes } = plan.finish;
          const works = records.filter(
            (one) => one.class === 'finish' && one.start < pointed && one.start + takes > pointed,
          );
          expect(works.length).toBeGreaterThan(0);
          expect(stopped).toBeGreaterThan(Math.max(...works.map(({ start }) => start + takes)));
        }
        // more than there are workers: some of them wait in the backlog
        if (plan.burst) expect(across(records, 'burst', pointed, pointed).length).toBeGreaterThan(WORKERS);
      }
      const posts = always.records.filter((one) => one.class === 'post').length;
      expect(posts).toBeGreaterThan(10 * ROUNDS);
      // a link that moves has nothing to excuse, and nginx agrees that it was left alone
      if (by === 'symlink') expect(rig.sandbox.account().reloads).toHaveLength(reloads.length);
    });
  },
);
