/** What may happen to the pool that a deploy leaves, and to the new one while the old one drains. */
import { describe, expect, it } from 'vitest';
import type { Slot, SwitchKind } from '../../src/event.js';
import { COMING_BACK } from '../support/checks.js';
import { expectClean, reasonOf, TRAFFIC } from '../support/deaths.js';
import type { Command, Run } from '../support/command.js';
import { withRig, type Held, type Rig, type RigOptions } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind, yaml = ''): RigOptions => ({
  switch: by,
  site: { workers: 12, fpmGlobal: 'process_control_timeout = 1s', yaml: `stop: { timeout: 1s }\n${yaml}` },
});

/** Traffic, and a deploy from blue to green that drains: blue holds a request that the test lets go of. */
async function draining(rig: Rig): Promise<{ readonly held: Held; readonly command: Command }> {
  await rig.deployed();
  const load = await rig.load(TRAFFIC);
  const held = await rig.occupy();
  await rig.until(() => load.underWay('slow') > 0);
  const command = rig.spawnDeploy();
  await command.untilStep('drain', 'progress');
  return { held, command };
}

/** As the kernel does when memory is gone, or a person: master and workers at once. */
function killAll(rig: Rig, slot: Slot): void {
  const master = rig.sandbox.poolMaster(slot);
  if (master === null) throw new Error(`${slot} has no master`);
  // FPM made a session of its own: its pid is that of its group
  process.kill(-master, 'SIGKILL');
}

const warned = (run: Run): unknown[] => run.events.flatMap(({ warning }) => reasonOf(warning) ?? []);

/** What was under way when a fault struck is the fault's own doing; who came afterwards is not. */
function excuse(rig: Rig, until = performance.now()): void {
  rig.allow.cut = ({ start }) => start <= until;
}

describe.each(BOTH)('while the old pool drains, by %s,', (by) => {
  it('it dies: the new one serves, and the deploy is done', async () => {
    await withRig(on(by), async (rig) => {
      const { held, command } = await draining(rig);
      excuse(rig);
      killAll(rig, 'blue');
      const run = await command.end;
      expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, to: 'green' });
      await held.release();
      await expectClean(rig, 'green');
    });
  });

  it('the new one dies: the old one is left as it is, and recover starts the new one again', async () => {
    await withRig(on(by), async (rig) => {
      const { held, command } = await draining(rig);
      const master = rig.sandbox.poolMaster('blue');
      killAll(rig, 'green');
      const run = await command.end;
      expect(run.result, run.stdout).toMatchObject({
        outcome: 'stranded',
        exit: 4,
        failure: { reason: 'stranded' },
      });
      expect(run.stderr).toMatch(/green is to serve and is not there, so blue was not touched/);
      expect(await held.release()).toEqual([held.id]);
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      expect((await rig.run(['recover', 'demo'])).result).toMatchObject({ outcome: 'done', exit: 0 });
      // until then nobody stood behind a link
      excuse(rig);
      rig.allow.log.push(COMING_BACK);
      await expectClean(rig, 'green');
    });
  });

  it('somebody starts it again: the new life is left alone, and taken down by the next deploy', async () => {
    await withRig(on(by), async (rig) => {
      const { held, command } = await draining(rig);
      command.kill('SIGSTOP');
      excuse(rig);
      killAll(rig, 'blue');
      await rig.until(() => !rig.isListening('blue'));
      expect((await rig.sandbox.startPool('blue')).ok).toBe(true);
      const master = rig.sandbox.poolMaster('blue');
      command.kill('SIGCONT');
      const run = await command.end;
      expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, to: 'green' });
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      expect(await rig.answering()).toBe('green');
      await held.release();
      expect((await rig.deploy()).result).toMatchObject({ outcome: 'done', from: 'green', to: 'blue' });
      expect(rig.sandbox.poolMaster('blue')).not.toBe(master);
      await expectClean(rig, 'blue');
    });
  });

  it('a worker of it is stuck: kept at the deadline, and ended when somebody says so', async () => {
    await withRig(on(by, 'drain: { timeout: 2s }'), async (rig) => {
      const { held, command } = await draining(rig);
      process.kill(held.worker(), 'SIGSTOP');
      const kept = await command.end;
      expect(kept.result, kept.stdout).toMatchObject({
        outcome: 'draining',
        exit: 5,
        failure: { reason: 'drain-timeout' },
      });
      expect(kept.stderr).toMatch(/1 /);
      const now = await rig.run(['recover', 'demo', '--now']);
      expect(now.result, now.stdout).toMatchObject({ outcome: 'done', exit: 0, drain: { cut: 1 } });
      expect(warned(now)).toContain('cut');
      await held.release();
      await expectClean(rig, 'green');
    });
  });

  it('its master hears no QUIT: it is killed, said so, and nothing is cut', async () => {
    await withRig(on(by), async (rig) => {
      const { held, command } = await draining(rig);
      await rig.signalPool('blue', 'SIGSTOP', { gone: false });
      expect(await held.release()).toEqual([held.id]);
      const run = await command.end;
      expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, drain: { cut: 0 } });
      expect(run.events).toContainEqual(
        expect.objectContaining({ step: 'stop', note: { kind: 'signal', signal: 'SIGKILL' } }),
      );
      await expectClean(rig, 'green');
    });
  });
});
