/** What happens to a deploy that has to wait before it may begin. */
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectClean, mend, openJournals } from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';
import { draining, queued } from '../support/waits.js';

const SIGNALS = [
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;

const HOLD: RigOptions = { switch: 'symlink', site: { workers: 4 } };

/** A command that waits for a deploy, which ends when it is let go. */
async function waiting(rig: Rig, words: readonly string[]) {
  const { letGo } = await draining(rig);
  return { patient: await queued(rig, words), letGo };
}

/** A probe that no pool passes. */
const answersElse = (yaml: string): string =>
  yaml.replace('probe:', 'probe:\n  timeout: 300ms').replace('body: ok', 'body: else');

describe('a deploy that waits for the lock', () => {
  it.each([
    [
      'changed: it goes by what stands there when its turn has come',
      answersElse,
      { exit: 1, result: { outcome: 'reverted', failure: { reason: 'probe-failed' } } },
    ],
    [
      'broken: it is told so, and nothing is begun',
      (yaml: string) => `${yaml}\nno-such-key: 1\n`,
      { exit: 2, result: { outcome: 'usage', failure: { reason: 'config-invalid' } } },
    ],
  ])('while its configuration is %s', async (_, edit, end) => {
    await withRig(HOLD, async (rig) => {
      await rig.deployed();
      const { patient, letGo } = await waiting(rig, ['deploy', 'demo']);
      const yaml = rig.read('config', 'demo.yaml');
      writeFileSync(rig.site().config, edit(yaml));
      expect(await letGo()).toMatchObject({ exit: 0 });
      const run = await patient.end;
      expect(run, run.stderr).toMatchObject(end);
      writeFileSync(rig.site().config, yaml);
      await expectClean(rig, 'green');
    });
  });

  it('while its pools get other addresses, takes the locks of these', async () => {
    await withRig(HOLD, async (rig) => {
      await rig.deployed();
      const { patient, letGo } = await waiting(rig, ['deploy', 'demo']);
      const fpm = rig.read('pools', 'demo.conf');
      // nginx's link leads to neither of them: refused before anything is begun
      writeFileSync(
        rig.sandbox.path('pools', 'demo.conf'),
        fpm.replaceAll('demo-${SWAP_POOL_SLOT}.sock', 'new-${SWAP_POOL_SLOT}.sock'),
      );
      expect(await letGo()).toMatchObject({ exit: 0 });
      const run = await patient.end;
      expect(run, run.stderr).toMatchObject({
        exit: 1,
        result: { outcome: 'refused', failure: { reason: 'link-wrong' } },
      });
      writeFileSync(rig.sandbox.path('pools', 'demo.conf'), fpm);
      await expectClean(rig, 'green');
    });
  });
});

describe('a verb of pool that waits for the lock', () => {
  it('goes by the configuration that stands there when its turn has come', async () => {
    await withRig(HOLD, async (rig) => {
      await rig.deployed();
      const { patient, letGo } = await waiting(rig, ['pool', 'restart', 'green', '--yes']);
      const yaml = rig.read('config', 'demo.yaml');
      writeFileSync(rig.site().config, `${yaml}\nno-such-key: 1\n`);
      expect(await letGo()).toMatchObject({ exit: 0 });
      const run = await patient.end;
      expect(run, run.stderr).toMatchObject({ exit: 2, result: { failure: { reason: 'config-invalid' } } });
      writeFileSync(rig.site().config, yaml);
      await expectClean(rig, 'green');
    });
  });

  it('and has no need of a new one, takes the pool as it was deployed last', async () => {
    await withRig(HOLD, async (rig) => {
      await rig.deployed();
      const { patient, letGo } = await waiting(rig, ['pool', 'stop', 'blue']);
      const fpm = rig.read('pools', 'demo.conf');
      rig.append('no_such_key = 1\n', 'pools', 'demo.conf');
      expect(await letGo()).toMatchObject({ exit: 0 });
      const run = await patient.end;
      expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'unchanged' } });
      writeFileSync(rig.sandbox.path('pools', 'demo.conf'), fpm);
      await expectClean(rig, 'green');
    });
  });

  it('and that is no deploy that was refused', async () => {
    await withRig(HOLD, async (rig) => {
      await rig.deployed();
      const { letGo } = await draining(rig);
      const conf = rig.sandbox.path('pools', 'demo.conf');
      const fpm = rig.read('pools', 'demo.conf');
      writeFileSync(conf, fpm.replaceAll('demo-${SWAP_POOL_SLOT}.sock', 'new-${SWAP_POOL_SLOT}.sock'));
      expect(await rig.deploy()).toMatchObject({ exit: 3 });
      writeFileSync(conf, `${fpm}\nno_such_key = 1\n`);
      expect(await letGo()).toMatchObject({ exit: 0 });
      const run = await rig.run(['pool', 'reopen-logs', 'green']);
      expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      writeFileSync(conf, fpm);
      await expectClean(rig, 'green');
    });
  });
});

describe('a deploy that first ends the drain of an earlier one', () => {
  it('goes by the configuration that stands there when that is done', async () => {
    await withRig(HOLD, async (rig) => {
      await rig.deployed();
      const { deploy, letGo } = await draining(rig);
      deploy.kill('SIGTERM');
      expect(await deploy.end).toMatchObject({ exit: 5 });
      const next = rig.spawnDeploy();
      await next.untilStep('drain', 'progress');
      const yaml = rig.read('config', 'demo.yaml');
      writeFileSync(rig.site().config, answersElse(yaml));
      await letGo();
      const run = await next.end;
      expect(run, run.stderr).toMatchObject({
        exit: 1,
        result: { outcome: 'reverted', failure: { reason: 'probe-failed' } },
      });
      writeFileSync(rig.site().config, yaml);
      await expectClean(rig, 'green');
    });
  });

  it.each(SIGNALS)(
    'is interrupted by %s: %i, it has begun nothing, and the drain is left to `recover`',
    async (signal, exit) => {
      await withRig(HOLD, async (rig) => {
        await rig.deployed();
        const { deploy, letGo } = await draining(rig);
        deploy.kill('SIGTERM');
        expect(await deploy.end).toMatchObject({ exit: 5 });
        const next = rig.spawnDeploy();
        await next.untilStep('drain', 'progress');
        next.kill(signal);
        const run = await next.end;
        expect(run, run.stderr).toMatchObject({
          exit,
          result: { outcome: 'interrupted', exit, failure: { reason: 'interrupted' } },
        });
        expect(run.stderr).toContain('blue');
        expect(rig.journals()).toHaveLength(2);
        expect(openJournals(rig)).toBe(1);
        await letGo();
        expect((await mend(rig, 'recover')).result).toMatchObject({ outcome: 'done' });
        await expectClean(rig, 'green');
      });
    },
  );
});
