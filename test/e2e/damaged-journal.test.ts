/** A disk has damaged the journal of a deploy that died: nothing that serves is touched for it, and nobody deletes a file. */
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SLOTS } from '../../src/event.js';
import { expectClean, expectNoCut, numberOf, reasonOf, TRAFFIC } from '../support/deaths.js';
import { withRig, type Rig } from '../support/rig.js';

/** Whatever warned of the journal: null where it stays, else its new name. */
const told = (run: Awaited<ReturnType<Rig['run']>>): unknown[] =>
  run.events
    .filter(({ warning }) => reasonOf(warning) === 'journal-damaged')
    .map(({ warning }) => (warning as { aside: unknown }).aside);

/** A deploy that is killed after a record, and whose second record is then no record any more. */
async function damaged(rig: Rig, record: string): Promise<void> {
  await rig.deploy([], { dieAt: { when: 'written', record: numberOf(record) } });
  const path = rig.sandbox.path(rig.journals().at(-1)?.file ?? '');
  const [first, , ...rest] = readFileSync(path, 'utf8').split('\n');
  writeFileSync(path, [first, '{"type":"inte\u0000', ...rest].join('\n'));
}

describe.each(['rewrite', 'symlink'] as const)('a deploy that died: %s', (by) => {
  it.each(['evidence probe', 'evidence switch', 'evidence verify'])(
    'after %s: recover sets its journal aside, and the next deploy ends what it had left',
    async (record) => {
      await withRig({ switch: by, site: { workers: 8 } }, async (rig) => {
        await rig.deployed();
        const load = await rig.load(TRAFFIC);
        await damaged(rig, record);
        const serving = await rig.answering();

        const status = await rig.run(['status']);
        expect(status).toMatchObject({ exit: 0, result: { apps: [{ active: serving }] } });
        expect(told(status)).toEqual([null]);
        const { result } = await rig.run(['doctor']);
        expect(JSON.stringify(result['findings'])).toContain(
          '"severity":"error","reason":"journal-unreadable"',
        );
        const recovered = await rig.run(['recover']);
        expect(recovered, recovered.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        expect(told(recovered)).toEqual([expect.stringMatching(/\.ndjson\.damaged$/)]);
        expect(await rig.answering()).toBe(serving);

        expect(await rig.deploy()).toMatchObject({ exit: 0, result: { from: serving, drain: { cut: 0 } } });
        await expectClean(rig, serving === 'blue' ? 'green' : 'blue');
        expectNoCut(rig, load);
      });
    },
  );
});

it('where nothing lives, as after a reboot, start does not stumble over it', async () => {
  await withRig({ switch: 'symlink', site: { workers: 4 } }, async (rig) => {
    await rig.deployed();
    await damaged(rig, 'evidence start');
    expect(await rig.run(['pool', 'stop', 'blue', '--yes'])).toMatchObject({
      exit: 1,
      result: { failure: { reason: 'journal-unreadable' } },
    });
    for (const slot of SLOTS) await rig.signalPool(slot, 'SIGQUIT');
    await rig.until(() => SLOTS.every((slot) => !rig.isListening(slot)));
    const start = await rig.run(['start']);
    expect(start, start.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'blue' } });
    expect(told(start)).toEqual([expect.any(String)]);
    await expectClean(rig, 'blue');
  });
});

it('while the slot that is named is dead and the other one lives, it stays, and so do they', async () => {
  await withRig({ switch: 'symlink', site: { workers: 4 } }, async (rig) => {
    await rig.deployed();
    await damaged(rig, 'evidence probe');
    await rig.signalPool('blue', 'SIGQUIT');
    await rig.until(() => !rig.isListening('blue'));
    expect(await rig.run(['recover'])).toMatchObject({
      exit: 1,
      result: { outcome: 'refused', failure: { reason: 'journal-unreadable' } },
    });
    expect(rig.isListening('green')).toBe(true);
    // a person chooses it
    const { link, address } = rig.site();
    rmSync(link);
    symlinkSync(address.green.slice('unix:'.length), link);
    expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
    await expectClean(rig, 'green');
  });
});

it('one that cannot be read hides none of the others in the history', async () => {
  await withRig({ switch: 'symlink', site: { workers: 4 } }, async (rig) => {
    await rig.deployed();
    const first = rig.sandbox.path(rig.journals()[0]?.file ?? '');
    await rig.deploy();
    writeFileSync(first, readFileSync(first, 'utf8').replace('"intent"', '"inte'));
    const run = await rig.run(['history']);
    expect(run).toMatchObject({ exit: 1, result: { failure: { reason: 'journal-unreadable' } } });
    expect(run.result).toHaveProperty('history.length', 1);
    // it is not in anybody's way
    expect(await rig.deploy()).toMatchObject({ exit: 0 });
  });
});
