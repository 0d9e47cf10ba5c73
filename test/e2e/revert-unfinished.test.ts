/** A deploy that is reverted while its new pool still works for somebody: the site is back, the pool waits for its end. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { Run } from '../support/command.js';
import { withRig, type Rig } from '../support/rig.js';

/** The answer to the verification waits until the test lets it go. */
const slowly = (sandbox: Sandbox): void => {
  const script = sandbox.path('www', 'verify.php');
  const wait = `for ($end = hrtime(true) + 900e9; !file_exists('${sandbox.path('work', 'go')}') && hrtime(true) < $end; usleep(2000));`;
  writeFileSync(script, readFileSync(script, 'utf8').replace("reply.php';", `reply.php';\n${wait}`));
};

const unfinished = (run: Run): unknown[] =>
  run.events
    .filter(({ type }) => type === 'warning')
    .map(({ warning }) => warning as { reason: string })
    .filter(({ reason }) => reason === 'revert-unfinished');

/** Deploys onto a green pool that is not verified, and begins a request there that outlasts the drain. */
async function revertedAtWork(rig: Rig): Promise<{ run: Run; held: Awaited<ReturnType<Rig['occupy']>> }> {
  rig.breakVerify('green');
  const command = rig.spawnDeploy();
  await command.untilStep('verify');
  const held = await rig.occupy();
  writeFileSync(rig.sandbox.path('work', 'go'), '');
  return { run: await command.end, held };
}

describe.each(['rewrite', 'symlink'] as const)('by %s', (by) => {
  it('what the new pool has begun is not cut: the revert says that it is unfinished, recover ends it', async () => {
    const site = { workers: 8, yaml: 'drain: { timeout: 500ms }' };
    await withRig({ switch: by, site, prepare: slowly }, async (rig) => {
      await rig.deployed();
      await rig.load({ fast: { rate: 40 }, post: { clients: 1, takes: 5 } });
      const { run, held } = await revertedAtWork(rig);
      expect(run.result, run.stdout).toMatchObject({
        outcome: 'reverted',
        exit: 1,
        failure: { reason: 'verify-failed' },
        drain: { cut: 0 },
      });
      expect(unfinished(run)).toMatchObject([
        {
          slot: 'green',
          cause: { reason: 'drain-timeout' },
          message: expect.stringContaining('The green pool could not be taken down again') as string,
          hint: expect.stringContaining('`swap-pool recover demo`') as string,
        },
      ]);
      expect(rig.journals().at(-1)?.records.at(-1)).toMatchObject({ type: 'kept', reason: 'drain-timeout' });
      expect(await rig.answering()).toBe('blue');
      expect([rig.isListening('blue'), rig.isListening('green')]).toEqual([true, true]);

      // it waits once more, and is no more patient than it was told to be
      const still = await rig.run(['recover', 'demo']);
      expect(unfinished(still), still.stdout).toMatchObject([{ slot: 'green' }]);
      expect(rig.isListening('green')).toBe(true);

      expect(await held.release()).toEqual([held.id]);
      const ended = await rig.run(['recover', 'demo']);
      expect(ended.result, ended.stdout).toMatchObject({ outcome: 'reverted', exit: 1, drain: { cut: 0 } });
      expect(unfinished(ended)).toEqual([]);
      expect(rig.isListening('green')).toBe(false);
      expect(await rig.answering()).toBe('blue');
    });
  });
});
