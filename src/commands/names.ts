/** The socket's name of a pool that lives: taken away before a stop, given back when that did not end. */
import type { App } from '../context.js';
import { ok } from '../event.js';
import type { Result, Slot } from '../event.js';

/**
 * A `pool stop` that was killed can leave the pool that serves without a name: it is up, and nobody can
 * connect. The standby's name stays away, it is stopped in any case. `slots`: those that were seen without.
 */
export async function restoreNames(
  app: Pick<App, 'drivers' | 'emit'>,
  slots: readonly Slot[],
): Promise<Result<void>> {
  for (const slot of slots) {
    // it may be on its way out
    const steady = await app.drivers.pool.steady(slot);
    if (!steady.ok) return steady;
    const { retired, life } = steady.value.view;
    const named = await app.drivers.proxy.names(slot);
    if (!named.ok) return named;
    if (!retired || life === null || !named.value) continue;
    const given = giveNameBack(app, slot);
    if (!given.ok) return given;
  }
  return ok(undefined);
}

/** The name that a stop took away and, ended in between, did not give back. */
export function giveNameBack(app: Pick<App, 'drivers' | 'emit'>, slot: Slot): Result<void> {
  const named = app.drivers.pool.unretire(slot);
  if (named.ok) app.emit({ type: 'warning', warning: { reason: 'name-given-back', slot } });
  return named;
}
