/** `pool reload` and `pool reopen-logs`: what a pool's own master does when it is told to. */
import type { SlotView } from '../drivers.js';
import type { Failure, Warning } from '../event.js';
import { check, mastered, mayProbe, pidOf, refused, step } from './pool-work.js';
import type { Ended, Work } from './pool-work.js';

/** Refused while the configuration is broken; the pool is then not touched. */
export async function reload(work: Work): Promise<Ended> {
  const { app, slot } = work;
  const able = app.drivers.pool.able(slot, 'reload');
  if (!able.ok) return refused(able.failure);
  const { pool } = app.drivers;
  const tested = await pool.test(slot);
  if (!tested.ok) return refused(tested.failure);
  const may = mayProbe(work);
  if (!may.ok) return refused(may.failure);
  const doing = pool.transition(slot);
  if (!doing.ok) return refused(doing.failure);
  // a master that is about to run itself anew is joined; one that has begun to is waited for, it may have read too early
  const joins = doing.value === 'leaving';
  const found = await mastered(work, { waits: !joins });
  if (!found.ok) return refused(found.failure);

  const { view, life } = found.value;
  if (!joins) warnOfCuts(work, view);
  const told = (warning: Warning): void => {
    app.emit({ type: 'warning', warning });
  };
  const reloaded = await step(work, 'reload', () => pool.reload(slot, life, told), pidOf);
  return reloaded.ok ? check(work) : endOf(reloaded.failure);
}

/** A renamed log is let go of. */
export async function reopenLogs(work: Work): Promise<Ended> {
  const { app, slot } = work;
  const able = app.drivers.pool.able(slot, 'reopen-logs');
  if (!able.ok) return refused(able.failure);
  const found = await mastered(work, { waits: true });
  if (!found.ok) return refused(found.failure);
  const { life } = found.value;
  const opened = await step(
    work,
    'reopen-logs',
    () => app.drivers.pool.reopenLogs(slot, life),
    (files) => (files.length === 0 ? null : { kind: 'files', files }),
  );
  if (opened.ok) return { outcome: 'done' };
  const { failure } = opened;
  return failure.reason === 'pool-logs-not-reopened' ? { outcome: null, failure } : endOf(failure);
}

/** Told before the signal, because then it is too late. */
function warnOfCuts({ app, slot }: Work, { connections, working }: SlotView): void {
  const grace = app.drivers.pool.grace(slot);
  if ((grace ?? 0) > 0 || connections.accepted + working === 0) return;
  const unsure = grace === null ? ({ unsure: true } as const) : {};
  app.emit({ type: 'warning', warning: { reason: 'reload-cuts', slot, connections, working, ...unsure } });
}

/** The signal was sent, or could not be. */
const endOf = (failure: Failure): Ended =>
  failure.reason === 'signal-refused' || failure.reason === 'pool-unable'
    ? refused(failure)
    : { outcome: 'stranded', failure };
