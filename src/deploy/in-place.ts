/**
 * No pool is taken down while the one that is to serve in its place is not there: with a `backup` in the proxy it
 * may be the only one that serves, and without it the only one that could. A proof that nobody needs the one is
 * worth nothing once the other has died.
 */
import type { SlotView } from '../drivers.js';
import { fail, ok, otherSlot } from '../event.js';
import type { Failure, Result, Slot } from '../event.js';
import type { Deploy } from './deploy.js';
import { adopt } from './adopt.js';

type Both = Pick<Deploy, 'drivers' | 'leaving' | 'arriving'> & {
  readonly opened: Pick<Deploy['opened'], 'from' | 'to'>;
};

/**
 * Whether the new pool is up, before anything is done to the old one. Workers without their master answer, but
 * nobody looks after them: the old pool is the sounder one. Fails with `stranded`.
 */
export async function isTakenOver({ drivers, arriving, opened: { to } }: Both): Promise<Result<void>> {
  if (arriving !== null && drivers.pool.stands(to, arriving)) return ok(undefined);
  const view = drivers.pool.observe(to);
  if (!view.ok) return view;
  return isSound(view.value) ? ok(undefined) : gone(to, await died({ drivers }, to));
}

/**
 * Whether the pool that served before is still there, before the new one is taken down: workers without a master
 * count, they serve as before. Where nothing served there is nothing to ask. Fails with `stranded`.
 */
export async function isThereStill({ drivers, leaving, opened: { from } }: Both): Promise<Result<void>> {
  if (from === null || leaving === null || drivers.pool.stands(from, leaving)) return ok(undefined);
  const view = drivers.pool.observe(from);
  if (!view.ok) return view;
  return view.value.life !== null ? ok(undefined) : gone(from, await died({ drivers }, from));
}

/**
 * For a recovery: starts the pool again that is to serve, where it has died, and proves that it answers. One that
 * does not is ended, so that the proxy is not led to it. Fails with `stranded`.
 */
export async function bringBack(deploy: Deploy, slot: Slot): Promise<Result<void>> {
  const { drivers, emit, opened } = deploy;
  const view = drivers.pool.observe(slot);
  if (!view.ok) return view;
  if (isSound(view.value)) return ok(undefined);
  if (view.value.life !== null) return gone(slot, await died(deploy, slot));
  emit({ type: 'warning', warning: { reason: 'brought-back', slot } });
  const started = await drivers.pool.start(slot);
  if (!started.ok) return gone(slot, started.failure);
  const answered = await drivers.probe.probe(slot);
  if (!answered.ok) {
    await drivers.pool.stop(slot, started.value, (warning) => {
      emit({ type: 'warning', warning });
    });
    await drivers.pool.sweep(slot);
    return gone(slot, answered.failure);
  }
  if (slot !== opened.to) return ok(undefined);
  const adopted = await adopt(deploy);
  return adopted.ok ? ok(undefined) : adopted;
}

const isSound = ({ state, lost, retired }: SlotView): boolean => state === 'running' && !lost && !retired;

const died = async ({ drivers }: Pick<Deploy, 'drivers'>, slot: Slot): Promise<Failure> => ({
  reason: 'pool-died',
  slot,
  log: await drivers.pool.log(slot),
});

const gone = (slot: Slot, cause: Failure): Result<never> =>
  fail({
    reason: 'stranded',
    detail: `${slot} is to serve and is not there, so ${otherSlot(slot)} was not touched`,
    cause,
  });
