import { expect, it } from 'vitest';
import { reloadPool } from '../../src/pool/reload.js';
import { FPM, fpmSlot, fs, Rig } from './rig.js';

it('a master that was told to reload and does nothing has not reloaded', async () => {
  const rig = await Rig.open();
  try {
    const life = await rig.start();
    const pid = life.master?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    const how = {
      command: [FPM],
      timeout: 200,
      words: () => Promise.resolve('its log'),
      told: () => undefined,
    };
    expect(await reloadPool(fs, fpmSlot(rig, 'blue'), life, how)).toMatchObject({
      ok: false,
      failure: { reason: 'pool-reload-unproven', slot: 'blue', ms: 200, log: 'its log' },
    });
    process.kill(pid, 'SIGCONT');
  } finally {
    await rig.close();
  }
});
