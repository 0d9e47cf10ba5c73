import { spawnDeploy } from '../../src/demo/spawn-deploy.js';
import type { Slot, SwitchKind } from '../../src/event.js';
import type { Contender } from '../contender.js';
import { APP, openSandbox } from '../stage.js';

export const swapPool = (by: SwitchKind, notes: readonly string[], fpmPool = ''): Contender => ({
  name: `swap-pool-${by}`,
  title: `swap-pool, ${by}`,
  notes,
  open: async (bench) => {
    const sandbox = await openSandbox(bench, { switch: by, fpmPool });
    const deploy = spawnDeploy(bench.cli);
    let active: Slot = 'blue';
    const once = async (mark: (what: string) => void): Promise<void> => {
      const end = await deploy({
        sandbox,
        app: APP,
        signal: new AbortController().signal,
        told: (event) => {
          if (event.type === 'step-started') mark(event.step);
        },
      });
      if (end.failure !== null || end.to === null) throw new Error(JSON.stringify(end));
      active = end.to;
    };
    try {
      await once(() => undefined);
    } catch (error) {
      await sandbox.close();
      throw error;
    }
    return {
      sandbox,
      port: sandbox.site().port,
      active: () => active,
      deploy: once,
      account: () => (by === 'rewrite' ? sandbox.account() : null),
    };
  },
});

export const swapPoolSymlink = swapPool('symlink', [
  'The bundle itself in a process of its own, `deploy --json`, as a user would call it.',
]);
export const swapPoolRewrite = swapPool('rewrite', [
  'The same; nginx is reloaded, with both slots in the upstream, one of them as `backup`.',
]);
