/** kill -9 where something is being put right already: a revert, a recovery, a rollback; and of a start that goes on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Load } from '../../src/demo/load.js';
import { otherSlot, type Slot } from '../../src/event.js';
import { waitUntil } from '../../src/system/clock.js';
import { identify, procfs, signalProcess } from '../../src/system/proc.js';
import type { DeathPoint, Run } from '../support/command.js';
import {
  DEPLOY,
  deathAt,
  deaths,
  expectClean,
  expectNoCut,
  mend,
  nameOf,
  openJournals,
  numberOf,
  recordsOf,
  TRAFFIC,
} from '../support/deaths.js';
import { PATIENCE } from '../support/limits.js';
import { withRig, type Held, type Rig, type RigOptions } from '../support/rig.js';

describe.each(['symlink', 'rewrite'] as const)('by %s', (by) => {
  const options: RigOptions = { switch: by, site: { workers: 12 } };

  const withTraffic = (act: (rig: Rig, load: Load) => Promise<void>): Promise<void> =>
    withRig(options, async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      await rig.until(() => load.underWay('slow') > 0 && load.underWay('upload') > 0);
      await act(rig, load);
    });

  const UNDONE = [
    ...DEPLOY.slice(0, numberOf('intent verify')),
    ...['intent revert switch', 'evidence revert switch', 'intent revert start', 'evidence revert start'],
  ];
  it.each(UNDONE.map((name, index) => [name, index + 1] as const).slice(numberOf('intent verify')))(
    'kill -9 after %s of a deploy that takes itself back cuts nothing, and is mended',
    async (name, record) => {
      await withTraffic(async (rig, load) => {
        let serving = await expectClean(rig);
        let turn = by === 'symlink' ? record : record + 1;
        const dieUndoing = (dieAt: DeathPoint): Promise<Run> => {
          rig.breakVerify(serving, false);
          rig.breakVerify(otherSlot(serving));
          return rig.deploy([], { dieAt });
        };
        for await (const { words } of deaths(record, dieUndoing)) {
          const point = `died after ${name}: ${words ?? 'it lived'}`;
          expect(rig.journals().at(-1)?.records.map(nameOf), point).toEqual(UNDONE.slice(0, record));
          turn += 1;
          const standby = otherSlot(serving);
          if (turn % 2 === 0) {
            expect((await mend(rig, 'recover')).result, point).toMatchObject({ outcome: 'reverted' });
            await expectClean(rig, serving);
          } else {
            rig.breakVerify(standby, false);
            expect((await mend(rig, 'deploy')).result, point).toMatchObject({ from: serving, to: standby });
            serving = await expectClean(rig, standby);
          }
          expectNoCut(rig, load, point);
        }
      });
    },
  );

  it.each([
    ['nothing had been done', 'opened', 'written'],
    ['the pool ran', 'evidence start', 'written'],
    ['the switch had begun', 'intent switch', 'written'],
    ['the switch was done', 'intent switch', 'next'],
    ['the switch was proven', 'evidence switch', 'written'],
    ['the old pool drained', 'intent drain', 'written'],
    ['the old pool was retired', 'evidence retire', 'written'],
  ] as const)('a recovery that is killed again and again ends what died when %s', async (_, record, when) => {
    await withTraffic(async (rig, load) => {
      const died = { when, record: numberOf(record) };
      await deathAt(died, (dieAt) => rig.deploy([], { dieAt }));
      const recover = (dieAt: DeathPoint) => rig.run(['recover', 'demo'], { dieAt });
      for (let number = 1; openJournals(rig) > 0; number += 1) {
        await deathAt({ when: 'written', record: number }, recover);
        if (openJournals(rig) === 0) break;
        await deathAt({ when: 'act', record: number, change: 1 }, recover);
      }
      expect((await mend(rig, 'recover')).result).toMatchObject({ outcome: 'unchanged' });
      await expectClean(rig);
      expectNoCut(rig, load);
    });
  });

  it.each(['recover', 'deploy'] as const)(
    'a pool that comes up after its deploy has died is waited for by %s, and taken down',
    async (way) => {
      await withTraffic(async (rig) => {
        const serving = await expectClean(rig);
        const { words } = await deathAt(
          { when: 'act', record: numberOf('intent start'), change: 1 },
          (dieAt) => rig.deploy([], { dieAt, env: { RIG_FREEZE: '1' } }),
        );
        expect(words).toMatch(/^run .* -D /);
        expect(rig.isListening(otherSlot(serving))).toBe(false);
        const mending = rig.spawn([way, 'demo']);
        await mending.until(
          ({ type, step, revert }) => type === 'step-started' && step === 'start' && revert === true,
        );
        thaw(rig);
        const { exit, events } = await mending.end;
        expect(exit).toBe(way === 'recover' ? 1 : 0);
        const started = events.find(({ type, revert }) => type === 'step-done' && revert === true);
        expect(started).toMatchObject({ step: 'start' });
        await expectClean(rig, way === 'recover' ? serving : otherSlot(serving));
      });
    },
  );

  const ROLLBACK = recordsOf(['probe', 'switch', 'verify', 'drain', 'retire', 'stop']);
  it('a rollback goes on where one has died: the slot that still drains is taken back as it runs', async () => {
    await withTraffic(async (rig, load) => {
      const serving = await expectClean(rig);
      const pool = rig.sandbox.poolMaster(serving);
      const held = await leaveDraining(rig);
      const record = ROLLBACK.indexOf('intent switch') + 1;
      await deathAt({ when: 'written', record }, (dieAt) => rig.run(['rollback', 'demo'], { dieAt }));
      const again = await rig.run(['rollback', 'demo']);
      expect(again, again.stderr).toMatchObject({ exit: 0, result: { to: serving } });
      expect(rig.sandbox.poolMaster(serving)).toBe(pool);
      expect(await held.release()).toEqual([held.id]);
      await expectClean(rig, serving);
      expectNoCut(rig, load);
    });
  });

  // the record that closes the deploy which drained stands between the pivot and the drain
  const LAST = ROLLBACK.indexOf('evidence verify') + 2;
  it.each(Array.from({ length: LAST }, (_, index) => index + 1))(
    'kill -9 after record %i of a rollback onto a slot that still drains cuts nothing, and is mended',
    async (record) => {
      await withTraffic(async (rig, load) => {
        let serving = await expectClean(rig);
        let turn = by === 'symlink' ? record : record + 1;
        const rollback = async (dieAt: DeathPoint): Promise<Run> => {
          const held = await leaveDraining(rig);
          const run = await rig.run(['rollback', 'demo'], { dieAt });
          expect(await held.release()).toEqual([held.id]);
          return run;
        };
        for await (const { words } of deaths(record, rollback)) {
          const point = `died after ${ROLLBACK[record - 1] ?? ''} (${record}): ${words ?? 'it lived'}`;
          turn += 1;
          const way = turn % 2 === 0 ? 'recover' : 'deploy';
          const mended = await mend(rig, way);
          const served = way === 'deploy' ? mended.result['from'] : await rig.answering();
          if (record < ROLLBACK.indexOf('intent switch') + 1) expect(served, point).toBe(otherSlot(serving));
          if (record > ROLLBACK.indexOf('evidence verify')) expect(served, point).toBe(serving);
          serving = await expectClean(rig, String(way === 'deploy' ? mended.result['to'] : served));
          expectNoCut(rig, load, point);
        }
      });
    },
  );
});

describe('after a death', () => {
  it('a start that does not come to an end is no start that failed: it stays open until it has ended', async () => {
    await withRig({ switch: 'symlink', site: { workers: 6 } }, async (rig) => {
      await rig.deployed();
      const serving = await expectClean(rig);
      await deathAt({ when: 'act', record: numberOf('intent start'), change: 1 }, (dieAt) =>
        rig.deploy([], { dieAt, env: { RIG_FREEZE: '1' } }),
      );
      const refused = await rig.run(['recover', 'demo']);
      expect(refused).toMatchObject({ exit: 1, result: { outcome: 'refused' } });
      expect(openJournals(rig)).toBe(1);
      thaw(rig);
      await mend(rig, 'recover');
      await expectClean(rig, serving);
    });
  });
});

describe('what others do between a death and its recovery', () => {
  it.each([
    ['the edit was made, nginx not told', { when: 'act', record: numberOf('intent switch'), change: 2 }],
    ['nginx was told', { when: 'act', record: numberOf('intent switch'), change: 3 }],
    ['the switch was proven', { when: 'written', record: numberOf('evidence switch') }],
    ['the old pool drained', { when: 'written', record: numberOf('intent drain') }],
  ] as const)('a person’s edit stays when %s', async (_, at) => {
    await withRig({ switch: 'rewrite', site: { workers: 8 } }, async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      await rig.until(() => load.underWay('slow') > 0);
      await expectClean(rig);
      await deathAt(at, (dieAt) => rig.deploy([], { dieAt }));
      rig.append('# a person was here\n', 'upstreams', 'demo.conf');
      await mend(rig, 'recover');
      expect(rig.read('upstreams', 'demo.conf')).toMatch(/^# a person was here$/m);
      await expectClean(rig);
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      expect(rig.read('upstreams', 'demo.conf')).toMatch(/^# a person was here$/m);
      await expectClean(rig);
      expectNoCut(rig, load);
    });
  });

  it('a pool that a start was to replace, and that an old worker still uses, is drained after a death, too', async () => {
    const options: RigOptions = {
      switch: 'rewrite',
      site: { workers: 8 },
      // one server alone: a worker whose slot is gone has nowhere else to go
      prepare: (sandbox) => {
        const { upstream, address } = sandbox.site();
        writeFileSync(upstream, `upstream demo { server ${address.blue} max_fails=0; }\n`);
      },
    };
    await withRig(options, async (rig) => {
      await rig.deployed();
      expect((await rig.sandbox.startPool('green')).ok).toBe(true);
      // nginx reads the whole body first: the worker connects to blue when it is there, seconds from now
      const load = await rig.load({ upload: { every: 60_000, takes: 12_000, bytes: 50_000 } });
      // a worker of before has read its head
      await rig.until(() => rig.read('log', 'nginx.log').includes('request body is buffered'));
      const { upstream, address } = rig.site();
      writeFileSync(upstream, readFileSync(upstream, 'utf8').replace(address.blue, address.green));
      await rig.signalNginx('SIGHUP');
      await untilAnswering(rig, 'green');
      await deathAt({ when: 'written', record: numberOf('intent start') }, (dieAt) =>
        rig.deploy([], { dieAt }),
      );
      expect(load.underWay('upload')).toBe(1);
      await mend(rig, 'recover');
      expect(load.records.map(({ by, cut }) => [by?.split('/')[0], cut])).toEqual([['blue', null]]);
      await expectClean(rig, 'green');
    });
  });
});

/** Lets a pool's program go on that was stopped right after its start. */
function thaw(rig: Rig): void {
  const frozen = rig.sandbox.residents().filter(({ command }) => command.includes(' -D -y '));
  expect(frozen).toHaveLength(1);
  for (const { id } of frozen) {
    expect(identify(procfs(), id.pid)).toEqual(id);
    signalProcess(procfs(), id, 'SIGCONT');
  }
}

/** A deploy that is asked to stop while the old pool drains: the new one serves, the old one is kept. */
async function leaveDraining(rig: Rig): Promise<Held> {
  const held = await rig.occupy();
  const deploy = rig.spawnDeploy();
  await deploy.untilStep('drain');
  deploy.kill('SIGTERM');
  const { exit, stderr } = await deploy.end;
  expect(exit, stderr).toBe(5);
  return held;
}

async function untilAnswering(rig: Rig, slot: Slot): Promise<void> {
  const seen = await waitUntil(async () => ((await rig.answering()) === slot ? true : undefined), {
    deadline: PATIENCE,
    pace: () => 10,
  });
  expect(seen.kind).toBe('seen');
}
