import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LoadPlan } from '../../src/demo/load.js';
import type { SwitchKind } from '../../src/event.js';
import { pids, procfs, title } from '../../src/system/proc.js';
import { withRig, type Rig } from '../support/rig.js';

const fs = procfs();

const TRAFFIC: LoadPlan = {
  fast: { rate: 25 },
  slow: { every: 300, takes: 600 },
  post: { clients: 1, takes: 5 },
};

/** Gives both slots other addresses, as an editor does; the pidfiles stay. Gives back how to undo it. */
function moveListen(rig: Rig): () => void {
  const file = rig.site().fpmConfig.green;
  const before = readFileSync(file, 'utf8');
  const after = before.replace(/^((?:listen|pm\.status_listen) = .*)\.sock$/gm, '$1-moved.sock');
  expect(after.match(/-moved\.sock$/gm)).toHaveLength(2);
  writeFileSync(file, after);
  return () => {
    writeFileSync(file, before);
  };
}

const masters = (rig: Rig): number[] =>
  pids(fs).filter((pid) => title(fs, pid) === `php-fpm: master process (${rig.site().fpmConfig.green})`);

describe('a listen that is changed while the pool runs', () => {
  it.each([
    ['rewrite', 'its pidfile'],
    ['symlink', 'its pidfile'],
    ['symlink', 'the journal alone'],
    ['symlink', 'its last addresses alone'],
  ] as const)(
    'makes no second master of the slot that serves: %s, known by %s',
    async (by: SwitchKind, known) => {
      await withRig({ switch: by, site: { workers: 6 } }, async (rig) => {
        await rig.deployed();
        expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'green' } });
        await rig.load(TRAFFIC);
        const before = masters(rig);
        expect(before).toHaveLength(1);
        const [master] = before;
        if (known !== 'its pidfile') rig.writePidfile('green', '');
        if (known === 'its last addresses alone') {
          // a reload makes another process of it, which no deploy has written down
          expect(await rig.run(['pool', 'reload', 'green'])).toMatchObject({ exit: 0 });
          rig.writePidfile('green', '');
        }
        const now = masters(rig);
        const alive = { reason: 'slot-alive' };
        const undo = moveListen(rig);

        const refused = await rig.run(['pool', 'start', 'green']);
        expect(refused).toMatchObject({ exit: 1, result: { outcome: 'refused', failure: alive } });
        expect(refused.events.find(({ type }) => type === 'failure')).toMatchObject({
          failure: { slot: 'green', pids: now, elsewhere: true },
        });
        expect(refused.stderr).toContain('Put the old address back');
        for (const verb of ['stop', 'restart']) {
          const other = await rig.run(['pool', verb, 'green', '--yes']);
          expect(other).toMatchObject({ exit: 1, result: { outcome: 'refused', failure: alive } });
        }
        const status = await rig.run(['pool', 'status', 'green']);
        expect(status).toMatchObject({ exit: 4, result: { failure: alive } });
        expect(status.stdout).not.toContain('stale-pidfile');
        const app = await rig.run(['status']);
        expect(app).toMatchObject({ exit: 1, result: { failure: alive } });
        for (const verb of ['deploy', 'start']) {
          const run = await rig.run([verb]);
          expect(run).toMatchObject({ exit: 1, result: { outcome: 'refused', failure: alive } });
        }
        // who follows the edit in nginx's file, too, is not told that nothing serves
        const upstream = by === 'rewrite' ? rig.site().upstream : null;
        const names = upstream === null ? '' : readFileSync(upstream, 'utf8');
        if (upstream !== null) {
          writeFileSync(upstream, names.replace(/\.sock\b/g, '-moved.sock'));
          const run = await rig.deploy();
          expect(run).toMatchObject({ exit: 1, result: { outcome: 'refused', failure: alive } });
          writeFileSync(upstream, names);
        }
        expect(masters(rig)).toEqual(now);
        if (known === 'its pidfile') expect(now).toEqual([master]);
        expect(await rig.answering()).toBe('green');

        undo();
        expect(await rig.deploy()).toMatchObject({ exit: 0, result: { from: 'green', to: 'blue' } });
        expect(masters(rig)).toHaveLength(1);
      });
    },
  );

  it.each(['rewrite', 'symlink'] as const)(
    'ends no pool that still drains at its old address: %s',
    async (by: SwitchKind) => {
      const yaml = 'drain: { timeout: 1s, on-timeout: keep }';
      await withRig({ switch: by, site: { workers: 6, yaml } }, async (rig) => {
        await rig.deployed();
        await rig.load({ fast: { rate: 25 } });
        const held = await rig.occupy();
        expect(await rig.deploy()).toMatchObject({ exit: 5, result: { to: 'green' } });
        const undo = moveListen(rig);
        for (const words of [['recover'], ['recover', '--now'], ['deploy']]) {
          const run = await rig.run([...words, 'demo']);
          expect(run.exit, `${words.join(' ')}: ${run.stdout}`).toBeOneOf([1, 4]);
        }
        expect(rig.isListening('blue')).toBe(true);
        expect(await rig.answering()).toBe('green');
        expect(await held.release()).toEqual([held.id]);
        undo();
        expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        expect(masters(rig)).toHaveLength(1);
      });
    },
  );

  it('keeps nobody from starting the other slot', async () => {
    await withRig({ switch: 'symlink', site: { workers: 6 } }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      const undo = moveListen(rig);
      expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({ exit: 0 });
      expect(masters(rig)).toHaveLength(2);
      // whether it serves cannot be told while nobody knows of the other one
      expect(await rig.run(['pool', 'stop', 'green', '--yes'])).toMatchObject({ exit: 1 });
      expect(await rig.run(['pool', 'force-stop', 'green', '--yes'])).toMatchObject({ exit: 0 });
      undo();
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { from: 'blue', to: 'green' } });
    });
  });
});
