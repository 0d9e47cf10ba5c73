/** What a person does to a site beside swap-pool. */
import { renameSync, symlinkSync, writeFileSync } from 'node:fs';
import type { Slot } from '../../src/event.js';
import { readWorkers } from '../../src/nginx/workers.js';
import { identify, procfs } from '../../src/system/proc.js';
import type { Rig } from './rig.js';

const fs = procfs();

/** Exchanges the slots where nginx is told of them, in the file or the link; nginx itself is told nothing yet. */
export function editByHand(rig: Rig, slot: Slot): void {
  if (rig.site().switch === 'symlink') {
    const { link, address } = rig.site();
    symlinkSync(address[slot].slice('unix:'.length), `${link}.new`);
    renameSync(`${link}.new`, link);
    return;
  }
  const text = rig.read('upstreams', 'demo.conf');
  const swapped = text.replace(
    /(blue|green)(\.sock)/g,
    (_, name: string, end: string) => `${name === 'blue' ? 'green' : 'blue'}${end}`,
  );
  writeFileSync(rig.sandbox.path('upstreams', 'demo.conf'), swapped);
}

/** Points nginx at a slot: edit, reload, and look whether it took it. */
export async function pointByHand(rig: Rig, slot: Slot): Promise<void> {
  editByHand(rig, slot);
  if (rig.site().switch === 'rewrite') await reloadByHand(rig);
  for (let seen = ''; seen !== slot;) seen = await rig.answering();
}

/** Reloads nginx, and waits until the workers that take requests were born of it. */
export async function reloadByHand(rig: Rig): Promise<void> {
  const count = Number(/^worker_processes (\d+);/m.exec(rig.read('nginx.conf'))?.[1]);
  let old: readonly number[] = [];
  // a worker that was forked a moment ago is one of before, too
  await rig.until(() => (old = workers(rig)).length === count);
  await rig.signalNginx('SIGHUP');
  // until it is told to go, a worker of before takes connections beside the new ones
  await rig.until(() => {
    const now = workers(rig);
    return now.length === count && !now.some((pid) => old.includes(pid));
  });
}

/** Those that take requests. */
function workers(rig: Rig): readonly number[] {
  const master = identify(fs, rig.sandbox.nginxMaster() ?? 0);
  return master === null ? [] : readWorkers(fs, master).serving.map(({ pid }) => pid);
}
