import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { deathAt, expectClean, recordsOf } from '../support/deaths.js';
import { withRig } from '../support/rig.js';

const START = recordsOf(['start', 'probe', 'switch']);
const SITE = { switch: 'rewrite', site: { workers: 4 } } as const;

const dieAfter = (record: string) => ({ when: 'written', record: START.indexOf(record) + 1 }) as const;

describe('the only pool there is, brought up by a start that died, is not taken down by recover', () => {
  it.each(['evidence start', 'intent probe', 'evidence probe'])('%s', async (record) => {
    await withRig(SITE, async (rig) => {
      await deathAt(dieAfter(record), (dieAt) => rig.run(['start'], { dieAt }));
      const master = rig.sandbox.poolMaster('blue');
      expect(master).not.toBeNull();
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      await expectClean(rig, 'blue');
    });
  });

  it('nor while nginx cannot be told anything: it is left as it is until somebody has mended that', async () => {
    await withRig(SITE, async (rig) => {
      await deathAt(dieAfter('intent switch'), (dieAt) => rig.run(['start'], { dieAt }));
      const master = rig.sandbox.poolMaster('blue');
      const vhost = rig.read('sites', 'demo.conf');
      rig.append('nonsense\n', 'sites', 'demo.conf');
      const run = await rig.run(['recover']);
      expect(run, run.stderr).toMatchObject({ exit: 4, result: { outcome: 'stranded' } });
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      expect(await rig.answering()).toBe('blue');
      writeFileSync(rig.sandbox.path('sites', 'demo.conf'), vhost);
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      await expectClean(rig, 'blue');
    });
  });
});
