/**
 * What doctor mends by itself: files that a gone life left, and orphans that nobody is sent to, by the drain
 * proof. Whatever it finds is looked at again under the app's lock.
 */
import type { App } from '../context.js';
import { standDown } from '../deploy/stand-down.js';
import { fail, ok, otherSlot, SLOTS } from '../event.js';
import type { Failure, Finding, Result, Slot } from '../event.js';
import { survey } from './survey.js';
import { alone } from './turn.js';

/** Null: done, as far as it could be; what is left is found again. Fails as alone() does, and with what its acts fail with. */
export async function fix(app: App, findings: readonly Finding[]): Promise<Failure | null> {
  const fixed = await alone(app, 0, async (now): Promise<Result<void>> => {
    for (const slot of SLOTS) {
      const own = findings.filter((finding) => slotOf(finding) === slot);
      const mended = await mend(now, slot, own);
      if (!mended.ok) return mended;
    }
    return ok(undefined);
  });
  if (!fixed.ok) return fixed.failure;
  return fixed.value.ok ? null : fixed.value.failure;
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
  if (proxy.active !== otherSlot(slot) || proxy.differing.length > 0) return ok(undefined);
  const places = proxy.otherPools.filter((other) => other.slot === slot);
  if (places.length > 0) return fail({ reason: 'master-shared', places });
  const patient = { ...drivers, drain: { ...drivers.drain, onTimeout: 'keep' } } as const;
  const { older } = proxy;
  const down = await standDown({ drivers: patient, emit, interruption, slot, life, way: 'idle', older });
  return down.kind === 'gone' || down.failure.reason === 'pool-busy' ? ok(undefined) : fail(down.failure);
}

function slotOf(finding: Finding): Slot | null {
  if (!finding.fixable || 'failure' in finding) return null;
  const about = 'warning' in finding ? finding.warning : finding.observation;
  return 'slot' in about ? about.slot : null;
}
