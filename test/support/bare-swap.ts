/**
 * A swap as a careful shell script would do it, over a symlink: the yardstick that rig and load
 * sender are tested with before anything of ours swaps.
 */
import { SLOTS, otherSlot, type Slot } from '../../src/event.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { waitUntil } from '../../src/system/clock.js';
import { readLink, replaceLink } from '../../src/system/files.js';
import { identify, isAlive, procfs, signalProcess } from '../../src/system/proc.js';
import { socketsAt } from '../../src/system/sockets.js';

const fs = procfs();
const pathOf = (sandbox: Sandbox, slot: Slot): string => sandbox.site().address[slot].replace(/^unix:/, '');

/** Starts the other pool and moves the link; the old pool goes on. Gives back the slot that was left. */
export async function moveLink(sandbox: Sandbox): Promise<Slot> {
  const target = readLink(sandbox.site().link);
  const from = SLOTS.find((slot) => target.ok && target.value === pathOf(sandbox, slot)) ?? 'green';
  const started = await sandbox.startPool(otherSlot(from));
  if (!started.ok) throw new Error(JSON.stringify(started.failure));
  const moved = replaceLink(sandbox.site().link, pathOf(sandbox, otherSlot(from)));
  if (!moved.ok) throw new Error(moved.code);
  return from;
}

/** Waits until no connection is left in a pool. */
export async function drained(sandbox: Sandbox, slot: Slot): Promise<void> {
  let zeros = 0;
  const seen = await waitUntil(
    () => {
      const { connections } = socketsAt(fs, { kind: 'unix', path: pathOf(sandbox, slot) });
      zeros = connections.accepted + connections.queued === 0 ? zeros + 1 : 0;
      return zeros === 3 ? true : undefined;
    },
    { deadline: 20_000 },
  );
  if (seen.kind !== 'seen') throw new Error(`${slot} does not drain`);
}

/** Sends a signal to a pool's master and waits until it is gone. */
export async function end(sandbox: Sandbox, slot: Slot, signal: NodeJS.Signals): Promise<void> {
  const pid = sandbox.poolMaster(slot);
  const id = pid === null ? null : identify(fs, pid);
  if (id === null) throw new Error(`${slot} does not run`);
  signalProcess(fs, id, signal);
  const gone = await waitUntil(() => (isAlive(fs, id) ? undefined : true), { deadline: 15_000 });
  if (gone.kind !== 'seen') throw new Error(`${slot} does not end`);
}
