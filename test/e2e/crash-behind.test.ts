/** kill -9 of a start that has to make nginx read its files: the link alone tells nobody. */
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { deathAt, deaths, recordsOf, type Death } from '../support/deaths.js';
import { reloadByHand } from '../support/by-hand.js';
import { withRig, type Rig } from '../support/rig.js';

const RECORDS = recordsOf(['start', 'probe', 'switch']);
const numberOf = (record: string): number => RECORDS.indexOf(record) + 1;

/** No pool runs, the link leads nowhere or is not there, and nginx runs files that know no link at all. */
async function unread(rig: Rig, { dangling }: { readonly dangling: boolean }): Promise<void> {
  const { upstream, link, address } = rig.site();
  if (rig.sandbox.poolMaster('blue') !== null) await rig.signalPool('blue', 'SIGQUIT');
  rmSync(link, { force: true });
  const text = readFileSync(upstream, 'utf8');
  writeFileSync(upstream, 'upstream demo { server 127.0.0.1:9; }\n');
  await reloadByHand(rig);
  writeFileSync(upstream, text);
  if (dangling) symlinkSync(address.blue.slice('unix:'.length), link);
}

async function isMended(rig: Rig, { words }: Death, how: string): Promise<void> {
  const point = `${how}, died: ${words ?? 'not at all'}`;
  const recovered = await rig.run(['recover']);
  // what could not be gone on with is undone, and begun anew
  const undone = recovered.result['outcome'] === 'reverted';
  const end = undone ? await rig.run(['start']) : recovered;
  expect(end, point).toMatchObject({ exit: 0 });
  expect(await rig.answering(), point).toBe('blue');
  expect(await rig.disorder(), point).toEqual([]);
}

it('is recovered with the reload: at any point of the switch, the link gone before', async () => {
  await withRig({ switch: 'symlink', site: { workers: 2 } }, async (rig) => {
    rig.allow.reloads = true;
    await unread(rig, { dangling: false });
    const start = (dieAt: Parameters<typeof deathAt>[0]) => rig.run(['start'], { dieAt });
    for await (const death of deaths(numberOf('intent switch'), start)) {
      await isMended(rig, death, 'no link');
      await unread(rig, { dangling: false });
    }
  });
});

it('is recovered with the reload: before the switch, the link leading to nobody', async () => {
  await withRig({ switch: 'symlink', site: { workers: 2 } }, async (rig) => {
    rig.allow.reloads = true;
    for (const record of ['evidence start', 'intent probe', 'evidence probe']) {
      await unread(rig, { dangling: true });
      const at = { when: 'written', record: numberOf(record) } as const;
      const death = await deathAt(at, (dieAt) => rig.run(['start'], { dieAt }));
      await isMended(rig, death, record);
    }
  });
});
