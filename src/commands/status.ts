/** What /proc, the sockets, nginx and the journal say, side by side. Looks only; takes no lock. */
import { activeSlot } from '../deploy/plan.js';
import { pastPivot, standsAt } from '../deploy/state.js';
import type { DeployState } from '../deploy/state.js';
import type { AppFile } from '../config/apps.js';
import type { App } from '../context.js';
import type { Session } from '../session.js';
import { waitUntil } from '../system/clock.js';
import type { SlotView } from '../drivers.js';
import { SLOTS } from '../event.js';
import type {
  AppStatus,
  CommandResult,
  Failure,
  LockHolder,
  Outcome,
  ProxyStatus,
  Slot,
  SlotStatus,
} from '../event.js';
import { survey } from './survey.js';

/** Looks once. Exit 0 when every app asked about is served, else 1. */
export async function status(
  session: Pick<Session, 'open'>,
  files: readonly AppFile[],
): Promise<CommandResult> {
  const apps: AppStatus[] = [];
  let nginx: ProxyStatus | null = null;
  for (const file of files) {
    const opened = await session.open(file);
    if (!opened.ok) {
      apps.push(unknown(file.app, opened.failure));
      continue;
    }
    apps.push(await statusOf(opened.value));
    nginx ??= await opened.value.drivers.proxy.status();
  }
  const missing = apps.filter((app) => !app.served).map((app) => app.app);
  const base = { command: 'status', apps, nginx } as const;
  if (missing.length === 0) return { ...base, exit: 0 };
  return { ...base, exit: 1, failure: { reason: 'not-serving', apps: missing } };
}

/** Looks again every second and shows it, until a signal comes; the last look is the result. */
export async function watch(session: Session, files: readonly AppFile[]): Promise<CommandResult> {
  let latest = await status(session, files);
  await waitUntil(
    async () => {
      session.show(latest);
      latest = await status(session, files);
      return undefined;
    },
    { deadline: Infinity, signal: session.surroundings.interruption.signal, pace: () => 1000 },
  );
  return latest;
}

async function statusOf(app: App): Promise<AppStatus> {
  const owned = app.store.inspect(app.config.file);
  if (!owned.ok) return unknown(app.name, owned.failure);
  const past = [...app.store.newestFirst()].flatMap((state) => (state.ok ? [state.value] : []));
  const open = past.find((state) => state.phase !== 'closed') ?? null;
  const lock = app.lockHolder();
  const looked = await survey(app, 'start', null);
  const base = { app: app.name, last: lastOf(past), open: openOf(open), lock };
  if (!looked.ok)
    return { ...base, active: null, served: false, slots: slotsOf(app, open), failure: looked.failure };
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

function toStatus(app: App, view: SlotView, open: DeployState | null): SlotStatus {
  const master = view.life?.master ?? null;
  return {
    state: drains(view, open) ? 'draining' : view.state,
    ...(master === null ? {} : { pid: master.pid, since: app.startedAt(master) }),
    listen: view.address,
    connections: view.connections,
    workers: { active: view.working, idle: view.idle },
    ...(view.holder === null ? {} : { holder: view.holder }),
    pidfile: view.pidfile,
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
