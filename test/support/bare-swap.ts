/**
 * A swap as a careful shell script would do it, over a symlink: the yardstick that rig and load
 * sender are tested with before anything of ours swaps.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { SLOTS, otherSlot, type Slot } from '../../src/event.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { waitUntil } from '../../src/system/clock.js';
import { readLink, replaceLink } from '../../src/system/files.js';
import { children, identify, isAlive, procfs, signalProcess } from '../../src/system/proc.js';
import { socketsAt } from '../../src/system/sockets.js';
import { PATIENCE } from './limits.js';

const fs = procfs();
const pathOf = (sandbox: Sandbox, slot: Slot): string => sandbox.site().address[slot].replace(/^unix:/, '');

/** Starts the other pool and points the site at it; the old pool goes on. Gives back the slot that was left. */
export async function moveOver(sandbox: Sandbox): Promise<Slot> {
  const from = activeSlot(sandbox);
  const started = await sandbox.startPool(otherSlot(from));
  if (!started.ok) throw new Error(JSON.stringify(started.failure));
  if (sandbox.site().switch === 'symlink') {
    const moved = replaceLink(sandbox.site().link, pathOf(sandbox, otherSlot(from)));
    if (!moved.ok) throw new Error(moved.code);
  } else await exchange(sandbox);
  return from;
}

/** The slot that the site's configuration names. */
function activeSlot(sandbox: Sandbox): Slot {
  const { link, upstream, address, switch: by } = sandbox.site();
  if (by === 'rewrite') {
    const text = readFileSync(upstream, 'utf8');
    return text.indexOf(address.blue) < text.indexOf(address.green) ? 'blue' : 'green';
  }
  const target = readLink(link);
  // before the first swap there is no link, and the first pool to start is blue
  return SLOTS.find((slot) => target.ok && target.value === pathOf(sandbox, slot)) ?? 'green';
}

/** moveOver(), drain, QUIT: the whole of it. */
export async function swap(sandbox: Sandbox): Promise<Slot> {
  const left = await moveOver(sandbox);
  await drained(sandbox, left);
  await end(sandbox, left, 'SIGQUIT');
  return left;
}

async function exchange(sandbox: Sandbox): Promise<void> {
  const { upstream, address } = sandbox.site();
  const swapped: Record<string, string> = { [address.blue]: address.green, [address.green]: address.blue };
  const text = readFileSync(upstream, 'utf8');
  writeFileSync(
    upstream,
    text.replace(/(?<=server )\S+(?= max_fails)/g, (one) => swapped[one] ?? one),
  );
  const master = sandbox.nginxMaster();
  if (master === null) throw new Error('nginx does not run');
  const old = children(fs, master).map((pid) => identify(fs, pid));
  process.kill(master, 'SIGHUP');
  const gone = await waitUntil(() => (old.some((id) => id !== null && isAlive(fs, id)) ? undefined : true), {
    deadline: PATIENCE,
  });
  if (gone.kind !== 'seen') throw new Error('old nginx workers do not end');
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
    { deadline: PATIENCE },
  );
  if (seen.kind !== 'seen') throw new Error(`${slot} does not drain`);
}

/** Sends a signal to a pool's master and waits until it is gone. */
export async function end(sandbox: Sandbox, slot: Slot, signal: NodeJS.Signals): Promise<void> {
  const pid = sandbox.poolMaster(slot);
  const id = pid === null ? null : identify(fs, pid);
  if (id === null) throw new Error(`${slot} does not run`);
  signalProcess(fs, id, signal);
  const gone = await waitUntil(() => (isAlive(fs, id) ? undefined : true), { deadline: PATIENCE });
  if (gone.kind !== 'seen') throw new Error(`${slot} does not end`);
}
