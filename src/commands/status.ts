/** What /proc, the sockets, nginx and the journal say, side by side. Looks only; takes no lock. */
import { activeSlot } from '../deploy/plan.js';
import { pastPivot, standsAt } from '../deploy/state.js';
import type { DeployState } from '../deploy/state.js';
import type { AppFile } from '../config/apps.js';
import type { App } from '../context.js';
import type { Session } from '../session.js';
import { waitUntil } from '../system/clock.js';
import type { LastProven, SlotView } from '../drivers.js';
import { otherSlot, SLOTS } from '../event.js';
import type {
  AppStatus,
  CommandResult,
  Failure,
  FailureReason,
  LockHolder,
  Outcome,
  ProxyStatus,
  Slot,
  SlotStatus,
} from '../event.js';
import { SIGNALLED } from './outcome.js';
import { survey } from './survey.js';

/** Looks once. Exit 0 when every app asked about is served, else 1. `told`: what was warned of before. */
export async function status(
  session: Pick<Session, 'open'>,
  files: readonly AppFile[],
  told: Told = new Map(),
): Promise<CommandResult> {
  const apps: AppStatus[] = [];
  let nginx: ProxyStatus | null = null;
  for (const file of files) {
    const opened = await session.open(file);
    if (!opened.ok) {
      apps.push(unknown(file.app, opened.failure));
      continue;
    }
    apps.push(await statusOf(opened.value, told));
    nginx ??= await opened.value.drivers.proxy.status();
  }
  const missing = apps.filter((app) => !app.served).map((app) => app.app);
  const base = { command: 'status', apps, nginx } as const;
  if (missing.length === 0) return { ...base, exit: 0 };
  return { ...base, exit: 1, failure: { reason: 'not-serving', apps: missing } };
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

/** By app, why the look before had to do without nginx's files. */
type Told = Map<string, FailureReason>;

async function statusOf(app: App, told: Told): Promise<AppStatus> {
  const owned = app.store.inspect(app.config.file);
  if (!owned.ok) return unknown(app.name, owned.failure);
  const past = [...app.store.newestFirst()].flatMap((state) => (state.ok ? [state.value] : []));
  const open = past.find((state) => state.phase !== 'closed') ?? null;
  const lock = app.lockHolder();
  const looked = await survey(app, 'start', null);
  const base = { app: app.name, last: lastOf(past), open: openOf(open), lock };
  if (!looked.ok) {
    const { failure } = looked;
    const slots = slotsOf(app, open);
    const active = slots === null ? null : await withoutConfig(app, past, slots, failure);
    const served = active !== null && slots !== null && isUp(slots[active]);
    if (!served) return { ...base, active, served, slots, failure };
    if (told.get(app.name) !== failure.reason) {
      app.emit({ type: 'warning', warning: { reason: 'nginx-config-unusable', cause: failure } });
    }
    told.set(app.name, failure.reason);
    return { ...base, active, served, slots };
  }
  told.delete(app.name);
  const active = activeSlot(looked.value);
  const { slots, proxy } = looked.value;
  const life = slots[active].life !== null && !slots[active].retired;
  return {
    ...base,
    active,
    served: life && proxy.active === active,
    slots: { blue: toStatus(app, slots.blue, open), green: toStatus(app, slots.green, open) },
  };
}

/** Why the proxy's files say nothing of what it runs: it cannot run them itself. */
const UNUSABLE: ReadonlySet<FailureReason> = new Set<FailureReason>([
  'nginx-config-broken',
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
  const known = await proxy.known(lastProven(past));
  if (running === null || running.pid === null || known === null) return null;
  if (known.proven) return known.slot;
  if (!UNUSABLE.has(reason)) return null;
  return proxy.kind === 'symlink' || !isUp(slots[otherSlot(known.slot)]) ? known.slot : null;
}

const isUp = ({ state }: SlotStatus): boolean =>
  state === 'running' || state === 'orphaned' || state === 'draining';

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
