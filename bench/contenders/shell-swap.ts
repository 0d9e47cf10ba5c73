import { join } from 'node:path';
import { otherSlot, type Slot } from '../../src/event.js';
import type { Contender } from '../contender.js';
import { APP, openSandbox, pointLink, runScript, startPool } from '../stage.js';

export const shellSwap: Contender = {
  name: 'shell-swap',
  title: 'bare shell swap (the floor)',
  notes: [
    'The least there is: start, rename the link, QUIT the old pool, wait for its end. No check of any kind, no way back.',
    'FPM has `process_control_timeout = 10s`, so that QUIT lets requests of 8 s end.',
  ],
  open: async (bench) => {
    const sandbox = await openSandbox(bench, { switch: 'symlink' });
    try {
      await startPool(sandbox, 'blue');
      pointLink(sandbox, 'blue');
    } catch (error) {
      await sandbox.close();
      throw error;
    }
    const site = sandbox.site();
    let active: Slot = 'blue';
    return {
      sandbox,
      port: site.port,
      active: () => active,
      deploy: async (mark) => {
        const to = otherSlot(active);
        const script = join(bench.root, 'bench/floor-symlink.sh');
        const words = [bench.programs.fpm, site.fpmConfig[to], sandbox.path('run'), APP, active, to];
        // it waits for seconds here, where looking without a pause would take a core from everybody
        await runScript([script, ...words], mark, { LOOK: 'sleep 0.05' });
        active = to;
      },
      account: () => null,
    };
  },
};
