/** One deploy under way: what its steps read, and the few things they find out on the way. */
import type { Drivers, OlderWorker, PoolLife, SwitchEvidence } from '../drivers.js';
import type { Connections, Emit, Slot, StepName, StopSignal } from '../event.js';
import type { Journal } from './journal.js';
import type { Opened } from './state.js';

/** A wish to stop, made by a signal. The deploy asks; nothing is thrown at it. */
export interface Interruption {
  readonly requested: StopSignal | null;
  /** Aborts on the first signal: for waits that may end early. */
  readonly signal: AbortSignal;
}

export interface Deploy {
  readonly opened: Opened;
  readonly drivers: Drivers;
  readonly journal: Journal;
  readonly emit: Emit;
  readonly interruption: Interruption;
  /** End the drain at once, whatever is still served: `recover --now`. */
  readonly cutNow: boolean;
  readonly leaving: PoolLife | null;
  arriving: PoolLife | null;
  /** A pool found in the standby slot, and the proxy workers that may still send requests to it. */
  readonly clear: { readonly life: PoolLife; readonly older: readonly OlderWorker[] } | null;
  /** Set by recovery: when a start of which no end is recorded had begun at the latest, ms since the epoch. */
  readonly unseenStart: number | null;
  /** Set while the proxy is proven to point at `to`. */
  switched: SwitchEvidence | null;
  /** Set when a switch was reverted: who may still send requests to `to`. */
  unswitched: SwitchEvidence | null;
  /** Questions of the probe that the arriving pool never answered. */
  unanswered: number;
  drained: Connections | null;
  /** The drain's deadline passed and the configuration says stop: what is served will be cut. */
  cutting: boolean;
  cut: number;
  readonly ms: Partial<Record<StepName, number>>;
  /** The unfinished deploy whose drain this one took over. */
  readonly superseded: Superseded | null;
}

export interface Superseded {
  /** Past the pivot: there is nothing left to drain for it. May be called again. */
  finish(): void;
  /** Reverted: it goes on draining, and these proxy workers, too, may send requests there. */
  handBack(older: readonly OlderWorker[]): void;
}

/** The slot a deploy leaves. Its steps are only in plans that have one. */
export function leftSlot(deploy: Deploy): Slot {
  if (deploy.opened.from === null) throw new Error('a deploy that leaves no slot has no pool to take down');
  return deploy.opened.from;
}
