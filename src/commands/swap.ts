/**
 * What deploy, start and rollback have in common: finish what was left, look, decide, and
 * take the steps.
 */
import type { App } from '../context.js';
import { newDeploy } from '../deploy/begin.js';
import { activeSlot, decide } from '../deploy/plan.js';
import type { Situation, Steps } from '../deploy/plan.js';
import { forward } from '../deploy/run.js';
import { pastPivot } from '../deploy/state.js';
import type { ProxyView } from '../drivers.js';
import { ok } from '../event.js';
import type { CommandResult, Failure, Result, Slot, Warning } from '../event.js';
import { refusal, resultOf } from './outcome.js';
import { planOf, warn } from './plan.js';
import { finishOpen } from './recover.js';
import { look, survey } from './survey.js';
import { takeTurn } from './turn.js';

export interface SwapOptions {
  readonly command: 'deploy' | 'start' | 'rollback';
  readonly dryRun: boolean;
  /** ms to wait for the app's lock; 0: not at all. */
  readonly waitLock: number;
  readonly ifChanged: boolean;
}

export async function swap(app: App, options: SwapOptions): Promise<CommandResult> {
  const { command } = options;
  if (options.dryRun) return dryRun(app, options);
  const claimed = app.store.claim(app.config.file);
  if (!claimed.ok) return refusal(command, claimed.failure);
  // php-fpm is asked while the locks are taken
  const early = app.drivers.pool.fingerprint();
  const turn = await takeTurn(app, options.waitLock);
  if (!turn.ok) return refused(app, command, turn.failure);
  const { app: now, waited, lock } = turn.value;
  return within(lock, () => withSlots(now, options, waited ? now.drivers.pool.fingerprint() : early));
}

/** Earlier deploys were ended first, and what the app's files say may have changed meanwhile: they are read again. */
async function anew(app: App, options: SwapOptions): Promise<CommandResult> {
  const again = await app.reopen();
  if (!again.ok) return refused(app, options.command, again.failure);
  return withSlots(again.value, options, again.value.drivers.pool.fingerprint());
}

async function withSlots(
  app: App,
  options: SwapOptions,
  early: Promise<Result<string>>,
): Promise<CommandResult> {
  const slots = await app.lockSlots();
  if (!slots.ok) return refused(app, options.command, slots.failure);
  const result = await within(slots.value, () => locked(app, options, early));
  return result ?? anew(app, options);
}

async function within<T>(lock: { release(): void }, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } finally {
    lock.release();
  }
}

/** A wait for others ended before anything was begun: by a signal, if one came meanwhile. */
function refused({ interruption }: App, command: SwapOptions['command'], failure: Failure): CommandResult {
  const { requested } = interruption;
  if (requested === null) return refusal(command, failure);
  if (failure.reason === 'locked') return refusal(command, { reason: 'interrupted', signal: requested });
  if (failure.reason !== 'still-draining') return refusal(command, failure);
  return refusal(command, { reason: 'interrupted', signal: requested, draining: failure.slot });
}

/** Null: earlier deploys had to be ended first, which takes what it takes. */
async function locked(
  app: App,
  options: SwapOptions,
  fingerprint: Promise<Result<string>>,
): Promise<CommandResult | null> {
  const { command } = options;
  const left = await finishOpen(app, { keepDrain: command === 'rollback' });
  // a drain that an earlier deploy left is left to `recover` again
  if (!left.ok) return refused(app, command, left.failure);
  const { draining, ended } = left.value;
  if (ended) return null;
  const asked = options.ifChanged ? await fingerprint : ok(null);
  if (!asked.ok) return refusal(command, asked.failure);
  const looked = await look(app, command, draining, asked.value);
  if (!looked.ok) return refusal(command, looked.failure);
  const { situation, decision } = looked.value;
  if (decision.kind !== 'steps' && situation.unchanged) {
    app.drivers.pool.remember();
    // nothing is to be done, and yet it is wrong: nobody would look after a pool without its master
    for (const warning of situation.slots[decision.slot].warnings) {
      if (warning.reason === 'slot-orphaned') app.emit({ type: 'warning', warning });
    }
    return unchanged(command, decision.slot);
  }
  if (decision.kind !== 'steps') return standing(app, command, situation, decision.slot);
  const print = await fingerprint;
  if (!print.ok) return refusal(command, print.failure);
  const { requested } = app.interruption;
  if (requested !== null) return refusal(command, { reason: 'interrupted', signal: requested });
  const may = mayBegin(app, situation, decision);
  if (!may.ok) return refusal(command, may.failure);

  warn(app, situation, decision);
  const runs = runsNow(app, situation, decision, print.value);
  const begun = newDeploy(app, { command, decision, situation, fingerprint: runs });
  if (!begun.ok) return refusal(command, begun.failure);
  const deploy = begun.value;
  app.drivers.pool.remember();
  app.emit({ type: 'plan', plan: planOf(app, situation, decision, false) });
  const [first] = decision.steps;
  const ending = await forward(deploy, first ?? 'start');
  deploy.journal.leave();
  app.store.prune();
  const result = resultOf(app, command, deploy, ending);
  return leadsNowhere(situation) && decision.from === null ? { ...result, served: false } : result;
}

/** What would surely make a step fail is told before the first one. */
function mayBegin({ drivers }: App, { proxy }: Situation, { steps, to }: Steps): Result<void> {
  const probed = steps.includes('probe') ? drivers.probe.mayProbe(to) : ok(undefined);
  return probed.ok && steps.includes('switch') ? drivers.proxy.mayPoint(to, proxy) : probed;
}

/** Nobody is sent to the pool that is up: the proxy does not run, or uses it nowhere. */
const leadsNowhere = ({ proxy }: Situation): boolean => !proxy.running || proxy.unused.length > 0;

/** The pool that should serve lives: whether requests come to it is another matter, and said. */
async function standing(
  app: App,
  command: SwapOptions['command'],
  situation: Situation,
  slot: Slot,
): Promise<CommandResult> {
  const { drivers, emit } = app;
  const { proxy, slots } = situation;
  const answer = drivers.pool.reach(slot, await drivers.proxy.workerUser());
  if (answer !== null) {
    return refusal(command, { reason: 'pool-unreachable', slot, address: slots[slot].address, answer });
  }
  const warnings: Warning[] = [];
  if (!proxy.running) warnings.push({ reason: 'proxy-stopped', config: proxy.config, slot });
  if (proxy.unused.length > 0) warnings.push({ reason: 'reference-unused', places: proxy.unused });
  for (const warning of warnings) emit({ type: 'warning', warning });
  const result = unchanged(command, slot);
  return leadsNowhere(situation) ? { ...result, served: false } : result;
}

/** What the pool that is to serve will run: what the files say now, where it is started; else what it was started with. */
function runsNow({ store }: App, { slots }: Situation, decision: Steps, print: string): string | null {
  if (decision.steps.includes('start')) return print;
  const master = (decision.arriving ?? slots[decision.to].life)?.master ?? null;
  return master === null ? null : store.startedWith(master);
}

/** The plan, nothing touched: no lock, no state, no program but those that only look. */
async function dryRun(app: App, options: SwapOptions): Promise<CommandResult> {
  const { command } = options;
  const owned = app.store.inspect(app.config.file);
  if (!owned.ok) return refusal(command, owned.failure);
  const open = app.store.open();
  if (!open.ok) return refusal(command, open.failure);
  for (const state of open.value) {
    if (state.phase === 'closed') continue;
    const step = state.phase === 'planned' ? null : state.step;
    app.emit({ type: 'warning', warning: { reason: 'recovering', deploy: state.opened.deploy, step } });
  }
  const draining = open.value.find(pastPivot) ?? null;
  const print = options.ifChanged ? await app.drivers.pool.fingerprint() : ok(null);
  if (!print.ok) return refusal(command, print.failure);
  const seen = await survey(app, command, command === 'rollback' ? draining : null, print.value);
  if (!seen.ok) return refusal(command, seen.failure);
  let situation = seen.value;
  let decision = decide(situation);
  if (decision.ok && decision.value.kind === 'reload-first') {
    app.emit({ type: 'warning', warning: { reason: 'running-differs', files: decision.value.files } });
    situation = { ...situation, proxy: followed(app, situation.proxy) };
    decision = decide(situation);
  }
  if (!decision.ok) return refusal(command, decision.failure);
  if (decision.value.kind !== 'steps') return unchanged(command, activeSlot(situation));
  const may = mayBegin(app, situation, decision.value);
  if (!may.ok) return refusal(command, may.failure);
  warn(app, situation, decision.value);
  app.emit({ type: 'plan', plan: planOf(app, situation, decision.value, true) });
  const { from, to } = decision.value;
  return { command, outcome: 'unchanged', exit: 0, from, to, switch: app.drivers.proxy.kind };
}

/** A proxy that a deploy would make follow its files before anything else. The signal is told already where no other follows. */
function followed({ drivers }: App, proxy: ProxyView): ProxyView {
  const { pid } = proxy.status;
  const more = drivers.proxy.kind === 'rewrite' && pid !== null;
  const first = more ? [{ signal: 'SIGHUP', to: `nginx ${String(pid)}` } as const] : [];
  const unread = { files: [], surely: false };
  return { ...proxy, differing: [], unread, signals: [...first, ...proxy.signals] };
}

const unchanged = (command: SwapOptions['command'], slot: Slot): CommandResult => ({
  command,
  outcome: 'unchanged',
  exit: 0,
  from: slot,
  to: slot,
});
