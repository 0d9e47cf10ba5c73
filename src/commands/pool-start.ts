/** `pool start`, `pool restart` and `pool try-restart`. */
import { giveNameBack } from './names.js';
import { takeDown } from './pool-stop.js';
import { check, mayProbe, orphaned, pidOf, refused, roleOf, settled, step, unsettled } from './pool-work.js';
import type { Ended, Work } from './pool-work.js';

/** Brings the slot's pool up; nothing to do when it runs. Orphans that serve nobody are ended first, as a deploy does. */
export async function start(work: Work): Promise<Ended> {
  const { app, slot } = work;
  const seen = await settled(work);
  if (!seen.ok) return refused(seen.failure);
  const { view, doing } = seen.value;
  if (doing !== null) return refused(unsettled(work, doing));
  const { life } = view;
  if (life !== null && view.state !== 'orphaned') {
    if (view.lost) {
      const { address } = view;
      return refused({ reason: 'pool-unreachable', slot, address, answer: { kind: 'no-socket' } });
    }
    if (!view.retired) return { outcome: 'unchanged' };
    const may = mayProbe(work);
    if (!may.ok) return refused(may.failure);
    const named = giveNameBack(app, slot);
    return named.ok ? check(work) : refused(named.failure);
  }
  const may = mayProbe(work);
  if (!may.ok) return refused(may.failure);
  if (life === null) return launch(work);
  const role = await roleOf(work);
  if (!role.ok) return refused(role.failure);
  if (role.value.serves !== 'no') return refused(orphaned(work, life));
  const down = await takeDown(work, view, life);
  return down.outcome === 'done' ? { ...down, ...(await launch(work)) } : down;
}

/** Stops what runs and starts it anew, whatever it is now. `try-restart`: only what runs. */
export async function restart(work: Work): Promise<Ended> {
  const { app, slot, verb } = work;
  const seen = await settled(work);
  if (!seen.ok) return refused(seen.failure);
  const { view } = seen.value;
  const { life } = view;
  if (life === null && verb !== 'restart') return { outcome: 'unchanged' };
  const may = mayProbe(work);
  if (!may.ok) return refused(may.failure);
  if (life === null) return launch(work);
  // a pool whose configuration is broken would not come up again
  const tested = await app.drivers.pool.test(slot);
  if (!tested.ok) return refused(tested.failure);
  const down = await takeDown(work, view, life);
  if (down.outcome !== 'done') return down;
  const up = await launch(work);
  // what ran does not run any more
  const outcome = up.outcome === 'reverted' || up.outcome === 'refused' ? 'stranded' : up.outcome;
  return { ...down, ...up, outcome };
}

async function launch(work: Work): Promise<Ended> {
  const { app, slot } = work;
  const started = await step(work, 'start', () => app.drivers.pool.start(slot), pidOf);
  if (started.ok) return check(work);
  const { failure } = started;
  const undone = ['start-failed', 'start-timeout', 'pool-died'].includes(failure.reason);
  return undone ? { outcome: 'reverted', failure } : refused(failure);
}
