/**
 * After a death: asks the world what became of the last intent, never the file alone, and
 * brings the deploy to an end, forward or back.
 */
import { otherSlot } from '../event.js';
import type { Failure } from '../event.js';
import type { Deploy } from './deploy.js';
import { act, back, close, forward } from './run.js';
import type { Ending } from './run.js';
import { course, standsAt } from './state.js';
import type { DeployState } from './state.js';

/** Why a deploy that broke off was undone. */
const DIED: Failure = { reason: 'interrupted', signal: 'SIGTERM' };

/** Ends an open deploy, or says why it cannot be ended yet. */
export async function recover(deploy: Deploy, state: DeployState): Promise<Ending> {
  const ending = await goOn(deploy, state);
  if (ending.outcome !== 'stranded') return ending;
  return (await settledByHand(deploy)) ?? ending;
}

async function goOn(deploy: Deploy, state: DeployState): Promise<Ending> {
  switch (course(state)) {
    case 'nothing':
      return { outcome: 'done', failure: null };
    case 'forward':
      return onward(deploy, state);
    case 'revert':
      return back(deploy, DIED, state.phase === 'reverting' && state.step === 'switch' && !state.finished);
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
  const { steps } = deploy.opened;
  const at = standsAt(state);
  const step = at === null ? undefined : state.phase === 'done' ? steps[steps.indexOf(at) + 1] : at;
  return step === undefined ? close(deploy, 'done', null) : forward(deploy, step);
}

/** Somebody has pointed the proxy back to the pool that was to leave, and it answers. */
async function isUndoneByHand({ opened: { from }, leaving, drivers }: Deploy): Promise<boolean> {
  const { pool, proxy, probe } = drivers;
  if (from === null || leaving === null) return false;
  const load = pool.load(from, leaving);
  if (!load.ok || !load.value.alive) return false;
  const named = await proxy.names(from);
  return named.ok && named.value && pool.unretire(from).ok && (await probe.probe(from)).ok;
}

/** A switch had begun: which slot do requests reach? */
async function observe(deploy: Deploy, state: DeployState): Promise<Ending> {
  const { proxy } = deploy.drivers;
  const { from, to } = deploy.opened;
  const serving = await proxy.serving(state.phase === 'closed' ? null : state.before);
  // Where nothing of ours served there is nothing to go back to. The proxy may follow its files by now, which name
  // the pool from the first: it stays if it answers, else it goes, and no more.
  const up = from === null && (await deploy.drivers.probe.probe(to)).ok;
  if (!up && (!serving.ok || serving.value !== to)) return back(deploy, DIED, from !== null);
  // it is there, but who may still use the other slot is only known from a proof of our own
  const proven = await act(deploy, 'switch', false);
  if (!proven.ok) return back(deploy, DIED, from !== null);
  return deploy.opened.steps.at(-1) === 'switch' ? close(deploy, 'done', null) : prove(deploy);
}

/** The proxy points at the new pool: prove it now, or go back. */
async function prove(deploy: Deploy): Promise<Ending> {
  const answered = await deploy.drivers.probe.probe(deploy.opened.to);
  return answered.ok ? forward(deploy, 'verify') : back(deploy, answered.failure);
}

/**
 * A stranded deploy that a person has dealt with: one slot is named, runs and answers, and
 * the other is stopped. Then there is nothing left to do but to say so.
 */
async function settledByHand(deploy: Deploy): Promise<Ending | null> {
  const { pool, probe, proxy } = deploy.drivers;
  const view = await proxy.survey(null);
  if (!view.ok || view.value.active === null) return null;
  const { active } = view.value;
  const named = pool.observe(active);
  const other = pool.observe(otherSlot(active));
  if (!named.ok || !other.ok || named.value.life === null || other.value.life !== null) return null;
  const answered = await probe.probe(active);
  if (!answered.ok) return null;
  const swept = pool.sweep(otherSlot(active));
  if (!swept.ok) return null;
  return active === deploy.opened.to ? close(deploy, 'done', null) : close(deploy, 'reverted', DIED);
}
