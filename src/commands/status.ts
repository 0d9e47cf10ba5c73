/** What /proc, the sockets, nginx and the journal say, side by side. Looks only; takes no lock. */
import { activeSlot } from '../deploy/plan.js';
import type { Situation } from '../deploy/plan.js';
import { pastPivot, standsAt } from '../deploy/state.js';
import type { DeployState } from '../deploy/state.js';
import type { AppFile } from '../config/apps.js';
import type { App } from '../context.js';
import type { Session } from '../session.js';
import { waitUntil } from '../system/clock.js';
import type { LastProven, ProxyProof, SlotView } from '../drivers.js';
import { otherSlot, SIGNALLED, SLOTS } from '../event.js';
import type {
  AppStatus,
  CommandResult,
  Down,
  Failure,
  FailureReason,
  LockHolder,
  Outcome,
  ProxyStatus,
  Slot,
  SlotStatus,
  Warning,
} from '../event.js';
import { outcomeOf } from './outcome.js';
import { glance } from './survey.js';

/**
 * Looks once. Exit 0 when every app asked about is served; else 2 where a configuration keeps it from being told,
 * else 1. `told`: what was warned of before.
 */
export async function status(
  session: Pick<Session, 'open' | 'tell'>,
  files: readonly AppFile[],
  told: Told | null = null,
): Promise<CommandResult> {
  const apps: AppStatus[] = [];
  let nginx: ProxyStatus | null = null;
  for (const file of files) {
    const opened = await session.open(file);
    if (!opened.ok) {
      apps.push(unknown(file.app, opened.failure));
      continue;
    }
    apps.push(await statusOf(opened.value, told ?? new Map<string, FailureReason>()));
    nginx ??= await opened.value.drivers.proxy.status();
  }
  const missing = apps.filter((app) => !app.served);
  const base = { command: 'status', apps, nginx } as const;
  if (missing.length === 0) return { ...base, exit: 0 };
  const exit = missing.some(({ failure }) => failure !== undefined && outcomeOf(failure) === 'usage') ? 2 : 1;
  const [only, ...more] = missing;
  if (only?.failure !== undefined && more.length === 0) return { ...base, exit, failure: only.failure };
  // who looks on has them in the table
  if (told === null) {
    for (const { app, failure } of missing) if (failure !== undefined) session.tell(app, failure);
  }
  return { ...base, exit, failure: { reason: 'not-serving', apps: missing.map(({ app }) => app) } };
}

/**
 * Looks again every second and shows it, until a signal comes. The last look is the result, but its end is the
 * signal's: who stopped looking has not been told that all is well.
 */
export async function watch(session: Session, files: readonly AppFile[]): Promise<CommandResult> {
  const { interruption } = session.surroundings;
  const told: Told = new Map();
  let latest = await status(session, files, told);
  await waitUntil(
    async () => {
      session.show(latest);
      latest = await status(session, files, told);
      return undefined;
    },
    { deadline: Infinity, signal: interruption.signal, pace: () => 1000 },
  );
  const { failure: _served, ...look } = latest;
  return { ...look, outcome: 'interrupted', exit: SIGNALLED[interruption.requested ?? 'SIGINT'] };
}

/** By app, why the look before had to do without nginx's files; and whose journals were looked at. */
type Told = Map<string, FailureReason>;

async function statusOf(app: App, told: Told): Promise<AppStatus> {
  const owned = app.store.inspect(app.config.file);
  if (!owned.ok) return unknown(app.name, owned.failure);
  const { past, open, damaged } = app.store.recent();
  const asked = `${app.name}: its journal`;
  for (const { path, detail } of told.has(asked) ? [] : damaged) {
    app.emit({ type: 'warning', warning: { reason: 'journal-damaged', path, detail, aside: null } });
  }
  told.set(asked, 'journal-unreadable');
  const lock = app.lockHolder();
  const looked = await glance(app);
  const base = { app: app.name, last: lastOf(past), open: openOf(open), lock };
  if (!looked.ok) {
    const { failure } = looked;
    const slots = slotsOf(app, open);
    const active = slots === null ? null : await withoutConfig(app, past, slots, failure);
    if (active === null || slots === null || !isUp(slots[active])) {
      return { ...base, active, served: false, slots, failure };
    }
    const cut = await unreachable(app, active, slots[active].listen);
    if (cut !== null) return { ...base, active, served: false, slots, failure: cut };
    warn(app, told, { reason: 'nginx-config-unusable', cause: failure }, failure.reason);
    return { ...base, active, served: true, slots };
  }
  const { active, failure, differing } = await leadsTo(app, past, looked.value);
  const down = downOf(looked.value);
  if (differing.length > 0)
    warn(app, told, { reason: 'running-differs', files: differing, ...down }, 'files-unread');
  else told.delete(app.name);
  const { slots } = looked.value;
  const view = slots[active];
  const lives = view.life !== null && !view.retired;
  const why = failure ?? (lives ? await unreachable(app, active, view.address) : null);
  return {
    ...base,
    active,
    served: lives && why === null && looked.value.proxy.active !== null,
    slots: { blue: toStatus(app, slots.blue, open), green: toStatus(app, slots.green, open) },
    ...(why === null ? {} : { failure: why }),
  };
}

/** The slot that new requests reach, or why none do; `differing`: files that would change it once they are read. */
async function leadsTo(
  app: App,
  past: readonly DeployState[],
  situation: Situation,
): Promise<{
  readonly active: Slot;
  readonly failure: Failure | null;
  readonly differing: readonly string[];
}> {
  const { proxy } = situation;
  const { unread, unused } = proxy;
  const active = activeSlot(situation);
  const notUsed: Failure | null = unused.length > 0 ? { reason: 'reference-unused', places: unused } : null;
  if (!proxy.running) {
    return { active, failure: { reason: 'nginx-not-running', config: proxy.config }, differing: [] };
  }
  if (proxy.differing.length === 0) return { active, failure: notUsed, differing: [] };
  const proven = await stillRuns(app, past);
  if (proven !== null && proven.proof.unused !== true) {
    const same = proven.slot === active && unread.files.length === 0 && notUsed === null;
    return { active: proven.slot, failure: null, differing: same ? [] : proxy.differing };
  }
  if (unread.surely) {
    const failure = { reason: 'files-unread', files: unread.files, slot: active } as const;
    return { active, failure: { ...failure, ...downOf(situation) }, differing: [] };
  }
  return { active, failure: notUsed, differing: unread.files };
}

/** `down`, where nginx has yet to read files that lead to nobody. */
function downOf(situation: Situation): { readonly down?: Down } {
  const { proxy, slots } = situation;
  const slot = activeSlot(situation);
  const isThere = proxy.active !== null && slots[slot].life !== null;
  if (proxy.unread.files.length === 0 || isThere) return {};
  return { down: { slot, otherRuns: slots[otherSlot(slot)].life !== null } };
}

/** Why the user that the proxy's workers run as cannot connect to a pool that lives; null: it can. */
async function unreachable(app: App, slot: Slot, address: string): Promise<Failure | null> {
  const { pool, proxy } = app.drivers;
  const answer = pool.reach(slot, await proxy.workerUser());
  return answer === null ? null : { reason: 'pool-unreachable', slot, address, answer };
}

function warn(app: App, told: Told, warning: Warning, reason: FailureReason): void {
  if (told.get(app.name) !== reason) app.emit({ type: 'warning', warning });
  told.set(app.name, reason);
}

/** Why the proxy's files say nothing of what it runs: it cannot run them itself. */
const UNUSABLE: ReadonlySet<FailureReason> = new Set<FailureReason>([
  'nginx-config-broken',
  'nginx-test-timeout',
  'nginx-syntax',
  'nginx-include',
]);
/** They may be what it runs, and then it serves this app no more. */
const UNSUITABLE: ReadonlySet<FailureReason> = new Set<FailureReason>([
  'nginx-tree-differs',
  'reference-missing',
  'reference-ambiguous',
  'link-not-named',
  'link-and-slot-named',
]);

/**
 * The slot that serves while nginx's files cannot be used: a running nginx goes on with what it has. Null when that
 * is not known: somebody has reloaded it since the last deploy, and both slots run.
 */
async function withoutConfig(
  app: App,
  past: readonly DeployState[],
  slots: Readonly<Record<Slot, SlotStatus>>,
  { reason }: Failure,
): Promise<Slot | null> {
  if (!UNUSABLE.has(reason) && !UNSUITABLE.has(reason)) return null;
  const { proxy } = app.drivers;
  const running = await proxy.status();
  if (running === null || running.pid === null) return null;
  const proven = await stillRuns(app, past);
  if (proven !== null) return proven.proof.unused === true ? null : proven.slot;
  const known = await proxy.known(lastProven(past));
  if (known === null) return null;
  if (!UNUSABLE.has(reason)) return null;
  return proxy.kind === 'symlink' || !isUp(slots[otherSlot(known.slot)]) ? known.slot : null;
}

const isUp = ({ state }: SlotStatus): boolean =>
  state === 'running' || state === 'orphaned' || state === 'draining';

/** What was once proven to run, and still does: its workers are the very ones of then. Null: nothing that is known. */
async function stillRuns({ drivers }: App, past: readonly DeployState[]): Promise<LastProven | null> {
  for (const each of everProven(past)) {
    const known = await drivers.proxy.known(each);
    if (known?.proven === true) return { ...each, slot: known.slot };
  }
  return null;
}

/** What open deploys, and the last one that was closed, have seen the proxy run. */
function everProven(past: readonly DeployState[]): readonly LastProven[] {
  const found: LastProven[] = [];
  const add = (slot: Slot | null, proof: ProxyProof | null): void => {
    if (slot !== null && proof !== null) found.push({ slot, proof });
  };
  for (const state of past) {
    const { from, to, proof } = state.opened;
    if (state.phase === 'closed') {
      add(state.closed.outcome === 'done' ? to : from, state.closed.proof);
      break;
    }
    const { before, switched, unswitched } = state;
    add(to, switched?.proof ?? null);
    add(from, unswitched?.proof ?? null);
    if (before !== null) add(before.named, { ...before, unused: proof?.unused === true });
    add(from, proof);
  }
  return found;
}

/** Where the last finished deploy left the site, and what the proxy ran then. */
function lastProven(past: readonly DeployState[]): LastProven | null {
  for (const state of past) {
    if (state.phase === 'closed') {
      const { opened, closed } = state;
      const slot = closed.outcome === 'done' ? opened.to : opened.from;
      return slot === null ? null : { slot, proof: closed.proof ?? UNPROVEN };
    }
    if (pastPivot(state)) return { slot: state.opened.to, proof: state.switched?.proof ?? UNPROVEN };
  }
  return null;
}

const UNPROVEN = { hash: '', workers: [] };

/** The slots alone, when the proxy cannot be read. */
function slotsOf(app: App, open: DeployState | null): AppStatus['slots'] {
  const views: Partial<Record<Slot, SlotStatus>> = {};
  for (const slot of SLOTS) {
    const view = app.drivers.pool.observe(slot);
    if (!view.ok) return null;
    views[slot] = toStatus(app, view.value, open);
  }
  const { blue, green } = views;
  return blue === undefined || green === undefined ? null : { blue, green };
}

export function toStatus(app: App, view: SlotView, open: DeployState | null): SlotStatus {
  const master = view.life?.master ?? null;
  return {
    state: drains(view, open) ? 'draining' : view.state,
    ...(master === null ? {} : { pid: master.pid, since: app.startedAt(master) }),
    listen: view.address,
    connections: view.connections,
    workers: { active: view.working, idle: view.idle },
    ...(view.holder === null ? {} : { holder: view.holder }),
    pidfile: view.pidfile,
    ...(view.retired ? { retired: true } : {}),
  };
}

/** An unfinished deploy takes this very pool down. */
const drains = (view: SlotView, open: DeployState | null): boolean =>
  open !== null && view.state === 'running' && pastPivot(open) && open.opened.from === view.slot;

function lastOf(past: readonly DeployState[]): AppStatus['last'] {
  for (const state of past) {
    if (state.phase === 'closed') return { deploy: state.opened.deploy, outcome: state.closed.outcome };
    if (pastPivot(state)) return { deploy: state.opened.deploy, outcome: 'draining' satisfies Outcome };
  }
  return null;
}

const openOf = (open: DeployState | null): AppStatus['open'] =>
  open === null ? null : { deploy: open.opened.deploy, step: standsAt(open) };

const unknown = (app: string, failure: Failure, lock: LockHolder | null = null): AppStatus => ({
  app,
  active: null,
  served: false,
  slots: null,
  last: null,
  open: null,
  lock,
  failure,
});
