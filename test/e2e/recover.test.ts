/** What `recover` says by its exit code: which slot serves now; and of what it cut with --now. */
import { describe, expect, it } from 'vitest';
import type { Slot } from '../../src/event.js';
import { request, scriptParams } from '../../src/fastcgi/client.js';
import { deathAt, expectClean, numberOf } from '../support/deaths.js';
import { PATIENCE } from '../support/limits.js';
import { withRig, type Rig } from '../support/rig.js';

const dead = (rig: Rig, record: string) =>
  deathAt({ when: 'written', record: numberOf(record) }, (dieAt) => rig.deploy([], { dieAt }));

/** Gives a pool work for so many ms, whoever nginx asks, and waits until it is at it. Says whether it was done. */
async function busy(rig: Rig, slot: Slot, ms: number): Promise<{ readonly done: Promise<boolean> }> {
  const file = rig.sandbox.path('www', 'slow.php');
  const params = scriptParams({ file, uri: `/slow.php?ms=${String(ms)}` });
  const asked = request({ address: rig.site().address[slot], params, timeoutMs: PATIENCE });
  const connections = async (): Promise<number> => {
    const { result } = await rig.run(['status', 'demo']);
    const [app] = result['apps'] as { slots: Record<Slot, { workers: { active: number } }> }[];
    return app?.slots[slot].workers.active ?? 0;
  };
  for (let look = 0; look < 20 && (await connections()) === 0; look += 1);
  return { done: asked.then((reply) => reply.ok) };
}

describe('recover', () => {
  it('ends with 1 when it undid a deploy, says which and why, and with 0 when there is nothing left', async () => {
    await withRig({ switch: 'symlink', site: { workers: 4 } }, async (rig) => {
      await rig.deployed();
      await dead(rig, 'evidence probe');
      const run = await rig.run(['recover']);
      expect(run, run.stderr).toMatchObject({
        exit: 1,
        result: { outcome: 'reverted', exit: 1, from: 'blue', failure: { reason: 'left-unfinished' } },
      });
      expect(run.stderr).toContain(String(run.result['deploy']));
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'unchanged' } });
      await expectClean(rig, 'blue');
      // cron hears of it: the release that somebody wanted does not serve
      await dead(rig, 'evidence probe');
      const quiet = await rig.run(['recover', '--quiet'], { json: false });
      expect(quiet).toMatchObject({ exit: 1, stdout: '' });
      expect(quiet.stderr).toMatch(/was undone/);
    });
  });

  it('ends with 1 and the reason of a pool that did not prove itself, with 0 when it went on', async () => {
    await withRig({ switch: 'symlink', site: { workers: 4 } }, async (rig) => {
      await rig.deployed();
      await dead(rig, 'evidence switch');
      rig.breakVerify('green');
      expect(await rig.run(['recover'])).toMatchObject({
        exit: 1,
        result: { outcome: 'reverted', failure: { reason: 'verify-failed' } },
      });
      rig.breakVerify('green', false);
      await dead(rig, 'evidence switch');
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'green' } });
      await expectClean(rig, 'green');
    });
  });

  it('ends every deploy that is open, also after one that it undid', async () => {
    await withRig({ switch: 'symlink', site: { workers: 6 } }, async (rig) => {
      await rig.deployed();
      const load = await rig.load({ slow: { every: 300, takes: 1_000 } });
      await rig.until(() => load.underWay('slow') > 0);
      await dead(rig, 'intent drain');
      const died = await deathAt({ when: 'written', record: 3 }, (dieAt) => rig.run(['rollback'], { dieAt }));
      expect(died.run.signal).toBe('SIGKILL');
      const run = await rig.run(['recover']);
      expect(run, run.stderr).toMatchObject({ exit: 1, result: { outcome: 'reverted', to: 'blue' } });
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'unchanged' } });
      await expectClean(rig, 'green');
    });
  });
});

describe('recover --now ends at once, and says how many requests it cut,', () => {
  const site = { workers: 4, fpmGlobal: 'process_control_timeout = 1s' };

  it('a pool that a revert takes down', async () => {
    await withRig({ switch: 'symlink', site }, async (rig) => {
      await rig.deployed();
      await dead(rig, 'evidence probe');
      const { done } = await busy(rig, 'green', 300_000);
      const run = await rig.run(['recover', 'demo', '--now']);
      expect(run, run.stderr).toMatchObject({ exit: 1, result: { outcome: 'reverted', drain: { cut: 1 } } });
      expect(await done).toBe(false);
      await expectClean(rig, 'blue');
    });
  });

  it('a pool that got work after it was seen to be drained', async () => {
    await withRig({ switch: 'symlink', site }, async (rig) => {
      await rig.deployed();
      await dead(rig, 'evidence drain');
      const { done } = await busy(rig, 'blue', 300_000);
      const run = await rig.run(['recover', 'demo', '--now']);
      expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', drain: { cut: 1 } } });
      expect(await done).toBe(false);
      await expectClean(rig, 'green');
    });
  });
});
