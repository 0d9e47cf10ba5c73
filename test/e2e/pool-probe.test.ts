/** `pool VERB SLOT` where the pool could not be probed: known before anything is touched. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { withRig } from '../support/rig.js';

it('a verb that ends with a probe which no pool can pass touches nothing', () =>
  withRig({ switch: 'symlink' }, async (rig) => {
    await rig.deployed();
    await rig.load({ fast: { rate: 20 } });
    rig.allow.bothSlots = true;
    expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({ exit: 0 });
    const { config } = rig.site();
    const yaml = readFileSync(config, 'utf8');
    writeFileSync(config, yaml.replace(/health\.php/g, 'nowhere.php'));
    const refused = { exit: 2, result: { outcome: 'usage', failure: { reason: 'config-invalid' } } };

    const before = rig.sandbox.poolMaster('green');
    for (const verb of ['restart', 'try-restart', 'reload']) {
      const run = await rig.run(['pool', verb, 'green']);
      expect(run, `${verb}\n${run.stdout}${run.stderr}`).toMatchObject(refused);
      expect(rig.sandbox.poolMaster('green')).toBe(before);
    }
    // it runs, and nobody asks it anything
    expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({
      exit: 0,
      result: { outcome: 'unchanged' },
    });
    expect(await rig.run(['pool', 'stop', 'green'])).toMatchObject({ exit: 0 });
    expect(await rig.run(['pool', 'try-restart', 'green'])).toMatchObject({
      exit: 0,
      result: { outcome: 'unchanged' },
    });
    for (const verb of ['start', 'restart']) {
      expect(await rig.run(['pool', verb, 'green'])).toMatchObject(refused);
      expect(rig.isListening('green')).toBe(false);
    }
    writeFileSync(config, yaml);
  }));
