/**
 * The pools of one app, started directly and run by php-fpm: ties this room's parts
 * together to what a deploy asks of a pool.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result, Slot, SlotState, Warning } from '../event.js';
import type { PoolDriver, PoolLife, SlotView } from '../drivers.js';
import { wallClock, waitUntil } from '../system/clock.js';
import { isAlive } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { Address } from '../system/sockets.js';
import { ActivityMeter } from './activity.js';
import { advice } from './advice.js';
import { findBinary } from './binary.js';
import { fingerprint } from './fingerprint.js';
import {
  childrenOf,
  connectionsOf,
  loadOf,
  look,
  masterNow,
  present,
  residents,
  staff,
  statusListeners,
} from './life.js';
import type { Staff } from './life.js';
import { readLog } from './log.js';
import type { StartLog } from './log.js';
import { askFpm } from './php-fpm.js';
import type { Asked } from './php-fpm.js';
import { lookAtPidfile, pidfileHint } from './pidfile.js';
import type { AppConfig, FpmSlot, SlotConfig } from './slots.js';
import { spell } from './slots.js';
import { restoreSocket, retireSocket, socketFile, sweepFiles } from './socket-file.js';
import { isStarting, mayStart, startArgv, startPool } from './start.js';
import { stopLife } from './stop.js';

export interface PoolOptions {
  readonly fs: Procfs;
  readonly config: AppConfig;
  /** The app's state folder: FPM's output during a start is kept there. */
  readonly folder: string;
  /** Whether we act as root. */
  readonly root: boolean;
  /** How long a start may take, ms. */
  readonly startTimeout?: number;
}

export interface Pools extends PoolDriver {
  /** Where the slots listen. */
  readonly addresses: Readonly<Record<Slot, Address>>;
  /** Where the other pools of each slot's master listen: a stop ends them, too. */
  readonly others: Readonly<Record<Slot, readonly Address[]>>;
  /** The slots as FPM reads their configuration. */
  readonly slots: Readonly<Record<Slot, FpmSlot>>;
  /** What start() refuses for, asked without starting. Changes nothing. */
  mayStart(slot: Slot): Result<void>;
}

/** Starting takes about 20 ms; a configuration with hundreds of static workers some seconds. */
const START_TIMEOUT = 10_000;
/** How long a start whose caller was killed is given to show itself: FPM needs 20 ms to be listening. */
const SETTLE_LEAST = 1000;
const SETTLE_MOST = 10_000;

/**
 * Finds the program, asks it what both slots are. Changes nothing. Fails with what askFpm and
 * findBinary fail with.
 */
export async function createPool(options: PoolOptions): Promise<Result<Pools>> {
  const { fs, config, root } = options;
  const blue = withBinary(fs, config.pool.blue, root);
  if (!blue.ok) return blue;
  const green = withBinary(fs, config.pool.green, root);
  if (!green.ok) return green;
  const asked = await askFpm({ blue: blue.value, green: green.value }, options.folder);
  return asked.ok ? ok(drive(options, asked.value)) : asked;
}

function drive(options: PoolOptions, { slots, keep }: Asked): Pools {
  const { fs, config, folder, root, startTimeout = START_TIMEOUT } = options;
  const meters = {
    blue: new ActivityMeter(fs, slots.blue),
    green: new ActivityMeter(fs, slots.green),
  };
  const logs = new Map<Slot, StartLog>();
  /** Masters seen last: where to look first, so that a look needs no scan of the process table. */
  const seen = new Map<Slot, ProcessId>();

  const observe = (slot: Slot): Result<SlotView> => {
    const view = observeSlot(fs, slots[slot], seen.get(slot)?.pid ?? 0);
    if (view.ok && view.value.life?.master) seen.set(slot, view.value.life.master);
    return view;
  };

  return {
    slots,
    addresses: { blue: slots.blue.address, green: slots.green.address },
    others: { blue: slots.blue.others, green: slots.green.others },
    address: (slot) => spell(slots[slot].address),
    observe,
    mayStart: (slot) => mayStart(fs, slots[slot]),
    load: (slot, life) => loadOf(fs, slots[slot], life),
    start: (slot) =>
      startPool(fs, slots[slot], {
        folder,
        timeout: startTimeout,
        root,
        onLog: (log) => logs.set(slot, log),
      }),
    settle: async (slot, since) => {
      const waited = await waitUntil(
        () => {
          if (isStarting(fs, slots[slot], root)) return undefined;
          const view = observe(slot);
          if (view.ok && view.value.state === 'running') return true;
          return wallClock() - since >= SETTLE_LEAST || wallClock() < since ? true : undefined;
        },
        { deadline: SETTLE_MOST },
      );
      // stopped, or starved: it may still come up, so nobody may say that it did not
      if (waited.kind !== 'seen') {
        const address = spell(slots[slot].address);
        return fail({ reason: 'start-timeout', slot, address, ms: SETTLE_MOST, log: '' });
      }
      return observe(slot);
    },
    retire: (slot) => retireSocket(fs, slots[slot]),
    unretire: (slot) => restoreSocket(fs, slots[slot]),
    stop: async (slot, life, told) => {
      const people = (): readonly ProcessId[] => peopleOf(fs, slots[slot], life);
      const master = masterNow(fs, slots[slot], life);
      const stopped = await stopLife(
        fs,
        { ...life, master },
        { slot, timeout: config.stop.timeout, told, people },
      );
      if (!stopped.ok) return stopped;
      const swept = sweepFiles(fs, slots[slot]);
      return swept.ok ? stopped : swept;
    },
    sweep: (slot) => sweepFiles(fs, slots[slot]),
    activity: (slot, life) => meters[slot].read(life, staffOf(fs, slots[slot], life)),
    log: (slot) => {
      const log = logs.get(slot);
      return log === undefined ? '' : readLog(log);
    },
    startCommand: (slot) => startArgv(slots[slot], root),
    warnings: (from, to) => advice(fs, from, slots[to], config.probe),
    fingerprint: () => {
      // a deploy: it may write into the app's folder, which those that only look may not
      keep();
      return fingerprint([slots.blue, slots.green], config, folder);
    },
  };
}

function withBinary(
  fs: Procfs,
  pool: SlotConfig,
  root: boolean,
): Result<SlotConfig & { readonly binary: string }> {
  if (pool.binary !== undefined) return ok({ ...pool, binary: pool.binary });
  const found = findBinary(fs, pool.config, { root });
  return found.ok ? ok({ ...pool, binary: found.value }) : found;
}

/** Everything that a slot is now. `last`: the pid of its master when it was looked at before. */
function observeSlot(fs: Procfs, slot: FpmSlot, last: number): Result<SlotView> {
  const own = look(fs, slot.address);
  if (!own.ok) return own;
  const all = connectionsOf(fs, slot);
  if (!all.ok) return all;
  const found = residents(fs, slot, own.value.listeners, [last, pidfileHint(slot) ?? 0]);
  if (!found.ok) return found;
  const who = found.value;
  const master = who.kind === 'pool' ? who.master : null;
  const pidfile = lookAtPidfile(fs, slot, master);
  const candidates = who.kind === 'orphans' ? who.workers : master === null ? [] : childrenOf(fs, master);
  const crew = staff(fs, candidates, new Set(all.value.listeners));
  if (!crew.ok) return crew;
  const { workers, working, idle } = crew.value;

  const file = slot.address.kind === 'unix' ? socketFile(slot.address.path) : null;
  const warnings: Warning[] = [];
  const { state, pid } = pidfile;
  if (slot.pidfile !== null && state !== 'ok' && !(state === 'missing' && who.kind === 'none')) {
    warnings.push({ reason: 'pidfile', slot: slot.slot, path: slot.pidfile, state, pid });
  }
  if (slot.address.kind === 'unix' && file === 'here' && who.kind === 'none') {
    warnings.push({ reason: 'socket-file-stale', slot: slot.slot, path: slot.address.path });
  }
  if (who.kind === 'orphans') {
    warnings.push({ reason: 'slot-orphaned', slot: slot.slot, pids: workers.map((id) => id.pid) });
  }
  return ok({
    slot: slot.slot,
    state: stateOf(who.kind, state === 'none' || state === 'missing'),
    address: spell(slot.address),
    life:
      who.kind === 'pool' || who.kind === 'orphans'
        ? { master, workers, sockets: [...all.value.listeners, ...statusListeners(fs, slot)] }
        : null,
    connections: all.value.connections,
    working,
    idle,
    pidfile: state,
    ...(slot.pidfile === null || pidfile.rival === null
      ? {}
      : { rival: { path: slot.pidfile, suspect: pidfile.rival } }),
    holder: who.kind === 'foreign' ? who.holder : null,
    retired: file === 'retired' && who.kind !== 'none',
    warnings,
  });
}

function stateOf(
  kind: 'none' | 'pool' | 'orphans' | 'foreign',
  noPidfile: boolean,
): Exclude<SlotState, 'draining'> {
  switch (kind) {
    case 'pool':
      return 'running';
    case 'orphans':
      return 'orphaned';
    case 'foreign':
      return 'foreign';
    case 'none':
      return noPidfile ? 'stopped' : 'stale-pidfile';
  }
}

function peopleOf(fs: Procfs, slot: FpmSlot, life: PoolLife): readonly ProcessId[] {
  const sockets = connectionsOf(fs, slot);
  const inodes = new Set(sockets.ok ? sockets.value.listeners : []);
  return present(fs, slot, life, masterNow(fs, slot, life), inodes).filter((id) => isAlive(fs, id));
}

function staffOf(fs: Procfs, slot: FpmSlot, life: PoolLife): Staff | null {
  const sockets = connectionsOf(fs, slot);
  if (!sockets.ok) return null;
  const inodes = new Set(sockets.value.listeners);
  const crew = staff(fs, present(fs, slot, life, masterNow(fs, slot, life), inodes), inodes);
  return crew.ok ? crew.value : null;
}
