/**
 * Taking turns: one swap-pool at a time is at an app. Whoever has waited for others goes by what the app's files say
 * when its turn has come, for that may be another pool, at another address.
 */
import type { App } from '../context.js';
import { standsAt } from '../deploy/state.js';
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';

export interface Turn {
  /** As its files say now. */
  readonly app: App;
  readonly waited: boolean;
  /** The app's own; its slots' are yet to be taken. */
  readonly lock: { release(): void };
}

/**
 * Waits up to `wait` ms for the app's lock. Fails with `locked`, with `interrupted` when a signal came instead, and as
 * openApp does when its files are broken by then.
 */
export async function takeTurn(app: App, wait: number): Promise<Result<Turn>> {
  const free = await app.lockName(0);
  const waited = !free.ok && free.failure.reason === 'locked' && wait > 0;
  const lock = waited ? await app.lockName(wait) : free;
  const { requested } = app.interruption;
  if (!lock.ok)
    return waited && requested !== null
      ? fail({ reason: 'interrupted', signal: requested, during: 'question' })
      : lock;
  const opened = waited ? await app.reopen() : ok(app);
  if (opened.ok) return ok({ app: opened.value, waited, lock: lock.value });
  lock.value.release();
  return opened;
}

/**
 * Acts on an app's pools outside of a deploy: alone, and while none is under way or was left open. Fails as takeTurn
 * does, and with `state-of-another-config`, `deploy-open`.
 */
export async function alone<T>(app: App, wait: number, act: (app: App) => Promise<T>): Promise<Result<T>> {
  const claimed = app.store.claim(app.config.file);
  if (!claimed.ok) return claimed;
  const turn = await takeTurn(app, wait);
  if (!turn.ok) return turn;
  try {
    return await withSlots(turn.value.app, act);
  } finally {
    turn.value.lock.release();
  }
}

async function withSlots<T>(app: App, act: (app: App) => Promise<T>): Promise<Result<T>> {
  const slots = await app.lockSlots();
  if (!slots.ok) return slots;
  try {
    const open = app.store.open({ locked: true });
    if (!open.ok) return open;
    const [left] = open.value;
    if (left === undefined) return ok(await act(app));
    return fail({ reason: 'deploy-open', deploy: left.opened.deploy, step: standsAt(left) });
  } finally {
    slots.value.release();
  }
}
