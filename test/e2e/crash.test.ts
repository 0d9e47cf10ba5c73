/** kill -9 at every point of a deploy, traffic on: generated from the table of steps. */
import { describe, expect, it } from 'vitest';
import { STEPS } from '../../src/deploy/steps.js';
import { otherSlot, type StepName } from '../../src/event.js';
import { deaths, expectClean, expectNoCut, mend, nameOf, recordsOf, TRAFFIC } from '../support/deaths.js';
import { withRig, type RigOptions } from '../support/rig.js';

const NAMES = Object.keys(STEPS) as StepName[];
const RECORDS = recordsOf(NAMES);
const numberOf = (record: string): number => RECORDS.indexOf(record) + 1;

describe.each(['symlink', 'rewrite'] as const)('kill -9 of a deploy by %s', (by) => {
  const options: RigOptions = { switch: by, site: { workers: 12 } };

  it('has the points of the table of steps', async () => {
    await withRig(options, async (rig) => {
      await rig.deployed();
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      expect(rig.journals().at(-1)?.records.map(nameOf)).toEqual(RECORDS);
    });
  });

  it.each([
    ['before its first record', [0]],
    ['after its first record', [1]],
    ...NAMES.map((name) => {
      const intent = numberOf(`intent ${name}`);
      return [`at any point of ${name}`, [intent, intent + 1]] as const;
    }),
    ['after its last record', [RECORDS.length]],
  ] as const)('%s cuts nothing, and is mended', async (_, numbers) => {
    await withRig(options, async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      await rig.until(() => load.underWay('slow') > 0 && load.underWay('upload') > 0);
      let from = await expectClean(rig);
      for (const record of numbers) {
        // the same point is met by `recover` with one switch and by `deploy` with the other
        let turn = by === 'symlink' ? record : record + 1;
        for await (const { run, words } of deaths(record, (dieAt) => rig.deploy([], { dieAt }))) {
          const point = `died after ${RECORDS[record - 1] ?? 'nothing'}: ${words ?? 'it lived'}`;
          if (words === null) expect(run.exit, point).toBe(0);
          turn += 1;
          const way = turn % 2 === 0 ? 'recover' : 'deploy';
          const mended = await mend(rig, way);
          const served = way === 'deploy' ? mended.result['from'] : await rig.answering();
          if (record < numberOf('intent switch')) expect(served, point).toBe(from);
          if (record >= numberOf('evidence verify')) expect(served, point).toBe(otherSlot(from));
          from = await expectClean(rig, String(way === 'deploy' ? mended.result['to'] : served));
          expectNoCut(rig, load, point);
        }
      }
    });
  });
});
