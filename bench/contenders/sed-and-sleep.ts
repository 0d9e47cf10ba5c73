import { join } from 'node:path';
import { otherSlot, type Slot } from '../../src/event.js';
import type { Contender } from '../contender.js';
import { APP, edit, openSandbox, runScript, startPool } from '../stage.js';

export const sedAndSleep: Contender = {
  name: 'sed-and-sleep',
  title: 'sed, HUP, sleep 5, TERM',
  notes: [
    'The script as it is found in the wild. What it reports as its end is the signal, not the end of the old pool.',
    'What the reload itself closes is counted apart, by the same rule as for swap-pool.',
  ],
  open: async (bench) => {
    const sandbox = await openSandbox(
      bench,
      { switch: 'rewrite' },
      {
        // such a script knows one address, and nginx names one
        prepare: (made) => {
          edit(made.site().upstream, (text) => text.replace(/^.*backup;\n/m, ''));
        },
      },
    );
    try {
      await startPool(sandbox, 'blue');
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
        const script = join(bench.root, 'bench/contenders/sed-and-sleep.sh');
        const words = [bench.programs.fpm, site.fpmConfig[to], sandbox.path('run'), APP, active, to];
        await runScript([script, ...words, site.upstream], mark);
        active = to;
      },
      account: () => sandbox.account(),
    };
  },
};
