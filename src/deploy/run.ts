/**
 * The loop: intent, fsync, act, evidence, fsync, event. Forward until a step fails, then
 * back the way it came; past the pivot only forward.
 */
import { isProxyStopped, ok } from '../event.js';
import type { Failure, Outcome, Result, Slot, StepName, Timings } from '../event.js';
import { now, timestamp } from '../system/clock.js';
import { leftSlot } from './deploy.js';
import type { Deploy } from './deploy.js';
import { isThereStill } from './in-place.js';
import { durations, pastPivot } from './state.js';
import type { Entry } from './state.js';
import { STEPS } from './steps.js';

/** How a deploy ended, or in what state it was left. */
export interface Ending {
  readonly outcome: Extract<Outcome, 'done' | 'reverted' | 'interrupted' | 'stranded' | 'draining'>;
  readonly failure: Failure | null;
}

/** Why a deploy that broke off was undone. */
export const DIED: Failure = { reason: 'interrupted', signal: 'SIGTERM' };

/** Takes the steps that are left, from `first` on. */
export async function forward(deploy: Deploy, first: StepName): Promise<Ending> {
  const { steps } = deploy.opened;
  // remembered here too: a disk that failed in between must not lead back to a pool that is being taken down
  let past = STEPS[first].kind === 'retriable';
  for (const name of steps.slice(steps.indexOf(first))) {
    const acted = await heeding(deploy, name, () => act(deploy, name, false));
    if (!acted.ok) {
      if (acted.failure.reason === 'stranded') return strand(deploy, acted.failure);
      return past ? keep(deploy, acted.failure) : back(deploy, causeOf(deploy, acted.failure));
    }
    const { requested } = deploy.interruption;
    past ||= STEPS[name].kind === 'pivot' || pastPivot(deploy.journal.state());
    if (past) deploy.superseded?.finish();
    else if (requested !== null) return back(deploy, { reason: 'interrupted', signal: requested });
  }
  return close(deploy, 'done', null);
}

/** Whoever sends the first signal during a step is told what becomes of it: the step may take long. */
async function heeding<T>({ interruption, emit }: Deploy, step: StepName, act: () => Promise<T>): Promise<T> {
  const tell = (): void => {
    if (interruption.requested === null) return;
    emit({ type: 'warning', warning: { reason: 'signal-noted', signal: interruption.requested, step } });
  };
  interruption.signal.addEventListener('abort', tell, { once: true });
  try {
    return await act();
  } finally {
    interruption.signal.removeEventListener('abort', tell);
  }
}

/** Who was told to go has been interrupted, whatever failed meanwhile; that is told, too. */
function causeOf({ interruption: { requested }, emit }: Deploy, failure: Failure): Failure {
  if (requested === null || failure.reason === 'interrupted') return failure;
  emit({ type: 'failure', failure });
  return { reason: 'interrupted', signal: requested };
}

/** Undoes what was done, last step first. The slot that served goes on serving. */
export async function back(deploy: Deploy, cause: Failure, switchMayHaveActed = false): Promise<Ending> {
  const { steps, to } = deploy.opened;
  // the new one may be all that is left
  const kept = isDead(deploy, to) ? ok(undefined) : await isThereStill(deploy);
  if (!kept.ok) return strand(deploy, kept.failure);
  const outcome = cause.reason === 'interrupted' ? 'interrupted' : 'reverted';
  if (deploy.switched !== null || switchMayHaveActed) {
    const undone = await act(deploy, 'switch', true);
    if (!undone.ok) {
      const { failure } = undone;
      if (failure.reason === 'stranded') return strand(deploy, failure);
      const named = isProxyStopped(failure) ? await deploy.drivers.proxy.names(to) : null;
      // after a reboot: whatever starts next asks the pool that the files name
      if (named?.ok === true && named.value && isDead(deploy, to)) return close(deploy, outcome, cause);
      if (named?.ok !== true || named.value) {
        return strand(deploy, {
          reason: 'stranded',
          detail: 'the switch could not be reverted',
          cause: failure,
        });
      }
    }
  }
  if (deploy.unswitched !== null) deploy.superseded?.handBack(deploy.unswitched.older);
  if (steps.includes('start') && deploy.journal.state().phase !== 'planned') {
    const undone = await act(deploy, 'start', true);
    if (!undone.ok) {
      const { failure } = undone;
      if (failure.reason === 'stranded') return strand(deploy, failure);
      deploy.emit({
        type: 'warning',
        warning: { reason: 'revert-unfinished', slot: deploy.opened.to, cause: failure },
      });
      record(deploy, { type: 'kept', time: timestamp(), reason: failure.reason });
      return { outcome, failure: cause };
    }
  }
  return close(deploy, outcome, cause);
}

/** Nobody lives there, not even workers without a master. */
export function isDead({ drivers }: Pick<Deploy, 'drivers'>, slot: Slot): boolean {
  const view = drivers.pool.observe(slot);
  return view.ok && view.value.life === null;
}

/** Closes the journal: nothing is left to do. */
export function close(
  deploy: Deploy,
  outcome: 'done' | 'reverted' | 'interrupted',
  failure: Failure | null,
): Ending {
  const time = timestamp();
  record(deploy, {
    type: 'closed',
    time,
    outcome,
    reason: failure?.reason ?? null,
    ms: durations(deploy.opened, deploy.ms, time),
    cut: deploy.cut,
    proof: (deploy.switched ?? deploy.unswitched)?.proof ?? deploy.opened.proof,
  });
  return { outcome, failure };
}

/** Milliseconds by step, and in all: up to its last record, or now where it is open. */
export function timings(deploy: Deploy): Timings {
  const state = deploy.journal.state();
  return state.phase === 'closed' ? state.closed.ms : durations(deploy.opened, deploy.ms, timestamp());
}

/** One step: announced on the disk before it acts, recorded once its effect was seen. */
export async function act(deploy: Deploy, name: StepName, revert: boolean): Promise<Result<void>> {
  const step = STEPS[name];
  const apply = revert ? step.revert : step.apply;
  if (apply === null) return ok(undefined);
  const { proxy } = deploy.drivers;
  const lock =
    name === 'switch' && proxy.needsLock(deploy.opened.behind) ? await deploy.drivers.lockProxy() : null;
  if (lock !== null && !lock.ok) return lock;
  try {
    const announced = await announce(deploy, name, revert);
    // what undoes or ends a deploy is not stopped by a disk that fails
    if (!announced.ok && !revert && step.kind !== 'retriable') return announced;

    const slot = step.slot(deploy);
    deploy.emit({ type: 'step-started', step: name, slot, revert });
    const began = now();
    const acted = await apply(deploy);
    const ms = now() - began;
    if (!revert) deploy.ms[name] = ms;
    if (!acted.ok) return acted;
    record(deploy, { type: 'evidence', time: timestamp(), step: name, revert, ms, ...acted.value.record });
    deploy.emit({ type: 'step-done', step: name, slot, revert, ms, note: acted.value.note });
    return ok(undefined);
  } finally {
    if (lock?.ok === true) lock.value.release();
  }
}

async function announce(deploy: Deploy, step: StepName, revert: boolean): Promise<Result<void>> {
  const intent = { type: 'intent', time: timestamp(), step, revert } as const;
  if (step !== 'switch' || revert) return deploy.journal.write(intent);
  const before = await deploy.drivers.proxy.intent();
  return before.ok ? deploy.journal.write({ ...intent, before: before.value }) : before;
}

/** Nothing safe can be done without a person: nothing is touched any more, the journal stays. */
export function strand(deploy: Deploy, failure: Failure): Ending {
  record(deploy, { type: 'stranded', time: timestamp(), failure });
  return { outcome: 'stranded', failure };
}

/** Past the pivot: the new slot serves, what is left to do is left to `recover`. A signal has interrupted nothing. */
function keep(deploy: Deploy, failure: Failure): Ending {
  record(deploy, { type: 'kept', time: timestamp(), reason: failure.reason });
  if (failure.reason !== 'interrupted') return { outcome: 'draining', failure };
  return { outcome: 'draining', failure: { reason: 'still-draining', slot: leftSlot(deploy) } };
}

/** Once something has been done, a journal that cannot be written is told, and the way to safety goes on. */
function record(deploy: Deploy, entry: Entry): void {
  const written = deploy.journal.write(entry);
  if (written.ok || written.failure.reason !== 'state-unwritable') return;
  deploy.emit({ type: 'warning', warning: { reason: 'journal-write-failed', code: written.failure.code } });
}
