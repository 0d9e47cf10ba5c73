/** `pool stop` and `pool force-stop`: by the drain proof where nobody is sent there, else asked first. */
import { standDown } from '../deploy/stand-down.js';
import type { StoodDown } from '../deploy/stand-down.js';
import type { PoolLife, SlotView } from '../drivers.js';
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import { agreed, refused, roleOf, settled, step, unsettled } from './pool-work.js';
import type { Ended, Role, Work } from './pool-work.js';

export async function stop(work: Work): Promise<Ended> {
  const { app, slot } = work;
  const seen = await settled(work);
  if (!seen.ok) return refused(seen.failure);
  const { view, doing } = seen.value;
  const { life } = view;
  if (life !== null) return takeDown(work, view, life);
  const { pool } = app.drivers;
  const kept = await pool.isKept(slot);
  if (!kept.ok) return refused(kept.failure);
  if (kept.value) return halt(work, view);
  if (doing !== null) return refused(unsettled(work, doing));
  const swept = await pool.sweep(slot);
  return swept.ok ? { outcome: 'unchanged' } : refused(swept.failure);
}

/** Nobody lives there, but its manager would go on trying. */
async function halt(work: Work, view: SlotView): Promise<Ended> {
  const { app, slot } = work;
  const asked = await askFirst(work, view);
  if (!asked.ok) return refused(asked.failure);
  const halted = await step(work, 'stop', () => app.drivers.pool.halt(slot));
  return halted.ok ? { outcome: 'done' } : refused(halted.failure);
}

/** Stops a pool that lives; for `restart`, too. `done` when it is gone. */
export async function takeDown(work: Work, view: SlotView, life: PoolLife): Promise<Ended> {
  const { app, slot } = work;
  const asked = await askFirst(work, view);
  if (!asked.ok) return refused(asked.failure);
  const { serves, older } = asked.value;
  const { drivers, emit, interruption } = app;
  const way = work.verb === 'force-stop' ? 'force' : serves === 'no' ? 'idle' : 'serving';
  return endOf(await standDown({ drivers, emit, interruption, slot, life, way, older }));
}

/** Asks where the slot serves, or may. What cannot be told stops a proof, but not one who was told and says: at once. */
async function askFirst(work: Work, view: SlotView): Promise<Result<Role>> {
  const found = await roleOf(work);
  const role: Result<Role> =
    found.ok || work.verb !== 'force-stop' ? found : ok({ serves: 'perhaps', older: [] });
  if (!role.ok || role.value.serves === 'no') return role;
  const answer = await agreed(work, view, role.value.serves === 'yes');
  return answer === null ? role : fail(answer);
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
