/** Ends what a dead or interrupted deploy left, and an upgrade of the proxy's binary that broke off. */
import type { App } from '../context.js';
import { takeUp } from '../deploy/begin.js';
import { setDamagedAside } from '../deploy/damaged.js';
import { recover as recoverDeploy } from '../deploy/recover.js';
import { DIED } from '../deploy/run.js';
import type { Ending } from '../deploy/run.js';
import { pastPivot, standsAt } from '../deploy/state.js';
import type { DeployState } from '../deploy/state.js';
import type { Deploy } from '../deploy/deploy.js';
import { fail, ok } from '../event.js';
import type { CommandResult, Failure, Result } from '../event.js';
import { exitOf, refusal, resultOf } from './outcome.js';

/**
 * Recovers one app. Nothing open: `unchanged`. Like that of a deploy, the exit code says which slot serves: 1 when
 * a deploy was undone, which is an end as clean as the other.
 */
export async function recover(app: App, options: { readonly now: boolean }): Promise<CommandResult> {
  const claimed = app.store.claim(app.config.file);
  if (!claimed.ok) return refusal('recover', claimed.failure);
  const lock = await app.lock();
  if (!lock.ok) return refusal('recover', lock.failure);
  try {
    // first: while two masters run no switch can be proven, and none undone
    const upgrade = await app.endUpgrade();
    if (!upgrade.ok) return refusal('recover', upgrade.failure);
    const damaged = await setDamagedAside(app);
    if (!damaged.ok) return refusal('recover', damaged.failure);
    const open = app.store.open({ locked: true });
    if (!open.ok) return refusal('recover', open.failure);
    const done = damaged.value > 0 || upgrade.value !== 'none';
    let worst: CommandResult = { command: 'recover', outcome: done ? 'done' : 'unchanged', exit: 0 };
    for (const { opened } of open.value) {
      const state = app.store.state(opened.deploy);
      if (!state.ok) return refusal('recover', state.failure);
      // a newer one's end has closed it
      if (state.value.phase === 'closed') continue;
      const ended = await end(app, state.value, options.now);
      if (!ended.ok) return refusal('recover', ended.failure);
      const { outcome, exit } = ended.value;
      if (exit >= worst.exit) worst = ended.value;
      if (outcome !== 'done' && outcome !== 'reverted') return worst;
    }
    return worst;
  } finally {
    lock.value.release();
  }
}

/** Ends one open deploy. */
async function end(app: App, state: DeployState, now: boolean): Promise<Result<CommandResult>> {
  const ended = await endOne(app, state, now);
  if (!ended.ok) return ended;
  const { deploy, ending } = ended.value;
  const clean = deploy.journal.state().phase === 'closed';
  const result = resultOf(app, 'recover', deploy, ending);
  if (ending.outcome === 'stranded' || ending.outcome === 'draining') return ok(result);
  if (clean && ending.outcome === 'done') return ok(result);
  if (clean) {
    const why = ending.failure === DIED ? null : ending.failure;
    const failure: Failure = why ?? { reason: 'left-unfinished', deploy: deploy.opened.deploy };
    const outcome = failure.reason === 'interrupted' ? 'interrupted' : 'reverted';
    return ok({ ...result, outcome, exit: exitOf(outcome, failure), failure });
  }
  const failure: Failure = { reason: 'still-draining', slot: deploy.opened.to };
  return ok({ ...result, outcome: 'refused', exit: exitOf('refused', failure), failure });
}

async function endOne(
  app: App,
  state: DeployState,
  now: boolean,
): Promise<Result<{ readonly deploy: Deploy; readonly ending: Ending }>> {
  app.emit({
    type: 'warning',
    warning: { reason: 'recovering', deploy: state.opened.deploy, step: standsAt(state) },
  });
  const deploy = takeUp(app, state, now);
  if (!deploy.ok) return deploy;
  const ending = await recoverDeploy(deploy.value, state);
  deploy.value.journal.leave();
  return ok({ deploy: deploy.value, ending });
}

/** What became of the open deploys. */
export interface Finished {
  /** The one whose drain goes on. */
  readonly draining: DeployState | null;
  /** Whether there was any to end. */
  readonly ended: boolean;
}

/**
 * Before a new deploy: ends every open one. Gives back the one whose drain a rollback may
 * take over (`keepDrain`), and fails when something is left that must be ended first.
 */
export async function finishOpen(
  app: App,
  { keepDrain }: { readonly keepDrain: boolean },
): Promise<Result<Finished>> {
  let ended = false;
  const readable = await setDamagedAside(app);
  if (!readable.ok) return readable;
  const open = app.store.open({ locked: true });
  if (!open.ok) return open;
  for (const { opened } of open.value) {
    const state = app.store.state(opened.deploy);
    if (!state.ok) return state;
    // a newer one's end has closed it
    if (state.value.phase === 'closed') continue;
    // once its stop has begun nobody can take it back
    if (keepDrain && opened.from !== null && pastPivot(state.value) && standsAt(state.value) !== 'stop') {
      return ok({ draining: state.value, ended });
    }
    ended = true;
    const one = await endOne(app, state.value, false);
    if (!one.ok) return one;
    const { deploy, ending } = one.value;
    if (deploy.journal.state().phase === 'closed') continue;
    if (ending.outcome === 'stranded' && ending.failure !== null) return fail(ending.failure);
    const slot = pastPivot(deploy.journal.state())
      ? (deploy.opened.from ?? deploy.opened.to)
      : deploy.opened.to;
    return fail({ reason: 'still-draining', slot });
  }
  return ok({ draining: null, ended });
}
