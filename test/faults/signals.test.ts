/** Every signal that asks a program to end after every record of a deploy, and readers that go away in every step. */
import { describe, expect, it } from 'vitest';
import { otherSlot, type SwitchKind } from '../../src/event.js';
import { procfs, readStat } from '../../src/system/proc.js';
import { DEPLOY, expectClean, expectNoCut, mend, nameOf, openJournals, TRAFFIC } from '../support/deaths.js';
import { preloaded } from '../support/preload.js';
import { withRig } from '../support/rig.js';

const at = (record: string): number => DEPLOY.indexOf(record);
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const EXITS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];

describe.each(BOTH)('after any record of a deploy by %s', (by) => {
  it('a signal undoes it before the pivot and nothing after it; recover leaves nothing to do', async () => {
    await withRig({ switch: by, site: { workers: 12 } }, async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      for (const [index, record] of DEPLOY.entries()) {
        // a step's two records, by two switches: each signal meets each step
        const signal = SIGNALS[(index + (by === 'symlink' ? 0 : 2)) % SIGNALS.length] ?? 'SIGINT';
        const what = `${signal} after ${record}`;
        const from = await expectClean(rig);
        const run = await rig.deploy([], preloaded('signal-at', { RIG_SIGNALS: `${index + 1}:${signal}` }));
        const said = `${what}\n${run.stdout}${run.stderr}`;
        const undone = run.exit === EXITS[signal];
        if (index < at('evidence probe')) expect(undone, said).toBe(true);
        // the renaming of a link is over before a signal is heard, and a verification under way comes to its end
        else if (!undone) expect(run.exit, said).toBeOneOf([0, 5]);
        else expect(index, said).toBeLessThan(at('evidence verify'));
        expect((await rig.run(['recover', 'demo'])).exit, what).toBe(0);
        await expectClean(rig, undone ? from : otherSlot(from));
        expectNoCut(rig, load, what);
      }
    });
  });

  it('readers of its output that go away in the middle of a step stop nothing', async () => {
    await withRig({ switch: by, site: { workers: 12 } }, async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      for (const [index, record] of DEPLOY.filter((each) => each.startsWith('intent')).entries()) {
        // JSON's and a person's by turns: over the two switches each of them in each step
        const json = index % 2 === (by === 'symlink' ? 0 : 1);
        const what = `readers of ${json ? 'JSON' : 'lines'} gone after ${record}`;
        const from = await expectClean(rig);
        const stopped = preloaded('signal-at', { RIG_SIGNALS: `${at(record) + 1}:SIGSTOP` });
        const deploy = rig.spawnDeploy(['--verbose'], { ...stopped, json });
        await rig.until(() => !deploy.running || readStat(procfs(), deploy.pid)?.state === 'T');
        deploy.closeReaders();
        deploy.kill('SIGCONT');
        expect((await deploy.end).exit, what).toBe(0);
        await expectClean(rig, otherSlot(from));
        expectNoCut(rig, load, what);
      }
    });
  });

  it.each([
    ['of the start', 'status', 'intent probe'],
    ['of the switch', 'verify', 'intent verify'],
  ] as const)(
    'a second INT during the revert %s leaves at once, and recover ends it',
    async (_, how, record) => {
      await withRig({ switch: by, site: { workers: 12 } }, async (rig) => {
        await rig.deployed();
        const load = await rig.load(TRAFFIC);
        const from = await expectClean(rig);
        if (how === 'verify') rig.breakVerify(otherSlot(from));
        else rig.breakSlot(otherSlot(from), how);
        // the revert's own first record is the one after
        const first = at(record) + 1;
        const signals = { RIG_SIGNALS: `${first}:SIGINT;${first + 1}:SIGINT` };
        const run = await rig.deploy([], preloaded('signal-at', signals));
        expect(run.exit, `${run.stdout}${run.stderr}`).toBe(130);
        expect(rig.journals().at(-1)?.records.map(nameOf).at(-1)).toMatch(/^intent revert/);
        await mend(rig, 'recover');
        rig.breakVerify(otherSlot(from), false);
        rig.breakSlot(otherSlot(from), null);
        await expectClean(rig, from);
        expectNoCut(rig, load);
      });
    },
  );

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
