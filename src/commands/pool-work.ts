/** What the verbs of `pool` share: how they look, ask, act and end. */
import type { App } from '../context.js';
import { activeSlot } from '../deploy/plan.js';
import type { OlderWorker, PoolLife, SlotView, Transition } from '../drivers.js';
import { fail, ok, slotForeign } from '../event.js';
import type {
  ActName,
  CommandResult,
  Failure,
  Outcome,
  PoolVerb,
  Question,
  Result,
  Slot,
  StepNote,
} from '../event.js';
import { now } from '../system/clock.js';
import { giveNameBack } from './names.js';
import { outcomeOf } from './outcome.js';
import { survey } from './survey.js';

/** What a verb works with. */
export interface Work {
  readonly app: App;
  readonly slot: Slot;
  readonly verb: PoolVerb;
  /** What would be asked is answered with yes. */
  readonly yes: boolean;
  /** Asks the person at the terminal. */
  readonly confirm: (question: Question) => Promise<Result<void>>;
}

/** How a verb ended. `outcome` null: it was done, and a check then found something. */
export interface Ended {
  readonly outcome: Exclude<Outcome, 'locked' | 'draining'> | null;
  readonly failure?: Failure;
  readonly drain?: CommandResult['drain'];
}

/** A verb that failed before it touched anything. */
export function refused(failure: Failure): Ended {
  const outcome = outcomeOf(failure);
  return { outcome: outcome === 'usage' || outcome === 'interrupted' ? outcome : 'refused', failure };
}

// ---------------------------------------------------------------- looking

export interface Settled {
  readonly view: SlotView;
  /** What it is still in the middle of, when it comes to no end. */
  readonly doing: Transition | null;
}

/** The pool as it is once it is in the middle of nothing. Warns of what is odd about the slot; fails for a stranger's. */
export async function settled({ app, slot }: Work, { waits = true } = {}): Promise<Result<Settled>> {
  const { pool } = app.drivers;
  const steady = waits ? await pool.steady(slot) : asItIs(pool.observe(slot));
  if (!steady.ok) return steady;
  const { view } = steady.value;
  for (const warning of view.warnings) app.emit({ type: 'warning', warning });
  if (view.state !== 'foreign') return steady;
  return slotForeign(view);
}

const asItIs = (view: Result<SlotView>): Result<Settled> =>
  view.ok ? ok({ view: view.value, doing: null }) : view;

/** The pool of a verb that tells its master something: it has to have one. */
export async function mastered(
  work: Work,
  how: { readonly waits: boolean },
): Promise<Result<{ view: SlotView; life: PoolLife }>> {
  const { app, slot } = work;
  const seen = await settled(work, how);
  if (!seen.ok) return seen;
  const { view, doing } = seen.value;
  if (doing !== null) return fail(unsettled(work, doing));
  const { life } = view;
  if (life === null) return fail({ reason: 'pool-not-running', slot, address: view.address });
  if (view.state === 'orphaned') return fail(orphaned(work, life));
  // a stop that did not end has left it without a name
  if (view.retired) {
    const named = giveNameBack(app, slot);
    if (!named.ok) return named;
  }
  return ok({ view, life });
}

export const unsettled = ({ slot }: Work, doing: Transition): Failure => ({
  reason: 'pool-in-transition',
  slot,
  doing,
});

export const orphaned = ({ slot }: Work, { workers }: PoolLife): Failure => ({
  reason: 'pool-orphaned',
  slot,
  pids: workers.map(({ pid }) => pid),
});

export interface Role {
  /** `perhaps`: the proxy does not run what its files say, so its files do not tell. */
  readonly serves: 'yes' | 'no' | 'perhaps';
  /** Proxy workers that finish requests under a configuration of the past. */
  readonly older: readonly OlderWorker[];
}

/**
 * Asks the proxy's configuration, and what runs of it. Fails as a deploy's survey does, and with
 * `master-shared` where the proxy names another pool of the master and nobody said yes.
 */
export async function roleOf({ app, slot, yes }: Work): Promise<Result<Role>> {
  const situation = await survey(app, 'start', null);
  if (!situation.ok) return situation;
  const { proxy } = situation.value;
  // the other pools of a master end with it, whichever slot the site is at
  const places = proxy.otherPools.filter((other) => other.slot === slot);
  if (places.length > 0 && !yes) return fail({ reason: 'master-shared', places });
  const used = activeSlot(situation.value) === slot || places.length > 0;
  const serves = used ? 'yes' : proxy.differing.length > 0 ? 'perhaps' : 'no';
  return ok({ serves, older: proxy.older });
}

// ---------------------------------------------------------------- asking and acting

/** Null: go on. Else why not: `answer-needed`, `declined`, or a signal came instead of an answer. */
export async function agreed(
  { slot, verb, yes, confirm }: Work,
  { connections, working }: SlotView,
  certain: boolean,
): Promise<Failure | null> {
  if (yes) return null;
  const question = { kind: 'pool-serves', verb, slot, certain, connections, working } as const;
  const answer = await confirm(question);
  return answer.ok ? null : answer.failure;
}

/** One act, told as a deploy tells its steps. */
export async function step<T>(
  { app, slot }: Work,
  name: ActName,
  act: () => Promise<Result<T>>,
  noteOf: (value: T) => StepNote | null = () => null,
): Promise<Result<T>> {
  const began = now();
  app.emit({ type: 'step-started', step: name, slot, revert: false });
  const done = await act();
  if (done.ok) {
    const note = noteOf(done.value);
    app.emit({ type: 'step-done', step: name, slot, revert: false, ms: now() - began, note });
  }
  return done;
}

/** The process that stands for a pool: its master, or one of those that have none. */
export const pidOf = ({ master, workers }: PoolLife): StepNote => ({
  kind: 'pid',
  pid: (master ?? workers[0])?.pid ?? 0,
  adopted: false,
});

/** Whether check() can be passed at all: asked before the first act, or a pool is stopped, or cut, for nothing. */
export const mayProbe = ({ app, slot }: Work): Result<void> => app.drivers.probe.mayProbe(slot);

/** Whether the pool answers; one that does not goes on as it is. */
export async function check(work: Work): Promise<Ended> {
  const { app, slot } = work;
  const answered = await step(
    work,
    'probe',
    () => app.drivers.probe.probe(slot),
    (value) => ({ kind: 'answers', ...value }),
  );
  return answered.ok ? { outcome: 'done' } : { outcome: null, failure: answered.failure };
}
