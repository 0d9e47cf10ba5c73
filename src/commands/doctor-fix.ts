/**
 * What doctor mends by itself: files that a gone life left, and orphans that nobody is sent to, by the drain
 * proof. Whatever it finds is looked at again under the app's lock.
 */
import type { App } from '../context.js';
import { standsAt } from '../deploy/state.js';
import { takeDown } from '../deploy/steps.js';
import { fail, ok, otherSlot, SLOTS } from '../event.js';
import type { Failure, Finding, Result, Slot } from '../event.js';
import { survey } from './survey.js';

/** Null: done, as far as it could be; what is left is found again. Fails with `locked`, `deploy-open`, and what its acts fail with. */
export async function fix(app: App, findings: readonly Finding[]): Promise<Failure | null> {
  const claimed = app.store.claim(app.config.file);
  if (!claimed.ok) return claimed.failure;
  const lock = await app.lock(0);
  if (!lock.ok) return lock.failure;
  try {
    const open = app.store.open({ locked: true });
    if (!open.ok) return open.failure;
    for (const state of open.value) {
      if (state.phase === 'closed') continue;
      return { reason: 'deploy-open', deploy: state.opened.deploy, step: standsAt(state) };
    }
    for (const slot of SLOTS) {
      const mended = await mend(
        app,
        slot,
        findings.filter((finding) => slotOf(finding) === slot),
      );
      if (!mended.ok) return mended.failure;
    }
    return null;
  } finally {
    lock.value.release();
  }
}

async function mend(app: App, slot: Slot, findings: readonly Finding[]): Promise<Result<void>> {
  if (findings.length === 0) return ok(undefined);
  const orphaned = findings.some(
    (finding) => 'observation' in finding && finding.observation.reason === 'orphans',
  );
  if (orphaned) return endOrphans(app, slot);
  const { pool } = app.drivers;
  const view = pool.observe(slot);
  if (!view.ok) return view;
  return view.value.life === null && view.value.state !== 'foreign' ? pool.sweep(slot) : ok(undefined);
}

/** Nothing is cut: a pool that still serves somebody when its time is over stays, and is found again. */
async function endOrphans(app: App, slot: Slot): Promise<Result<void>> {
  const { drivers, emit, interruption } = app;
  const situation = await survey(app, 'start', null);
  if (!situation.ok) return situation;
  const { proxy, slots } = situation.value;
  const { life, state } = slots[slot];
  // a person, or another deploy, came in between
  if (life === null || state !== 'orphaned') return ok(undefined);
  const from = otherSlot(slot);
  if (proxy.active !== from || proxy.differing.length > 0) return ok(undefined);
  const places = proxy.otherPools.filter((other) => other.slot === slot);
  if (places.length > 0) return fail({ reason: 'master-shared', places });
  const patient = { ...drivers, drain: { ...drivers.drain, onTimeout: 'keep' } } as const;
  const taking = { drivers: patient, emit, interruption, unanswered: 0, cutNow: false, cut: 0 };
  const opened = { from, to: slot };
  const down = await takeDown({ ...taking, opened }, slot, life, proxy.older, interruption.signal);
  if (down.ok) return down;
  drivers.pool.unretire(slot);
  return down.failure.reason === 'drain-timeout' ? ok(undefined) : down;
}

function slotOf(finding: Finding): Slot | null {
  if (!finding.fixable || 'failure' in finding) return null;
  const about = 'warning' in finding ? finding.warning : finding.observation;
  return 'slot' in about ? about.slot : null;
}
