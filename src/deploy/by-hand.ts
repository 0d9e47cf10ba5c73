/**
 * What a person has done while a deploy was dead: the proxy points where this deploy has not pointed it. Such an
 * edit is never taken back, and what it chose has to prove itself before anything is taken down for it.
 */
import type { SwitchEvidence } from '../drivers.js';
import { fail, ok, otherSlot, proxyStopped } from '../event.js';
import type { Failure, Result } from '../event.js';
import { now, timestamp } from '../system/clock.js';
import type { Deploy } from './deploy.js';
import { close, DIED, forward, strand } from './run.js';
import type { Ending } from './run.js';
import { mayHaveSwitched } from './state.js';
import type { DeployState, Known } from './state.js';
import { adopt } from './adopt.js';
import { verify } from './verify.js';

/**
 * Before the pivot: the proxy's files name the new slot, and no switch of ours can have made them. Null: they do
 * not, or nobody lives there. When that slot is proven to serve, the deploy goes on past its pivot; else it is
 * stranded, both pools stay up, and the next recovery looks again.
 */
export async function isChosenByHand(deploy: Deploy, state: DeployState): Promise<Ending | null> {
  const { pool, proxy } = deploy.drivers;
  const { from, to } = deploy.opened;
  if (from === null || state.phase === 'closed' || mayHaveSwitched(state)) return null;
  const named = await proxy.names(to);
  if (!named.ok || !named.value) return null;
  const there = pool.observe(to);
  if (!there.ok || there.value.life === null) return null;

  const proven = await proveChoice(deploy, state);
  if (proven.ok) {
    deploy.superseded?.finish();
    return forward(deploy, 'drain');
  }
  const { failure } = proven;
  if (failure.reason === 'stranded') return strand(deploy, failure);
  const detail = `somebody has pointed the proxy at ${to}, which could not be proven to serve`;
  return strand(deploy, { reason: 'stranded', detail, cause: failure });
}

/** After the pivot: somebody has pointed the proxy back to the pool that was to leave, and it answers. */
export async function isUndoneByHand({ opened: { from }, leaving, drivers }: Deploy): Promise<boolean> {
  const { pool, proxy, probe } = drivers;
  if (from === null || leaving === null) return false;
  const alive = pool.isAlive(from, leaving);
  if (!alive.ok || !alive.value) return false;
  const named = await proxy.names(from);
  return named.ok && named.value && pool.unretire(from).ok && (await probe.probe(from)).ok;
}

/**
 * A stranded deploy that a person has dealt with: one slot is named, runs and answers, and
 * the other is stopped. Then there is nothing left to do but to say so.
 */
export async function isSettledByHand(deploy: Deploy): Promise<Ending | null> {
  const { pool, probe, proxy } = deploy.drivers;
  const view = await proxy.survey(null);
  if (!view.ok || view.value.active === null) return null;
  const { active } = view.value;
  const views = pool.observeBoth();
  const [named, other] = [views[active], views[otherSlot(active)]];
  if (!named.ok || !other.ok || named.value.life === null || other.value.life !== null) return null;
  const answered = await probe.probe(active);
  if (!answered.ok) return null;
  const swept = await pool.sweep(otherSlot(active));
  if (!swept.ok) return null;
  if (active !== deploy.opened.to) return close(deploy, 'reverted', DIED);
  return (await adopt(deploy)).ok ? close(deploy, 'done', null) : null;
}

/**
 * Probed, followed by the proxy, verified. All of it goes into one record: a death before it leaves the journal as
 * it was, and nobody takes the switch for one of ours, which would be undone.
 */
async function proveChoice(deploy: Deploy, known: Known): Promise<Result<void>> {
  const { drivers, emit } = deploy;
  const { to } = deploy.opened;
  const answered = await drivers.probe.probe(to);
  if (!answered.ok) return answered;
  const arriving = await adopt(deploy);
  if (!arriving.ok) return arriving;
  // workers answer on without their master, but nobody would look after the pool that is to serve
  const view = drivers.pool.observe(to);
  if (!view.ok) return view;
  if (view.value.state !== 'running')
    return fail({ reason: 'pool-died', slot: to, log: await drivers.pool.log(to) });

  const lock = await drivers.lockProxy();
  if (!lock.ok) return lock;
  const followed = await follow(deploy, known).finally(() => {
    lock.value.release();
  });
  if (!followed.ok) return followed;

  emit({ type: 'step-started', step: 'verify', slot: to, revert: false });
  const began = now();
  const { leaving } = deploy;
  const from = otherSlot(to);
  const { older } = followed.value;
  const seen = await verify({ drivers, from, leaving, to, arriving: arriving.value, older });
  if (!seen.ok) return seen;
  const ms = now() - began;
  const written = deploy.journal.write({
    type: 'evidence',
    time: timestamp(),
    step: 'verify',
    revert: false,
    ms,
    switched: followed.value,
  });
  if (!written.ok) return written;
  deploy.switched = followed.value;
  deploy.ms.verify = ms;
  emit({
    type: 'step-done',
    step: 'verify',
    slot: to,
    revert: false,
    ms,
    note: { kind: 'seen', by: seen.value.by },
  });
  return ok(undefined);
}

/**
 * The proof that the proxy follows the files that name `to`: seen, or by a reload, as every deploy makes one when
 * disk and proxy may differ. An edit that it was surely not told of yet is not put live.
 */
async function follow(deploy: Deploy, { before, unswitched }: Known): Promise<Result<SwitchEvidence>> {
  const { emit } = deploy;
  const { proxy } = deploy.drivers;
  const { from, to, proof } = deploy.opened;
  const first = await proxy.survey(proof);
  if (!first.ok) return first;
  if (!first.value.running) return proxyStopped(first.value.config);
  const { otherPools } = first.value;
  if (otherPools.length > 0) return fail({ reason: 'master-shared', places: otherPools });
  // workers that were seen to follow the files when these named the other slot follow them no further by themselves
  const past = unswitched?.proof ?? before ?? proof;
  const intent = past === null ? null : { workers: past.workers, hash: past.hash, named: from };
  const serving = await proxy.serving(intent);
  if (!serving.ok) return serving;
  if (serving.value === from) return fail(untold(to));
  let view = first.value;
  if (serving.value !== to) {
    if (view.differing.length > 0) {
      emit({ type: 'warning', warning: { reason: 'running-differs', files: view.differing } });
    }
    const reloaded = await proxy.reload();
    if (!reloaded.ok) return reloaded;
    const again = await proxy.survey(reloaded.value);
    if (!again.ok) return again;
    view = again.value;
  }
  if (view.active !== to) return fail(untold(to));
  return ok({ files: [], proof: view.proof ?? UNPROVEN, older: view.older });
}

const untold = (to: string): Failure => ({
  reason: 'stranded',
  detail: `the files name ${to}, and the proxy does not follow them yet: reload it, or take the edit back`,
  cause: null,
});

/** Of a proxy that needs no reload to follow nothing may be known but that it follows. */
const UNPROVEN = { hash: '', workers: [] };
