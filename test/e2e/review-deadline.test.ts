import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { request, scriptParams } from '../../src/fastcgi/client.js';
import type { Slot } from '../../src/event.js';
import { PROGRAM } from '../support/command.js';
import { deathAt, expectClean, reasonOf, recordsOf } from '../support/deaths.js';
import { PATIENCE } from '../support/limits.js';
import { withRig, type Rig } from '../support/rig.js';

const DEPLOY = recordsOf(['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop']);
const numberOf = (record: string): number => DEPLOY.indexOf(record) + 1;
const SITE = { workers: 4, fpmGlobal: 'process_control_timeout = 1s' };

/** Gives a pool work for so many ms, whoever nginx asks, and waits until it is at it. Says whether it was done. */
async function busy(rig: Rig, slot: Slot, ms: number): Promise<{ readonly done: Promise<boolean> }> {
  const file = rig.sandbox.path('www', 'slow.php');
  const params = scriptParams({ file, uri: `/slow.php?ms=${String(ms)}` });
  const asked = request({ address: rig.site().address[slot], params, timeoutMs: PATIENCE });
  const connections = async (): Promise<number> => {
    const { result } = await rig.run(['status', 'demo']);
    const [app] = result['apps'] as { slots: Record<Slot, { workers: { active: number } }> }[];
    return app?.slots[slot].workers.active ?? 0;
  };
  for (let look = 0; look < 20 && (await connections()) === 0; look += 1);
  return { done: asked.then((reply) => reply.ok) };
}

describe('recover --now ends at once, and says how many requests it cut,', () => {
  it('a pool that a revert takes down', async () => {
    await withRig({ switch: 'symlink', site: SITE }, async (rig) => {
      await rig.deployed();
      const record = numberOf('evidence probe');
      await deathAt({ when: 'written', record }, (dieAt) => rig.deploy([], { dieAt }));
      const { done } = await busy(rig, 'green', 300_000);
      const run = await rig.run(['recover', 'demo', '--now']);
      expect(run, run.stderr).toMatchObject({ exit: 1, result: { outcome: 'reverted', drain: { cut: 1 } } });
      expect(await done).toBe(false);
      await expectClean(rig, 'blue');
    });
  });

  it('a pool that got work after it was seen to be drained', async () => {
    await withRig({ switch: 'symlink', site: SITE }, async (rig) => {
      await rig.deployed();
      const record = numberOf('evidence drain');
      await deathAt({ when: 'written', record }, (dieAt) => rig.deploy([], { dieAt }));
      const { done } = await busy(rig, 'blue', 300_000);
      const run = await rig.run(['recover', 'demo', '--now']);
      expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', drain: { cut: 1 } } });
      expect(await done).toBe(false);
      await expectClean(rig, 'green');
    });
  });
});

describe('a disk that fails past the pivot', () => {
  it('does not lead back to the pool that is being taken down', async () => {
    const site = { ...SITE, yaml: 'drain: { timeout: 500ms }' };
    await withRig({ switch: 'symlink', site }, async (rig) => {
      await rig.deployed();
      const held = await rig.occupy();
      const program = [process.execPath, '--require', resolve('test/support/fail-disk.cjs'), PROGRAM];
      const env = { RIG_RECORDS: String(numberOf('intent verify')) };
      const run = await rig.deploy([], { program, env });
      expect(run, run.stderr).toMatchObject({ exit: 5, result: { outcome: 'draining' } });
      expect(run.events.map(({ warning }) => reasonOf(warning))).toContain('journal-write-failed');
      expect(await rig.answering()).toBe('green');
      expect(await held.release()).toEqual([held.id]);
      expect(await rig.run(['recover', 'demo'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      await expectClean(rig, 'green');
    });
  });
});
