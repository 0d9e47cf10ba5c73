/**
 * Takes one pool down outside of a deploy. Where nobody can be sent to it: by the drain proof, as a deploy
 * does. Where it serves and that was agreed to: its name first, so that what comes finds nothing and what it
 * holds can end, then QUIT. Or at once.
 *
 * No journal: whoever dies in between leaves a pool that runs with or without its name, or one that ends,
 * and all of that can be seen.
 */
import type { Drivers, OlderWorker, PoolLife, PoolLoad } from '../drivers.js';
import { fail, ok } from '../event.js';
import type { Connections, Emit, Failure, Result, Slot } from '../event.js';
import { now } from '../system/clock.js';
import type { Interruption } from './deploy.js';
import { atRisk, drain, retire } from './drain.js';

export interface StandingDown {
  readonly drivers: Drivers;
  readonly emit: Emit;
  readonly interruption: Interruption;
  readonly slot: Slot;
  readonly life: PoolLife;
  /** `idle`: the proxy names the other slot. `serving`: it may be used until its name is gone. `force`: no matter. */
  readonly way: 'idle' | 'serving' | 'force';
  /** Proxy workers that may still send requests there, when `idle`. */
  readonly older: readonly OlderWorker[];
}

export type StoodDown =
  | { readonly kind: 'gone'; readonly first: Connections; readonly cut: number }
  /** It goes on, under its name. */
  | { readonly kind: 'kept'; readonly failure: Failure }
  /** It was told to end and did not. */
  | { readonly kind: 'stuck'; readonly failure: Failure };

interface Quiet {
  readonly first: Connections;
  /** The time is over, and what is still served will be cut. */
  readonly over: boolean;
}

const NOTHING: Connections = { accepted: 0, queued: 0 };

export async function standDown(down: StandingDown): Promise<StoodDown> {
  const { drivers, emit, slot, life, way } = down;
  const { pool } = drivers;
  const load = pool.load(slot, life);
  if (!load.ok) return { kind: 'kept', failure: load.failure };
  let quiet: Quiet = { first: load.value.connections, over: true };
  if (load.value.alive && way !== 'force') {
    const waited = way === 'idle' ? await prove(down) : await unname(down);
    if (!waited.ok) {
      pool.unretire(slot);
      return { kind: 'kept', failure: waited.failure };
    }
    quiet = waited.value;
  }
  const last = quiet.over ? pool.load(slot, life) : null;
  const cut = last?.ok === true ? atRisk(last.value) : 0;
  if (cut > 0) {
    const asked = way === 'idle' ? {} : ({ asked: true } as const);
    emit({ type: 'warning', warning: { reason: 'cut', slot, cut, ...asked } });
  }

  const began = now();
  emit({ type: 'step-started', step: 'stop', slot, revert: false });
  const told = (warning: Parameters<Parameters<typeof pool.stop>[2]>[0]): void => {
    emit({ type: 'warning', warning });
  };
  const stopped = await pool.stop(slot, life, told, way === 'force' ? 'force' : 'patient');
  if (!stopped.ok) return { kind: 'stuck', failure: stopped.failure };
  const swept = await pool.sweep(slot);
  if (!swept.ok) return { kind: 'stuck', failure: swept.failure };
  const { signal } = stopped.value;
  const note = signal === null ? null : ({ kind: 'signal', signal } as const);
  emit({ type: 'step-done', step: 'stop', slot, revert: false, ms: now() - began, note });
  return { kind: 'gone', first: quiet.first, cut };
}

/** The whole of the proof; nobody is told anything before it holds, or `drain.on-timeout` is `stop`. */
async function prove(down: StandingDown): Promise<Result<Quiet>> {
  const { drivers, emit, interruption, slot, life, older } = down;
  const { signal } = interruption;
  const over = (first: Connections): Result<Quiet> => ok({ first, over: true });
  const keeps = drivers.drain.onTimeout === 'keep';

  const drained = await step<Quiet>(down, 'drain', async () => {
    const end = await drain({ drivers, emit, signal, slot, life, older });
    switch (end.kind) {
      case 'drained':
        return ok({ first: end.first, over: false });
      case 'failed':
        return fail(end.failure);
      case 'interrupted':
        return fail({ reason: 'interrupted', signal: interruption.requested ?? 'SIGTERM', during: 'pool' });
      case 'deadline':
        return keeps ? fail(busy(down, end.last, end.retiring)) : over(end.last.connections);
    }
  });
  if (!drained.ok) return drained;
  // a person, or a tool that puts configuration back, may have pointed the proxy there meanwhile
  const named = await drivers.proxy.names(slot);
  if (!named.ok) return named;
  if (named.value) return fail({ reason: 'pool-named', slot });
  if (drained.value.over) {
    const gone = drivers.pool.retire(slot);
    return gone.ok ? drained : gone;
  }
  const { first } = drained.value;
  return step<Quiet>(down, 'retire', async () => {
    const retired = await retire({ drivers, emit, signal, slot, life, older });
    if (retired.ok) return ok({ first, over: false });
    const { requested } = interruption;
    if (requested !== null) return fail({ reason: 'interrupted', signal: requested, during: 'pool' });
    const { failure } = retired;
    if (failure.reason !== 'drain-timeout') return retired;
    return keeps ? fail({ ...failure, reason: 'pool-busy' }) : over(first);
  });
}

/** Nobody new finds it, and what it holds has as long to end as its own master would give it. TCP has no name to take. */
async function unname(down: StandingDown): Promise<Result<Quiet>> {
  const { drivers, emit, interruption, slot, life } = down;
  const { pool } = drivers;
  const load = pool.load(slot, life);
  const first = load.ok ? load.value.connections : NOTHING;
  if (!pool.address(slot).startsWith('unix:')) return ok({ first, over: true });
  return step<Quiet>(down, 'retire', async () => {
    const patient = { ...drivers, drain: { ...drivers.drain, timeout: pool.patience(slot) } };
    const { signal } = interruption;
    const retired = await retire({ drivers: patient, emit, signal, slot, life, older: [] });
    if (retired.ok) return ok({ first, over: false });
    const { requested } = interruption;
    if (requested !== null) return fail({ reason: 'interrupted', signal: requested, during: 'pool' });
    return retired.failure.reason === 'drain-timeout' ? ok({ first, over: true }) : retired;
  });
}

async function step<T>(
  { emit, slot }: StandingDown,
  name: 'drain' | 'retire',
  act: () => Promise<Result<T>>,
): Promise<Result<T>> {
  const began = now();
  emit({ type: 'step-started', step: name, slot, revert: false });
  const done = await act();
  if (done.ok) {
    emit({ type: 'step-done', step: name, slot, revert: false, ms: now() - began, note: null });
  }
  return done;
}

const busy = ({ drivers, slot }: StandingDown, last: PoolLoad, retiring: number): Failure => ({
  reason: 'pool-busy',
  slot,
  ms: drivers.drain.timeout,
  connections: last.connections,
  working: last.working,
  retiring,
});
