/** Who serves in the place of the pool that a deploy has started. */
import type { PoolLife } from '../drivers.js';
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import { timestamp } from '../system/clock.js';
import type { Deploy } from './deploy.js';

/**
 * The pool that is to serve. Where the one that was started is gone, or no record says that one was (the disk
 * failed, then we were killed), it is the one that is there now.
 */
export async function adopt(deploy: Deploy): Promise<Result<PoolLife>> {
  const { drivers, journal } = deploy;
  const { to } = deploy.opened;
  if (deploy.arriving !== null) {
    const alive = drivers.pool.isAlive(to, deploy.arriving);
    if (!alive.ok) return alive;
    if (alive.value) return ok(deploy.arriving);
  }
  const view = drivers.pool.observe(to);
  if (!view.ok) return view;
  const { life } = view.value;
  if (life === null) return fail({ reason: 'pool-died', slot: to, log: await drivers.pool.log(to) });
  const written = journal.write({ type: 'adopted', time: timestamp(), life });
  if (!written.ok) return written;
  deploy.arriving = life;
  return ok(life);
}
