/**
 * Journals of unfinished deploys that a disk has damaged. What the deploy was at is not known any more, so it is
 * neither undone nor ended; the world says whether that is needed. No file is ever to be deleted by hand for it.
 */
import type { Drivers } from '../drivers.js';
import { ok } from '../event.js';
import type { Emit, Result } from '../event.js';
import type { JournalStore } from './journal.js';

/**
 * Sets them aside where that leaves nothing behind that the next deploy does not see by itself: nobody lives in
 * either slot, or the one that is named runs and answers. Fails with `journal-unreadable` where neither is so.
 * Gives back how many there were.
 */
export async function setDamagedAside(host: {
  readonly store: JournalStore;
  readonly drivers: Pick<Drivers, 'pool' | 'probe' | 'proxy'>;
  readonly emit: Emit;
}): Promise<Result<number>> {
  const { store, drivers, emit } = host;
  const { damaged } = store.recent();
  for (const failure of damaged) {
    if (!(await isClear(drivers))) return { ok: false, failure };
    const { path, detail } = failure;
    const aside = store.setAside(path);
    if (!aside.ok) return aside;
    emit({ type: 'warning', warning: { reason: 'journal-damaged', path, detail, aside: aside.value } });
  }
  return ok(damaged.length);
}

async function isClear({ pool, probe, proxy }: Pick<Drivers, 'pool' | 'probe' | 'proxy'>): Promise<boolean> {
  const { blue, green } = pool.observeBoth();
  if (!blue.ok || !green.ok) return false;
  if (blue.value.life === null && green.value.life === null) return true;
  const view = await proxy.survey(null);
  if (!view.ok || view.value.active === null) return false;
  const { active } = view.value;
  const named = active === 'blue' ? blue.value : green.value;
  return named.life !== null && !named.retired && (await probe.probe(active)).ok;
}
