/** What the exit code of `recover` says: which slot serves now. */
import { describe, expect, it } from 'vitest';
import { deathAt, expectClean, recordsOf } from '../support/deaths.js';
import { withRig, type Rig } from '../support/rig.js';

const DEPLOY = recordsOf(['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop']);

const dead = (rig: Rig, record: string) =>
  deathAt({ when: 'written', record: DEPLOY.indexOf(record) + 1 }, (dieAt) => rig.deploy([], { dieAt }));

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
