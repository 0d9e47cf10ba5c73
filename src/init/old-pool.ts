/**
 * The pool that a site comes from, as it runs: how many workers it needs, whose it is, and when nobody uses
 * it any more.
 */
import type { ProcessId, Result } from '../event.js';
import { fail, ok } from '../event.js';
import { childrenOf, look, staff } from '../pool/life.js';
import { fpmPids, fpmProcess, holders } from '../pool/processes.js';
import { spell } from '../pool/slots.js';
import { waitUntil } from '../system/clock.js';
import { readText } from '../system/files.js';
import { executable, socketsOf } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { listeningAmong } from '../system/sockets.js';
import type { Address } from '../system/sockets.js';

export interface OldPool {
  readonly master: ProcessId;
  /** Its master's own configuration and program. */
  readonly config: string | null;
  readonly binary: string | null;
  readonly workers: number;
  /** Those that are free. */
  readonly idle: number;
  /** Its master has no other pool. */
  readonly alone: boolean;
  /** systemd's unit, where it has one. */
  readonly unit: string | null;
}

/** Null when nobody listens there, or no FPM, or /proc does not tell. */
export function findOldPool(fs: Procfs, address: Address): OldPool | null {
  const seen = look(fs, address);
  if (!seen.ok || seen.value.listeners.length === 0) return null;
  const inodes = new Set(seen.value.listeners);
  const found = holders(fs, fpmPids(fs), inodes).flatMap((pid) => fpmProcess(fs, pid) ?? []);
  // a worker carries its master's title for a moment after its fork
  const masters = found.filter(({ role }) => role === 'master');
  const master = masters.find(({ ppid }) => !masters.some(({ id }) => id.pid === ppid));
  if (master === undefined) return null;
  const workers = staff(fs, { kind: 'php-fpm' }, childrenOf(fs, master.id), inodes);
  const own = listeningAmong(fs, socketsOf(fs, master.id.pid)?.values() ?? []);
  return {
    master: master.id,
    config: master.config,
    binary: executable(fs, master.id.pid),
    workers: workers.ok ? workers.value.workers.length : 0,
    idle: workers.ok ? workers.value.idle : 0,
    alone: own.every((inode) => inodes.has(inode)),
    unit: unitOf(fs, master.id.pid),
  };
}

/** The most requests that the pool held, or workers that it had, at once within `ms`: looked at again and again. */
export async function watchOldPool(fs: Procfs, address: Address, ms: number): Promise<number> {
  let most = 0;
  await waitUntil(
    () => {
      const seen = look(fs, address);
      if (!seen.ok) return undefined;
      const { accepted, queued } = seen.value.connections;
      // what is queued or held wants a worker each, whether or not the pool has come to have it
      most = Math.max(most, accepted + queued, findOldPool(fs, address)?.workers ?? 0);
      return undefined;
    },
    { deadline: ms, pace: () => PACE },
  );
  return most;
}

export interface OldPoolWait {
  readonly fs: Procfs;
  readonly address: Address;
  /** How many of the proxy's workers may still send requests there; null: nobody can tell. */
  readonly retiring: () => Promise<number | null>;
  /** ms */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/**
 * Waits until the old pool holds and queues no connection and none of its workers works on, seen twice, with
 * no worker of the proxy left that could still come to it. Fails with `old-pool-busy`.
 */
export async function awaitOldPool(wait: OldPoolWait): Promise<Result<void>> {
  const { fs, address, retiring, timeout, signal } = wait;
  let last = { connections: { accepted: 0, queued: 0 }, working: 0, retiring: 0 };
  let quiet = 0;
  const ended = await waitUntil(
    async () => {
      const left = await retiring();
      const seen = look(fs, address);
      if (!seen.ok) return seen;
      const master = findOldPool(fs, address)?.master;
      const people = master === undefined ? [] : childrenOf(fs, master);
      const crew = staff(fs, { kind: 'php-fpm' }, people, new Set(seen.value.listeners));
      if (!crew.ok) return crew;
      last = { connections: seen.value.connections, working: crew.value.working, retiring: left ?? 0 };
      const { accepted, queued } = last.connections;
      quiet = left === 0 && accepted + queued + last.working === 0 ? quiet + 1 : 0;
      return quiet >= 2 ? ok(undefined) : undefined;
    },
    { deadline: timeout, signal, pace: () => PACE },
  );
  if (ended.kind === 'seen') return ended.value;
  return fail({ reason: 'old-pool-busy', address: spell(address), ms: timeout, ...last });
}

const PACE = 100;

/** The service whose cgroup the process lives in (cgroups(7)). */
function unitOf(fs: Procfs, pid: number): string | null {
  const text = readText(`${fs.root}/${String(pid)}/cgroup`);
  return text.ok ? (/\/([^/\n]+\.service)$/m.exec(text.value)?.[1] ?? null) : null;
}
