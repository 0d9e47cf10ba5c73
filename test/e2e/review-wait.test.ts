/** What happens to a deploy that has to wait before it may begin. */
import { rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Command } from '../support/command.js';
import { expectClean, mend, openJournals } from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';
import { waitsForFlock } from '../support/waits.js';

const SIGNALS = [
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;

const HOLD: RigOptions = {
  switch: 'symlink',
  site: { workers: 4 },
  prepare: (sandbox) => {
    // answers when work/hold is gone: a drain that the test ends
    writeFileSync(
      sandbox.path('www', 'hold.php'),
      `<?php while (file_exists('${sandbox.path('work', 'hold')}')) { clearstatcache(); usleep(5000); } echo 'ok';`,
    );
  },
};

/** A probe that no pool passes. */
const answersElse = (yaml: string): string =>
  yaml.replace('probe:', 'probe:\n  timeout: 300ms').replace('body: ok', 'body: else');

/** A deploy that drains a request; `letGo` lets it end. */
async function draining(
  rig: Rig,
): Promise<{ readonly deploy: Command; readonly letGo: () => Promise<void> }> {
  const hold = rig.sandbox.path('work', 'hold');
  writeFileSync(hold, '');
  const answer = fetch(`http://127.0.0.1:${rig.site().port}/hold.php`, { headers: { connection: 'close' } });
  const deploy = rig.spawnDeploy();
  await deploy.untilStep('drain', 'progress');
  return {
    deploy,
    letGo: async () => {
      rmSync(hold);
      expect(await (await answer).text()).toBe('ok');
    },
  };
}

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
      const { deploy, letGo } = await draining(rig);
      const patient = rig.spawnDeploy(['--wait-lock', '1m']);
      await rig.until(() => waitsForFlock(patient.pid));
      const yaml = rig.read('config', 'demo.yaml');
      writeFileSync(rig.site().config, edit(yaml));
      await letGo();
      expect(await deploy.end).toMatchObject({ exit: 0 });
      const run = await patient.end;
      expect(run, run.stderr).toMatchObject(end);
      writeFileSync(rig.site().config, yaml);
      await expectClean(rig, 'green');
    });
  });

  it('while its pools get other addresses, takes the locks of these', async () => {
    await withRig(HOLD, async (rig) => {
      await rig.deployed();
      const { deploy, letGo } = await draining(rig);
      const patient = rig.spawnDeploy(['--wait-lock', '1m']);
      await rig.until(() => waitsForFlock(patient.pid));
      const fpm = rig.read('pools', 'demo.conf');
      // nginx's link leads to neither of them: refused before anything is begun
      writeFileSync(
        rig.sandbox.path('pools', 'demo.conf'),
        fpm.replaceAll('demo-${SWAP_POOL_SLOT}.sock', 'new-${SWAP_POOL_SLOT}.sock'),
      );
      await letGo();
      expect(await deploy.end).toMatchObject({ exit: 0 });
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
