/** Programs that wait, and what they are seen to wait for. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { Command, Run } from './command.js';
import type { Rig } from './rig.js';

/** A deploy that holds its locks while it drains a request, which ends when it is let go; gives its end. */
export async function draining(rig: Rig): Promise<{ deploy: Command; letGo: () => Promise<Run> }> {
  const held = await rig.occupy();
  const deploy = rig.spawnDeploy();
  await deploy.untilStep('drain', 'progress');
  return {
    deploy,
    letGo: async () => {
      expect(await held.release()).toEqual([held.id]);
      return deploy.end;
    },
  };
}

/** A command that is to wait for its lock, as soon as it does. */
export async function queued(rig: Rig, words: readonly string[], patience = '1m'): Promise<Command> {
  const command = rig.spawn([...words, '--wait-lock', patience]);
  await rig.until(() => waitsForFlock(command.pid));
  return command;
}

/** Whether a swap-pool waits for a lock. */
const waitsForFlock = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .some((child) => {
      try {
        return readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('flock\0-w');
      } catch {
        return false;
      }
    });
