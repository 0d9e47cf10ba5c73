/**
 * The whole policy at a glance: what each step does, how it is undone, and from which step
 * on nothing is undone any more. run.ts walks this table forward, and backward.
 *
 * Compensatable steps can be undone; the pivot decides; retriable steps are repeated until
 * they hold. Every revert and every retriable apply may be called again after a crash.
 */
import type { Drivers, OlderWorker, PoolLife } from '../drivers.js';
import { fail, ok, slotForeign } from '../event.js';
import type { Failure, Result, Slot, StepName, StepNote, Warning } from '../event.js';
import { adopt } from './adopt.js';
import { leftSlot } from './deploy.js';
import type { Deploy } from './deploy.js';
import { atRisk, drain, retire, stillServing } from './drain.js';
import { isTakenOver, isThereStill } from './in-place.js';
import type { Evidence } from './state.js';
import { verify } from './verify.js';

/** What a step gives to its record and to the person who watches. */
export interface Applied {
  readonly note: StepNote | null;
  readonly record: Pick<Evidence, 'life' | 'edited' | 'switched' | 'connections' | 'cut' | 'cutting'>;
}

type Act = (deploy: Deploy) => Promise<Result<Applied>>;

export interface Step {
  readonly kind: 'compensatable' | 'pivot' | 'retriable';
  readonly slot: (deploy: Deploy) => Slot;
  readonly apply: Act;
  /** Null where there is nothing to undo. */
  readonly revert: Act | null;
}

const arriving = (deploy: Deploy): Slot => deploy.opened.to;

export const STEPS: Readonly<Record<StepName, Step>> = {
  start: { kind: 'compensatable', slot: arriving, apply: start, revert: takeStandbyDown },
  probe: { kind: 'compensatable', slot: arriving, apply: probe, revert: null },
  switch: { kind: 'compensatable', slot: arriving, apply: switchOver, revert: switchBack },
  verify: { kind: 'pivot', slot: arriving, apply: proveNewPool, revert: null },
  drain: { kind: 'retriable', slot: leftSlot, apply: drainOldPool, revert: null },
  retire: { kind: 'retriable', slot: leftSlot, apply: retireOldPool, revert: null },
  stop: { kind: 'retriable', slot: leftSlot, apply: stopOldPool, revert: null },
};

// ---------------------------------------------------------------- forward

async function start(deploy: Deploy): Promise<Result<Applied>> {
  const { drivers, clear } = deploy;
  const slot = deploy.opened.to;
  if (clear !== null) {
    const cleared = await takeDown(deploy, slot, clear.life, clear.older, deploy.interruption.signal);
    if (!cleared.ok) {
      drivers.pool.unretire(slot);
      return cleared;
    }
  }
  const starting = drivers.pool.start(slot);
  drivers.verify?.prepare();
  const started = await starting;
  if (!started.ok) return started;
  deploy.arriving = started.value;
  const pid = (started.value.master ?? started.value.workers[0])?.pid ?? 0;
  // the files were read before the locks were taken, and others' requests may have been waited for since
  const print = await drivers.pool.fingerprint();
  const edited = !print.ok || print.value !== deploy.opened.fingerprint ? ({ edited: true } as const) : {};
  return ok({ note: { kind: 'pid', pid, adopted: false }, record: { life: started.value, ...edited } });
}

async function probe(deploy: Deploy): Promise<Result<Applied>> {
  const slot = deploy.opened.to;
  // taken back as it runs: its name may be away already
  if (deploy.opened.arriving !== null) {
    const named = deploy.drivers.pool.unretire(slot);
    if (!named.ok) return named;
  }
  const { interruption } = deploy;
  const answered = await deploy.drivers.probe.probe(slot, interruption.signal);
  if (!answered.ok) {
    const { failure } = answered;
    // to ask changes nothing: whoever wants us to go need not wait for the answer, and the pool may be at it still
    if (interruption.requested !== null) {
      deploy.unanswered = 1;
      return fail({ reason: 'interrupted', signal: interruption.requested });
    }
    // the first question without an answer takes all the time that is left
    if (failure.reason === 'probe-failed' && failure.answer.kind === 'timeout') deploy.unanswered = 1;
    return answered;
  }
  const same = await isItself(deploy, slot);
  if (!same.ok) return same;
  return ok({ note: { kind: 'answers', ...answered.value }, record: {} });
}

/**
 * The pool that is to serve is the one that was started, and its address leads to it. Workers answer on without
 * their master, but nobody would look after them; and whatever was put in the place of its socket would answer in its place.
 */
async function isItself({ drivers, arriving }: Deploy, slot: Slot): Promise<Result<void>> {
  if (arriving === null || drivers.pool.stands(slot, arriving)) return ok(undefined);
  const view = drivers.pool.observe(slot);
  if (!view.ok) return view;
  const { state, lost } = view.value;
  const answer = lost ? drivers.pool.reach(slot, null) : null;
  if (answer !== null) return fail({ reason: 'probe-failed', slot, tries: 0, answer, log: '' });
  if (lost || state === 'foreign') return slotForeign(view.value);
  if (arriving.master === null || state === 'running') return ok(undefined);
  return fail({ reason: 'pool-died', slot, log: await drivers.pool.log(slot) });
}

async function switchOver(deploy: Deploy): Promise<Result<Applied>> {
  const { to, behind } = deploy.opened;
  // the proxy's lock may have been waited for since the last answer
  const same = await isItself(deploy, to);
  if (!same.ok) return same;
  const switched = await deploy.drivers.proxy.point(to, behind, telling(deploy));
  if (!switched.ok) return switched;
  deploy.switched = switched.value;
  return ok({ note: { kind: 'files', files: switched.value.files }, record: { switched: switched.value } });
}

async function proveNewPool(deploy: Deploy): Promise<Result<Applied>> {
  const there = await adopt(deploy);
  if (!there.ok) return there;
  const seen = await verify({
    drivers: deploy.drivers,
    from: leftSlot(deploy),
    leaving: deploy.leaving,
    to: deploy.opened.to,
    arriving: there.value,
    older: deploy.switched?.older ?? [],
  });
  if (!seen.ok) return seen;
  const same = await isItself(deploy, deploy.opened.to);
  if (!same.ok) return same;
  return ok({ note: { kind: 'seen', by: seen.value.by }, record: {} });
}

async function drainOldPool(deploy: Deploy): Promise<Result<Applied>> {
  const { drivers, emit, leaving } = deploy;
  const slot = leftSlot(deploy);
  if (leaving === null) return ok({ note: null, record: {} });
  const limits = limitsOf(deploy);
  const ended = await drain({
    drivers: { ...drivers, drain: limits },
    emit,
    signal: deploy.interruption.signal,
    slot,
    life: leaving,
    older: deploy.switched?.older ?? [],
    guard: () => isTakenOver(deploy),
  });
  switch (ended.kind) {
    case 'drained':
      deploy.drained = ended.first;
      return ok({ note: null, record: { connections: ended.first } });
    case 'failed':
      return fail(ended.failure);
    case 'interrupted':
      return fail({ reason: 'interrupted', signal: deploy.interruption.requested ?? 'SIGTERM' });
    case 'deadline': {
      deploy.drained = ended.last.connections;
      if (limits.onTimeout === 'keep') {
        return fail(stillServing(slot, limits.timeout, ended.last, ended.retiring));
      }
      deploy.cutting = true;
      return ok({ note: null, record: { connections: ended.last.connections, cutting: true } });
    }
  }
}

async function retireOldPool(deploy: Deploy): Promise<Result<Applied>> {
  const { drivers, leaving } = deploy;
  const slot = leftSlot(deploy);
  const nothing = ok({ note: null, record: {} });
  // the name may belong to another life by now: only the pool that was recorded loses it
  if (leaving === null) return nothing;
  const alive = drivers.pool.isAlive(slot, leaving);
  if (!alive.ok) return alive;
  if (!alive.value) return nothing;
  const free = await isFree(deploy, slot);
  if (!free.ok) return free;
  const retired = deploy.cutting ? drivers.pool.retire(slot) : await retire(waits(deploy, slot, leaving));
  if (retired.ok) return nothing;
  if (!isOver(deploy, retired.failure)) return retired;
  deploy.cutting = true;
  return ok({ note: null, record: { cutting: true } });
}

async function stopOldPool(deploy: Deploy): Promise<Result<Applied>> {
  const { drivers, emit, leaving } = deploy;
  const slot = leftSlot(deploy);
  if (leaving === null) return ok({ note: null, record: { cut: 0 } });
  let cut = 0;
  const alive = drivers.pool.isAlive(slot, leaving);
  if (alive.ok && alive.value) {
    const free = await isFree(deploy, slot);
    if (!free.ok) return free;
  }
  if (deploy.cutting) {
    const load = drivers.pool.load(slot, leaving);
    cut = load.ok ? atRisk(load.value) : 0;
    if (cut > 0) emit({ type: 'warning', warning: { reason: 'cut', slot, cut } });
  }
  const stopped = await stopAndSweep(deploy, slot, leaving);
  if (!stopped.ok) return stopped;
  deploy.cut += cut;
  return ok({ note: stopped.value, record: { cut } });
}

// ---------------------------------------------------------------- backward

/** The same exchange towards the slot that served; an edit that somebody else made since stays. */
async function switchBack(deploy: Deploy): Promise<Result<Applied>> {
  const slot = deploy.opened.from ?? deploy.opened.to;
  const switched = await deploy.drivers.proxy.point(slot, false, telling(deploy));
  if (!switched.ok) return switched;
  deploy.switched = null;
  deploy.unswitched = switched.value;
  return ok({ note: { kind: 'files', files: switched.value.files }, record: { switched: switched.value } });
}

async function takeStandbyDown(deploy: Deploy): Promise<Result<Applied>> {
  const { drivers, unseenStart } = deploy;
  const slot = deploy.opened.to;
  let life = deploy.arriving;
  let older = deploy.unswitched?.older ?? [];
  if (life === null && unseenStart !== null) {
    const view = await drivers.pool.settle(slot, unseenStart);
    if (!view.ok) return view;
    life = view.value.life;
    // it may be the pool that the start was to replace: proxy workers of the past may still use it
    const proxy = life === null ? null : await drivers.proxy.survey(null);
    if (proxy?.ok === false) return proxy;
    older = proxy?.value.older ?? older;
  }
  if (life !== null) {
    const down = await takeDown(deploy, slot, life, older, NEVER);
    if (!down.ok) return down;
  }
  const swept = await drivers.pool.sweep(slot);
  // whoever answers there though nobody lives there is a stranger, and why the start was refused: nothing is left of ours
  const strange = !swept.ok && life === null && swept.failure.reason === 'slot-foreign';
  return swept.ok || strange ? ok({ note: null, record: {} }) : swept;
}

// ---------------------------------------------------------------- both ways

/** Drain proof, name away, QUIT: how every pool is stopped that somebody may be using. */
async function takeDown(
  deploy: Deploy,
  slot: Slot,
  life: PoolLife,
  older: readonly OlderWorker[],
  signal: AbortSignal,
): Promise<Result<void>> {
  const { drivers, emit } = deploy;
  const alive = drivers.pool.isAlive(slot, life);
  if (!alive.ok) return alive;
  if (alive.value) {
    const { unanswered } = deploy;
    const limits = limitsOf(deploy);
    const limited = { ...drivers, drain: limits };
    const guard = (): Promise<Result<void>> => isThereStill(deploy);
    const ended = await drain({ drivers: limited, emit, signal, slot, life, older, unanswered, guard });
    if (ended.kind === 'failed') return fail(ended.failure);
    if (ended.kind === 'interrupted') {
      return fail({ reason: 'interrupted', signal: deploy.interruption.requested ?? 'SIGTERM' });
    }
    const unnamed = await isUnnamed(deploy, slot);
    if (!unnamed.ok) return unnamed;
    const kept = await isThereStill(deploy);
    if (!kept.ok) return kept;
    let over = ended.kind === 'deadline';
    if (ended.kind === 'deadline') {
      if (limits.onTimeout === 'keep') {
        return fail(stillServing(slot, limits.timeout, ended.last, ended.retiring));
      }
    } else {
      const retired = await retire(waits(deploy, slot, life));
      if (!retired.ok && !isOver(deploy, retired.failure)) return retired;
      over = !retired.ok;
    }
    if (over) {
      const last = drivers.pool.load(slot, life);
      const cut = last.ok ? atRisk(last.value) : 0;
      deploy.cut += cut;
      if (cut > 0) emit({ type: 'warning', warning: { reason: 'cut', slot, cut } });
    }
  }
  const stopped = await stopAndSweep(deploy, slot, life);
  return stopped.ok ? ok(undefined) : stopped;
}

/** Whether the old pool may be touched: nobody is sent there, and the new one is there for all. */
async function isFree(deploy: Deploy, slot: Slot): Promise<Result<void>> {
  const unnamed = await isUnnamed(deploy, slot);
  return unnamed.ok ? isTakenOver(deploy) : unnamed;
}

/**
 * Whoever the proxy names stays, whatever was planned: a person, or a tool that puts configuration
 * back, may have undone the switch meanwhile. When a site is brought up its only pool is named from the first.
 */
async function isUnnamed({ opened, drivers }: Deploy, slot: Slot): Promise<Result<void>> {
  if (opened.from === null) return ok(undefined);
  const named = await drivers.proxy.names(slot);
  if (!named.ok) return named;
  if (!named.value) return ok(undefined);
  return fail({
    reason: 'stranded',
    detail: `the proxy names ${slot}, which was to be taken down`,
    cause: null,
  });
}

async function stopAndSweep(
  deploy: Pick<Deploy, 'drivers' | 'emit'>,
  slot: Slot,
  life: PoolLife,
): Promise<Result<StepNote | null>> {
  const { pool } = deploy.drivers;
  const stopped = await pool.stop(slot, life, telling(deploy));
  if (!stopped.ok) return stopped;
  const swept = await pool.sweep(slot);
  if (!swept.ok) return swept;
  return ok(stopped.value.signal === null ? null : { kind: 'signal', signal: stopped.value.signal });
}

const telling =
  ({ emit }: Pick<Deploy, 'emit'>) =>
  (warning: Warning): void => {
    emit({ type: 'warning', warning });
  };

/** A wait that only its deadline ends: what it undoes must not be left half undone. */
const NEVER = new AbortController().signal;

/** How long a pool may go on serving, and what happens then. */
const limitsOf = ({ cutNow, drivers }: Pick<Deploy, 'cutNow' | 'drivers'>): Drivers['drain'] =>
  cutNow ? { timeout: 0, onTimeout: 'stop' } : drivers.drain;

/** A wait for a pool's last requests came to its deadline, and they are to be cut. */
const isOver = (deploy: Deploy, failure: Failure): boolean =>
  failure.reason === 'drain-timeout' && limitsOf(deploy).onTimeout === 'stop';

const waits = (deploy: Deploy, slot: Slot, life: PoolLife): Parameters<typeof retire>[0] => ({
  drivers: { ...deploy.drivers, drain: limitsOf(deploy) },
  emit: deploy.emit,
  signal: NEVER,
  slot,
  life,
  older: [],
  unanswered: slot === deploy.opened.to ? deploy.unanswered : 0,
});
