/**
 * Waiting until a slot is in the middle of nothing, and ending what comes to no end by itself: a unit that systemd
 * starts again and again runs nobody whom a signal could reach.
 */
import { fail, ok, slotForeign } from '../event.js';
import type { Result, Slot } from '../event.js';
import type { PoolDriver, SlotView, Transition } from '../drivers.js';
import { wallClock, waitUntil } from '../system/clock.js';
import type { Procfs } from '../system/proc.js';
import type { Manager } from './manager.js';
import { spell } from './slots.js';
import type { PoolSlot } from './slots.js';
import { sweepFiles } from './socket-file.js';
import { isStarting } from './start.js';

interface Settled {
  readonly fs: Procfs;
  readonly slots: Readonly<Record<Slot, PoolSlot>>;
  readonly managers: Readonly<Record<Slot, Manager>>;
  /** How long a start may take, ms. */
  readonly startTimeout: number;
  readonly observe: (slot: Slot) => Result<SlotView>;
  readonly transition: (slot: Slot) => Result<Transition | null>;
  readonly patience: (slot: Slot) => number;
}

export interface Settling extends Pick<PoolDriver, 'settle' | 'steady' | 'isKept' | 'halt'> {
  /** Once nobody lives there: what has died by itself would be started again. */
  quiet(slot: Slot): Promise<Result<void>>;
}

/** How long a start whose caller was killed is given to show itself: FPM needs 20 ms to be listening. */
const SETTLE_LEAST = 1000;
const SETTLE_MOST = 10_000;
/** A manager hears of the end of what it keeps within ms, if that has left nobody else behind. */
const NOTICE = 1000;

export function createSettling({
  fs,
  slots,
  managers,
  startTimeout,
  observe,
  transition,
  patience,
}: Settled): Settling {
  const isKept = async (slot: Slot): Promise<Result<boolean>> => {
    const state = await managers[slot].state();
    return state.ok ? ok(state.value !== 'off') : state;
  };
  const halt = async (slot: Slot): Promise<Result<void>> => {
    // somebody who answers there is no failed start, whatever our tables show
    const dead = await sweepFiles(fs, slots[slot]);
    if (!dead.ok) return dead;
    const view = observe(slot);
    if (!view.ok) return view;
    if (!isEmpty(view.value)) return slotForeign(view.value);
    await managers[slot].abandon();
    return managers[slot].prepare();
  };
  const quiet = async (slot: Slot): Promise<Result<void>> => {
    const state = async (): Promise<Result<'off' | 'on'> | undefined> => {
      const now = await managers[slot].state();
      return !now.ok ? now : now.value === 'busy' ? undefined : ok(now.value);
    };
    const waited = await waitUntil(state, { deadline: NOTICE });
    if (waited.kind !== 'seen' || !waited.value.ok || waited.value.value === 'off') return ok(undefined);
    const view = observe(slot);
    return view.ok && isEmpty(view.value) ? halt(slot) : ok(undefined);
  };
  const settle: PoolDriver['settle'] = async (slot, since) => {
    const waited = await waitUntil(
      async () => {
        if (isStarting(fs, slots[slot], managers[slot].startCommand)) return undefined;
        const state = await managers[slot].state();
        if (state.ok && state.value === 'busy') return undefined;
        const view = observe(slot);
        if (view.ok && view.value.state === 'running') return true;
        // what it has running may be about to listen
        if (state.ok && state.value === 'on' && view.ok && isEmpty(view.value)) return undefined;
        return wallClock() - since >= SETTLE_LEAST || wallClock() < since ? true : undefined;
      },
      { deadline: SETTLE_MOST },
    );
    // stopped, or starved: it may still come up, so nobody may say that it did not, but for who can call it off
    if (waited.kind !== 'seen') {
      const kept = await isKept(slot);
      const halted = kept.ok && kept.value ? await halt(slot) : null;
      if (halted?.ok === false && halted.failure.reason === 'slot-foreign') return halted;
      // the program of the start ends with it
      const ends = (): true | undefined =>
        isStarting(fs, slots[slot], managers[slot].startCommand) ? undefined : true;
      if (halted?.ok === true && (await waitUntil(ends, { deadline: NOTICE })).kind === 'seen')
        return observe(slot);
      const address = spell(slots[slot].address);
      return fail({ reason: 'start-timeout', slot, address, ms: SETTLE_MOST, log: '' });
    }
    return observe(slot);
  };
  const steady: PoolDriver['steady'] = async (slot) => {
    // what the processes do not show yet, or not any more
    const managed = async (): Promise<boolean> => {
      const state = await managers[slot].state();
      return state.ok && state.value === 'busy';
    };
    const waited = await waitUntil(
      async () => {
        const seen = transition(slot);
        return (seen.ok && seen.value !== null) || (await managed()) ? undefined : true;
      },
      { deadline: patience(slot) + startTimeout },
    );
    const doing = waited.kind === 'seen' ? ok(null) : transition(slot);
    if (!doing.ok) return doing;
    const still = waited.kind === 'seen' ? null : (doing.value ?? ((await managed()) ? 'starting' : null));
    const view = observe(slot);
    return view.ok ? ok({ view: view.value, doing: still }) : view;
  };

  return { settle, steady, isKept, halt, quiet };
}

/** Nobody listens there. */
const isEmpty = ({ state }: SlotView): boolean => state === 'stopped' || state === 'stale-pidfile';
