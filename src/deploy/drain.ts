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
import { DrainPace } from './drain-pace.js';

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
  let guarded = began;
  const pace = new DrainPace(began);

  const look = async (): Promise<Result<true> | undefined> => {
    const looked = now();
    if (draining.guard !== undefined && looked - guarded >= GUARD_EVERY) {
      guarded = looked;
      const may = await draining.guard();
      if (!may.ok) return may;
    }
    const due = pace.begins(now());
    if (!due && drivers.pool.works(slot, unanswered)) {
      pace.ends(now(), 'short', 'work');
      return undefined;
    }
    const way = await drivers.proxy.wayIn(slot, older);
    if (!way.ok) return way;
    // as long as somebody may come, what the pool holds is for those who watch
    if (way.value.open && first !== null && !due) {
      retiring = way.value.retiring.length;
      pace.ends(now(), 'short', 'idle');
      return undefined;
    }
    const load = drivers.pool.load(slot, life);
    if (!load.ok) return load;
    last = load.value;
    first ??= last.connections;
    retiring = way.value.open ? way.value.retiring.length : 0;
    const idle = isIdle(last, unanswered);
    pace.ends(now(), 'whole', idle ? 'idle' : 'work');
    if (idle && !way.value.open) return ok(true);
    if (pace.shows(now())) {
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
    pace: () => pace.next(now(), last.connections.accepted + last.connections.queued),
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
