/** Every signal that asks a program to end, and the one of a pipe that nobody reads, after every record of a deploy. */
import { describe, expect, it } from 'vitest';
import { otherSlot, type SwitchKind } from '../../src/event.js';
import { DEPLOY, expectClean, expectNoCut, openJournals, TRAFFIC } from '../support/deaths.js';
import { preloaded } from '../support/preload.js';
import { withRig } from '../support/rig.js';

const at = (record: string): number => DEPLOY.indexOf(record);
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE'] as const;
const EXITS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGPIPE: 0 } as const;
const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];

describe.each(BOTH)('after any record of a deploy by %s', (by) => {
  it('a signal undoes it before the pivot and nothing after it; recover leaves nothing to do', async () => {
    await withRig({ switch: by, site: { workers: 12 } }, async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      for (const [index, record] of DEPLOY.entries()) {
        const signal = SIGNALS[(index + (by === 'symlink' ? 0 : 1)) % SIGNALS.length] ?? 'SIGINT';
        const what = `${signal} after ${record}`;
        const from = await expectClean(rig);
        const run = await rig.deploy([], preloaded('signal-at', { RIG_SIGNALS: `${index + 1}:${signal}` }));
        const said = `${what}\n${run.stdout}${run.stderr}`;
        const undone = run.exit === EXITS[signal] && run.exit !== 0;
        if (signal === 'SIGPIPE') expect(run.exit, said).toBe(0);
        else if (index < at('evidence probe')) expect(undone, said).toBe(true);
        // the renaming of a link is over before a signal is heard, and a verification under way comes to its end
        else if (!undone) expect(run.exit, said).toBeOneOf([0, 5]);
        else expect(index, said).toBeLessThan(at('evidence verify'));
        expect((await rig.run(['recover', 'demo'])).exit, what).toBe(0);
        await expectClean(rig, undone ? from : otherSlot(from));
        expectNoCut(rig, load, what);
      }
    });
  });

  it('two at once leave everything to recover, which ends it', async () => {
    await withRig({ switch: by, site: { workers: 12 } }, async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      // every other record: the same ones again by the other switch would tell nothing new
      for (const [index, record] of DEPLOY.entries()) {
        if (index % 2 === (by === 'symlink' ? 0 : 1)) continue;
        const what = `two signals after ${record}`;
        const from = await expectClean(rig);
        const run = await rig.deploy(
          [],
          preloaded('signal-at', { RIG_SIGNALS: `${index + 1}:SIGINT,SIGTERM` }),
        );
        if (record !== 'closed')
          expect(run.exit, `${what}\n${run.stdout}${run.stderr}`).toBeOneOf([130, 143, 0, 5]);
        await rig.run(['recover', 'demo']);
        expect(openJournals(rig), what).toBe(0);
        const serving = await expectClean(rig);
        if (index >= at('evidence verify')) expect(serving, what).toBe(otherSlot(from));
        expectNoCut(rig, load, what);
      }
    });
  });
});
