/**
 * From what is seen to what will be done: pure. Every refusal that can be known before
 * anything is touched is decided here or in the drivers' surveys.
 */
import type { PoolLife, ProxyView, SlotView } from '../drivers.js';
import { fail, ok, otherSlot, proxyStopped, slotForeign, SLOTS } from '../event.js';
import type { Failed, Result, Slot, StepName } from '../event.js';
import type { Opened } from './state.js';

export interface Situation {
  readonly command: 'deploy' | 'start' | 'rollback';
  readonly proxy: ProxyView;
  readonly slots: Readonly<Record<Slot, SlotView>>;
  /** The last deploy or start that was done. */
  readonly last: Opened | null;
  /** The last that was done and left a slot: what a rollback goes back on. */
  readonly lastSwap: Opened | null;
  /** A deploy past its pivot whose old pool still drains: only a rollback may meet one. */
  readonly draining: Opened | null;
  /** What a deploy would start is what the last one that was done has started, and that is reason enough to do nothing. */
  readonly unchanged: boolean;
}

export interface Steps {
  readonly kind: 'steps';
  readonly from: Slot | null;
  readonly to: Slot;
  readonly steps: readonly StepName[];
  /** The pool that leaves. */
  readonly leaving: PoolLife | null;
  /** A pool taken back as it runs. */
  readonly arriving: PoolLife | null;
  /** A pool found in the standby slot, to be stopped by the drain proof before the start. */
  readonly clear: PoolLife | null;
  readonly supersedes: string | null;
}

export type Decision =
  | Steps
  /** The slot that should serve does. */
  | { readonly kind: 'serves'; readonly slot: Slot }
  /** Files differ from what the proxy runs; their slot is alive: probe it, reload, look again. */
  | { readonly kind: 'reload-first'; readonly slot: Slot; readonly files: readonly string[] };

const ALL: readonly StepName[] = ['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop'];
const TAKE_BACK: readonly StepName[] = ALL.slice(1);

/** The slot that serves or should: what the proxy names, else the last done deploy, else what runs. */
export function activeSlot(situation: Situation): Slot {
  const running = SLOTS.find((slot) => situation.slots[slot].life !== null);
  return situation.proxy.active ?? situation.last?.to ?? running ?? 'blue';
}

/** What has to be done, or why nothing may be. */
export function decide(situation: Situation): Result<Decision> {
  const { proxy, slots, command } = situation;
  const active = activeSlot(situation);
  const view = slots[active];
  const other = slots[otherSlot(active)];
  if (view.state === 'foreign') return slotForeign(view);

  const serves = view.life !== null && !view.retired && !view.lost;
  const asks = isAsked(situation, active, serves);
  if (asks !== null) return asks;
  // the other pools of a master end with it, and nobody drains or moves them; before anything is reloaded for it
  const stops =
    command === 'rollback' || view.lost || (command === 'deploy' && serves && proxy.active !== null);
  if (stops && proxy.otherPools.length > 0) {
    return fail({ reason: 'master-shared', places: proxy.otherPools });
  }
  if (proxy.differing.length > 0) {
    const { differing: files } = proxy;
    if (!serves && other.life !== null) {
      return fail({ reason: 'disk-differs-from-running', files, slot: active });
    }
    // With nobody alive the files decide what is brought up, and the proxy follows them once it answers: not
    // before, for what the proxy runs now may name a pool that is not ours and serves (a site that moves here).
    if (!serves && command !== 'rollback') return rival(view) ?? ok(bringUp(view, true));
    // a link that is missing is restored before the proxy is sent there
    if (proxy.active !== null || command === 'rollback')
      return ok({ kind: 'reload-first', slot: active, files });
  }
  if (command === 'rollback') return rollBack(situation, active);
  // it lives and nobody can come to it: the other slot is up sooner than this one has ended what it still answers
  if (view.lost && proxy.running && proxy.active !== null) return swap(situation, active);
  if (!serves) return rival(view) ?? ok(bringUp(view, proxy.active === null));
  if (proxy.active === null) return ok({ ...bringUp(view, true), clear: null, steps: ['probe', 'switch'] });
  if (command === 'start') return ok({ kind: 'serves', slot: active });
  return swap(situation, active);
}

/** What is decided before the proxy is made to follow its files: nobody asks for that who wants nothing done. */
function isAsked(situation: Situation, active: Slot, serves: boolean): Result<Decision> | null {
  const { command, proxy, unchanged } = situation;
  const there = serves && proxy.active !== null;
  if (command === 'deploy' && unchanged && there && proxy.running)
    return ok({ kind: 'serves', slot: active });
  // what may not have been read does not lead elsewhere
  if (command === 'start' && there && !proxy.unread.surely) return ok({ kind: 'serves', slot: active });
  const back = command === 'rollback' ? rollBack(situation, active) : null;
  return back?.ok === false ? back : null;
}

function swap({ proxy, slots }: Situation, active: Slot): Result<Decision> {
  const standby = slots[otherSlot(active)];
  if (!proxy.running) return proxyStopped(proxy.config);
  if (standby.state === 'foreign') return slotForeign(standby);
  return (
    rival(standby) ??
    ok({
      kind: 'steps',
      from: active,
      to: standby.slot,
      steps: ALL,
      leaving: slots[active].life,
      arriving: null,
      clear: standby.life,
      supersedes: null,
    })
  );
}

function rollBack(situation: Situation, active: Slot): Result<Decision> {
  const { lastSwap, draining, slots } = situation;
  const done = draining ?? lastSwap;
  if (done?.command === 'rollback') return fail({ reason: 'nothing-to-roll-back', why: 'was-rollback' });
  if (done === null || done.from === null || done.from === active) {
    return fail({ reason: 'nothing-to-roll-back', why: 'none' });
  }
  const decision = swap(situation, active);
  if (!decision.ok || decision.value.kind !== 'steps' || draining === null) return decision;
  const supersedes = draining.deploy;
  const life = slots[done.from].life;
  // it has ended meanwhile; the drain that is left open would later take the pool down that is started in its place
  if (life === null) return ok({ ...decision.value, supersedes });
  return ok({ ...decision.value, steps: TAKE_BACK, arriving: life, clear: null, supersedes });
}

/** A pool that has lost its socket is ended first, by the drain proof: two lives of a slot must never overlap. */
const bringUp = ({ slot, lost, life }: SlotView, follow: boolean): Steps => ({
  kind: 'steps',
  from: null,
  to: slot,
  steps: follow ? ['start', 'probe', 'switch'] : ['start', 'probe'],
  leaving: null,
  arriving: null,
  clear: lost ? life : null,
  supersedes: null,
});

/** A start there would overwrite the file that a living master of somebody else goes by. */
const rival = ({ slot, life, rival: found }: SlotView): Failed | null =>
  life !== null || found === undefined
    ? null
    : fail({ reason: 'pidfile-refused', slot, state: 'other-master', ...found });
