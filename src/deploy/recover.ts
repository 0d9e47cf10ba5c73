/**
 * After a death: asks the world what became of the last intent, never the file alone, and
 * brings the deploy to an end, forward or back.
 */
import { isChosenByHand, isSettledByHand, isUndoneByHand } from './by-hand.js';
import { leftSlot } from './deploy.js';
import type { Deploy } from './deploy.js';
import { ok } from '../event.js';
import type { Failure } from '../event.js';
import { bringBack } from './in-place.js';
import { act, back, close, DIED, forward, isDead, strand } from './run.js';
import type { Ending } from './run.js';
import { course, mayHaveSwitched, standsAt } from './state.js';
import type { DeployState } from './state.js';
import { adopt } from './adopt.js';

/** Ends an open deploy, or says why it cannot be ended yet. */
export async function recover(deploy: Deploy, state: DeployState): Promise<Ending> {
  const ending = await goOn(deploy, state);
  if (ending.outcome !== 'stranded') return ending;
  return (await isSettledByHand(deploy)) ?? ending;
}

async function goOn(deploy: Deploy, state: DeployState): Promise<Ending> {
  switch (course(state)) {
    case 'nothing':
      return { outcome: 'done', failure: null };
    case 'forward':
      return onward(deploy, state);
    case 'revert':
      return (
        (await isChosenByHand(deploy, state)) ??
        (await isBroughtUp(deploy, state)) ??
        undo(deploy, DIED, mayHaveSwitched(state))
      );
    case 'observe':
      return observe(deploy, state);
    case 'prove':
      return prove(deploy);
  }
}

async function onward(deploy: Deploy, state: DeployState): Promise<Ending> {
  deploy.superseded?.finish();
  // then it is the new pool that has to go, and only a proven switch says when
  if (await isUndoneByHand(deploy)) return back(deploy, DIED, true);
  const { leaving, drivers } = deploy;
  const left = leaving === null ? null : drivers.pool.load(leftSlot(deploy), leaving);
  const up =
    left?.ok === true && left.value.alive ? await bringBack(deploy, deploy.opened.to) : ok(undefined);
  if (!up.ok) return strand(deploy, up.failure);
  const { steps } = deploy.opened;
  const at = standsAt(state);
  const step = at === null ? undefined : state.phase === 'done' ? steps[steps.indexOf(at) + 1] : at;
  return step === undefined ? close(deploy, 'done', null) : forward(deploy, step);
}

/** back(), to a pool that is there: one that has died meanwhile is started again while the new one still lives. */
async function undo(deploy: Deploy, cause: Failure, switchMayHaveActed = false): Promise<Ending> {
  const { from, to } = deploy.opened;
  if (from !== null && deploy.leaving !== null && isDead(deploy, from) && !isDead(deploy, to)) {
    const up = await bringBack(deploy, from);
    if (!up.ok) return strand(deploy, up.failure);
  }
  return back(deploy, cause, switchMayHaveActed);
}

/** A switch had begun: which slot do requests reach? */
async function observe(deploy: Deploy, state: DeployState): Promise<Ending> {
  const { proxy } = deploy.drivers;
  const { from, to } = deploy.opened;
  const serving = await proxy.serving(state.phase === 'closed' ? null : state.before);
  // Where nothing of ours served there is nothing to go back to. The proxy may follow its files by now, which name
  // the pool from the first: it stays if it answers, else it goes, and no more.
  const up = from === null && (await deploy.drivers.probe.probe(to)).ok;
  const named = serving.ok && serving.value === 'unclear' && (await isNamed(deploy));
  const reached = up || named || (serving.ok && serving.value === to);
  if (!reached) return undo(deploy, DIED, from !== null);
  // it may be there, but that it is, and who may still use the other slot, is only known from a proof of our own
  const proven = await act(deploy, 'switch', false);
  if (!proven.ok) return up ? strand(deploy, proven.failure) : undo(deploy, DIED, from !== null);
  return deploy.opened.steps.at(-1) === 'switch' ? close(deploy, 'done', null) : prove(deploy);
}

/**
 * Where nothing served, the pool that was started may be the only one that serves since: the proxy named its slot
 * from the first. Null: there is none, or it does not answer. Else it stays, whatever becomes of the switch: to take
 * it down would be an outage, where to do nothing is none.
 */
async function isBroughtUp(deploy: Deploy, { phase }: DeployState): Promise<Ending | null> {
  const { from, to, steps } = deploy.opened;
  if (from !== null || phase === 'reverting') return null;
  const there = deploy.drivers.pool.observe(to);
  if (!there.ok || there.value.state !== 'running' || !(await isNamed(deploy))) return null;
  const adopted = await adopt(deploy);
  if (!adopted.ok || !(await act(deploy, 'probe', false)).ok) return null;
  const followed = steps.includes('switch') ? await act(deploy, 'switch', false) : null;
  return followed?.ok === false ? strand(deploy, followed.failure) : close(deploy, 'done', null);
}

/** The files name the new pool, whoever wrote them, and it answers: nothing speaks for going back. */
async function isNamed({ opened: { to }, drivers }: Deploy): Promise<boolean> {
  const named = await drivers.proxy.names(to);
  return named.ok && named.value && (await drivers.probe.probe(to)).ok;
}

/** The proxy points at the new pool: prove it now, or go back. */
async function prove(deploy: Deploy): Promise<Ending> {
  const answered = await deploy.drivers.probe.probe(deploy.opened.to);
  return answered.ok ? forward(deploy, 'verify') : undo(deploy, answered.failure);
}
