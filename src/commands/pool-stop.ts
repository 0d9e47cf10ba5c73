/** `pool stop` and `pool force-stop`: by the drain proof where nobody is sent there, else asked first. */
import { standDown } from '../deploy/stand-down.js';
import type { StoodDown } from '../deploy/stand-down.js';
import type { PoolLife, SlotView } from '../drivers.js';
import type { Result } from '../event.js';
import { agreed, refused, roleOf, settled, unsettled } from './pool-work.js';
import type { Ended, Role, Work } from './pool-work.js';

export async function stop(work: Work): Promise<Ended> {
  const { app, slot } = work;
  const seen = await settled(work);
  if (!seen.ok) return refused(seen.failure);
  const { view, doing } = seen.value;
  const { life } = view;
  if (life !== null) return takeDown(work, view, life);
  if (doing !== null) return refused(unsettled(work, doing));
  const swept = app.drivers.pool.sweep(slot);
  return swept.ok ? { outcome: 'unchanged' } : refused(swept.failure);
}

/** Stops a pool that lives; for `restart`, too. `done` when it is gone. */
export async function takeDown(work: Work, view: SlotView, life: PoolLife): Promise<Ended> {
  const { app, slot } = work;
  const role = await roleOf(work);
  const harmful = whether(role, work);
  if (!harmful.ok) return refused(harmful.failure);
  if (harmful.value !== 'no') {
    const answer = await agreed(work, view, harmful.value === 'yes');
    if (answer !== null) return refused(answer);
  }
  const { drivers, emit, interruption } = app;
  const way = work.verb === 'force-stop' ? 'force' : harmful.value === 'no' ? 'idle' : 'serving';
  const older = role.ok ? role.value.older : [];
  return endOf(await standDown({ drivers, emit, interruption, slot, life, way, older }));
}

/** What cannot be told stops a proof, but not one who was told and says: at once. */
function whether(role: Result<Role>, { verb }: Work): Result<Role['serves']> {
  if (role.ok) return { ok: true, value: role.value.serves };
  return verb === 'force-stop' ? { ok: true, value: 'perhaps' } : role;
}

function endOf(down: StoodDown): Ended {
  switch (down.kind) {
    case 'gone':
      return { outcome: 'done', drain: { ...down.first, cut: down.cut } };
    case 'kept': {
      const outcome = down.failure.reason === 'interrupted' ? 'interrupted' : 'reverted';
      return { outcome, failure: down.failure };
    }
    case 'stuck':
      return { outcome: 'stranded', failure: down.failure };
  }
}
