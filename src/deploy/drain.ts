/**
 * The drain proof: until it holds, nobody is told to stop.
 *
 *   1. no way in: the proxy has nobody left who could send a request to the slot;
 *   2. accepted + queued = 0, then no worker of the pool works on;
 *   3. (retire) the socket's name is taken away, and 2 holds again.
 *
 * The pool that a revert takes down goes the same way as the pool that a deploy leaves.
 */
import type { Drivers, OlderWorker, PoolLife, PoolLoad } from '../drivers.js';
import { fail, ok } from '../event.js';
import type { Connections, Emit, Failure, Result, Slot } from '../event.js';
import { now, waitUntil } from '../system/clock.js';

export interface Draining {
  readonly drivers: Drivers;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly slot: Slot;
  readonly life: PoolLife;
  /** Proxy workers that may still send requests there. */
  readonly older: readonly OlderWorker[];
  /** Questions of our own that it never answered: its workers may be at them for ever, and nobody waits. */
  readonly unanswered?: number;
  /** Whether the pool may still be taken down, asked now and then: its failure ends the wait. */
  readonly guard?: () => Promise<Result<void>>;
}

export type DrainEnd =
  /** Proven. `first`: what the pool held at the first look. */
  | { readonly kind: 'drained'; readonly first: Connections }
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** `last`: the last look. */
  | { readonly kind: 'deadline'; readonly last: PoolLoad; readonly retiring: number };

/** A drain that waits for nothing but other sites' workers says so once, after so many ms. */
const TELL_OTHERS_AFTER = 2000;
/**
 * Counters for a person are refreshed so often, ms; and of a drain that goes on for seconds so much more rarely as it has
 * lasted: they want a look at everything, which takes many times as long as one at who was at work.
 */
const PROGRESS_EVERY = 200;
const PROGRESS_SHARE = 10;
const PROGRESS_SLOWEST = 2000;
/** How often a drain that lasts asks whether it has still a right to, ms. */
const GUARD_EVERY = 1000;

/** Points 1 and 2, bounded by `drain.timeout`. */
export async function drain(draining: Draining): Promise<DrainEnd> {
  const { drivers, slot, life, older, emit, unanswered = 0 } = draining;
  const began = now();
  let first = null as Connections | null;
  let last: PoolLoad = { connections: { accepted: 0, queued: 0 }, working: 0, requests: 0, alive: true };
  let retiring = 0;
  let told = false;
  let shown = -Infinity;
  let cost = 0;
  let whole = 0;
  let guarded = began;
  /** Since when it is idle, and waited for is only that nobody can come any more. */
  let idleSince = null as number | null;

  /** How long those who watch can do without new figures. */
  const showEvery = (): number =>
    Math.max(PROGRESS_EVERY, Math.min(PROGRESS_SLOWEST, (now() - began) / PROGRESS_SHARE));

  const look = async (): Promise<Result<true> | undefined> => {
    const looked = now();
    if (draining.guard !== undefined && looked - guarded >= GUARD_EVERY) {
      guarded = looked;
      const may = await draining.guard();
      if (!may.ok) return may;
    }
    // nobody is to see figures yet, and a look at everything costs much more
    const due = looked - shown >= Math.max(showEvery(), SHARE * whole);
    if (!due) {
      const works = drivers.pool.works(slot, unanswered);
      cost = now() - looked;
      if (works) {
        idleSince = null;
        return undefined;
      }
    }
    const way = await drivers.proxy.wayIn(slot, older);
    if (!way.ok) return way;
    // as long as somebody may come, what the pool holds is for those who watch
    if (way.value.open && first !== null && !due) {
      retiring = way.value.retiring.length;
      idleSince ??= looked;
      return undefined;
    }
    const load = drivers.pool.load(slot, life);
    if (!load.ok) return load;
    last = load.value;
    first ??= last.connections;
    retiring = way.value.open ? way.value.retiring.length : 0;
    whole = now() - looked;
    // the next one will be such a one again
    if (!due) cost = whole;
    const idle = isIdle(last, unanswered);
    idleSince = idle ? (idleSince ?? looked) : null;
    if (idle && !way.value.open) return ok(true);
    if (now() - shown >= showEvery()) {
      shown = now();
      emit({
        type: 'progress',
        step: 'drain',
        slot,
        connections: last.connections,
        working: last.working,
        retiring,
      });
    }
    if (!told && idle && way.value.open && now() - began > TELL_OTHERS_AFTER) {
      told = true;
      const pids = way.value.retiring.map((id) => id.pid);
      emit({ type: 'warning', warning: { reason: 'waits-for-other-sites', retiring, pids } });
    }
    return undefined;
  };

  const waited = await waitUntil(look, {
    deadline: drivers.drain.timeout,
    signal: draining.signal,
    pace: (elapsed) => drainPace(elapsed, cost, last, idleSince),
  });
  if (waited.kind === 'aborted') return { kind: 'interrupted' };
  if (waited.kind === 'deadline') {
    const load = drivers.pool.load(slot, life);
    return { kind: 'deadline', last: load.ok ? load.value : last, retiring };
  }
  if (!waited.value.ok) return { kind: 'failed', failure: waited.value.failure };
  return { kind: 'drained', first: first ?? last.connections };
}

/**
 * Point 3: takes the name away and sees the pool empty once more. A late connect now gets
 * ENOENT before anything was sent, and goes to the other slot.
 */
export async function retire(draining: Draining): Promise<Result<void>> {
  const { drivers, slot, life, signal, unanswered = 0 } = draining;
  const gone = drivers.pool.retire(slot);
  if (!gone.ok) return gone;
  let last: PoolLoad | null = null;
  const waited = await waitUntil(
    () => {
      const load = drivers.pool.load(slot, life);
      if (!load.ok) return load;
      last = load.value;
      return isIdle(load.value, unanswered) ? ok(undefined) : undefined;
    },
    { deadline: drivers.drain.timeout, signal },
  );
  if (waited.kind === 'seen') return waited.value;
  return fail(stillServing(slot, drivers.drain.timeout, last, 0));
}

/** A connection lives until its script ends, even when the client has gone: ours cannot be told from others'. */
const isIdle = ({ alive, connections, working }: PoolLoad, unanswered: number): boolean =>
  !alive || (connections.accepted + connections.queued <= unanswered && working <= unanswered);

/** An upper bound of the requests that a signal now would end. */
export const atRisk = (load: PoolLoad): number => (load.alive ? load.requests : 0);

export function stillServing(slot: Slot, ms: number, last: PoolLoad | null, retiring: number): Failure {
  return {
    reason: 'drain-timeout',
    slot,
    ms,
    connections: last?.connections ?? { accepted: 0, queued: 0 },
    working: last?.working ?? 0,
    retiring,
  };
}

/** Looks in part, and at everything, take a hundredth of a core at most, each: they cost more the more sockets a host has. */
const SHARE = 100;

/**
 * Quick while the end may be near: most requests that are under way when a pool is left are short. What has lasted for
 * seconds is not in a hurry.
 */
function drainPace(elapsed: number, cost: number, last: PoolLoad, idleSince: number | null): number {
  // a proxy worker that has had its last answer goes within ms, or stays for another site's sake
  if (idleSince !== null) return Math.min(500, Math.max(1, (now() - idleSince) / 10));
  const many = last.connections.accepted + last.connections.queued > 20;
  const [least, most, share] = many ? [50, 100, 100] : [elapsed < 500 ? 1 : 10, 50, 200];
  const patient = Math.min(most, Math.max(least, elapsed / share));
  return Math.min(500, Math.max(patient, elapsed < 100 ? 0 : cost * SHARE));
}
