/**
 * The pools of one app, whatever they are and whoever starts them: ties this room's parts together
 * to what a deploy asks of a pool.
 */
import { fail, ok, otherSlot, SLOTS } from '../event.js';
import type { Failed, Failure, ProcessId, Result, Slot, SlotState, Warning } from '../event.js';
import type { PoolDriver, PoolLife, SlotView, Transition } from '../drivers.js';
import { wallClock } from '../system/clock.js';
import { fileIdentity } from '../system/files.js';
import { identify, isAlive, socketsOf } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { atOneMoment } from '../system/sockets.js';
import type { Address } from '../system/sockets.js';
import { ActivityMeter } from './activity.js';
import { advice, unitAdvice } from './advice.js';
import { findBinary } from './binary.js';
import { listensElsewhere, livesOf } from './elsewhere.js';
import type { Recorded } from './elsewhere.js';
import { fingerprint } from './fingerprint.js';
import { graceOf, keepGrace } from './grace.js';
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
import type { Loaded, Residents, Staff } from './life.js';
import { markLog } from './log.js';
import type { StartLog } from './log.js';
import { managerOf } from './manager.js';
import type { Manager } from './manager.js';
import { askFpm, faultOf, testFpm } from './php-fpm.js';
import type { Asked, Remembered } from './php-fpm.js';
import { lookAtPidfile, pidfileHint } from './pidfile.js';
import { holds, suspect } from './processes.js';
import { longestEnd, reloadPool, transitionOf } from './reload.js';
import { reopenLogs } from './reopen.js';
import { sayServer, sayServers } from './say-servers.js';
import { isNamed } from './servers.js';
import type { AppConfig, FpmPool, FpmSlot, PoolSlot } from './slots.js';
import { spell } from './slots.js';
import {
  isNameless,
  moveAway,
  reachable,
  restoreSocket,
  retireSocket,
  socketFile,
  sweepFiles,
} from './socket-file.js';
import { livesAt } from './several.js';
import { createSettling } from './settle.js';
import { aliveElsewhere, mayStart, startPool } from './start.js';
import { stopLife } from './stop.js';
import { readUnits } from './systemd.js';
import type { Unit } from './unit.js';
import { isStillAtWork } from './waiting.js';

export interface PoolOptions {
  readonly fs: Procfs;
  readonly config: AppConfig;
  /** The app's state folder: the output of a start is kept there. */
  readonly folder: string;
  /** Whether we act as root. */
  readonly root: boolean;
  /** How long a start may take, ms. */
  readonly startTimeout?: number;
  /** Whom the journal knows to have lived in a slot last. */
  readonly recorded?: Recorded;
  /** A slot whose configuration is broken is taken as it was at the last deploy. */
  readonly memory?: boolean;
  /** How long each program that is asked may take to say what it knows, ms; unless said what a host that is busy needs. */
  readonly patience?: number | undefined;
}

export interface Pools extends PoolDriver {
  /** Where the slots listen. */
  readonly addresses: Readonly<Record<Slot, Address>>;
  /** Where the other pools of each slot's master listen: a stop ends them, too. */
  readonly others: Readonly<Record<Slot, readonly Address[]>>;
  /** The slots as FPM reads their configuration, or as the app's says of another server. */
  readonly slots: Readonly<Record<Slot, PoolSlot>>;
  /** Slots whose configuration is broken by now: what is known of them is from the last deploy. */
  readonly remembered: readonly Remembered[];
  /** What start() refuses for, asked without starting. Changes nothing. */
  mayStart(slot: Slot): Result<void>;
}

/** Starting takes about 20 ms; a configuration with hundreds of static workers some seconds. */
const START_TIMEOUT = 10_000;
/**
 * Asks systemd for the units, where there are some, finds FPM's program and asks it what both slots are. Changes
 * nothing. Fails with what readUnits, askFpm, sayServers and findBinary fail with.
 */
export async function createPool(options: PoolOptions): Promise<Result<Pools>> {
  const { fs, config, root, patience } = options;
  const began = wallClock();
  const units = await unitsOf(config, root, patience);
  if (!units.ok) return units;
  const asked = await slotsOf(options, units.value);
  if (!asked.ok) return asked;
  const { slots } = asked.value;
  const manager = (slot: Slot): Manager =>
    managerOf({
      fs,
      slot: slots[slot],
      managed: config.pool[slot],
      folder: options.folder,
      unit: units.value?.[slot] ?? null,
      root,
    });
  const managers = { blue: manager('blue'), green: manager('green') };
  return ok(drive({ ...options, began }, asked.value, managers, units.value));
}

/** Why createPool() fails, of either slot: it ends at the first. Nothing where the slots are fine, each by itself. */
export async function faults({
  fs,
  config,
  folder,
  root,
  patience,
}: PoolOptions): Promise<readonly Failure[]> {
  const units = await unitsOf(config, root, patience);
  if (!units.ok) return [units.failure];
  const found = SLOTS.map(async (slot) => {
    const own = config.pool[slot];
    const unit = units.value?.[slot];
    if (own.kind === 'fastcgi') {
      const said = await sayServer(slot, own, unit);
      return said.ok ? [] : [said.failure];
    }
    const pool = withBinary(fs, own, unit, root);
    if (!pool.ok) return [pool.failure];
    return (await faultOf(slot, pool.value, folder, patience)) ?? [];
  });
  return (await Promise.all(found)).flat();
}

type Units = Readonly<Record<Slot, Unit>> | null;

async function unitsOf(
  { pool }: AppConfig,
  root: boolean,
  timeout: number | undefined,
): Promise<Result<Units>> {
  const { blue, green } = pool;
  if (blue.manager !== 'systemd' || green.manager !== 'systemd') return ok(null);
  return readUnits({ blue: blue.unit, green: green.unit }, { root, timeout });
}

async function slotsOf(options: PoolOptions, units: Units): Promise<Result<Asked>> {
  const { fs, config, folder, root, memory = false, patience } = options;
  const { blue, green } = config.pool;
  if (blue.kind === 'fastcgi' && green.kind === 'fastcgi') {
    const said = await sayServers({ blue, green }, units);
    return said.ok ? ok({ slots: said.value, keep: () => undefined, remembered: [] }) : said;
  }
  if (blue.kind === 'fastcgi' || green.kind === 'fastcgi') throw new Error('slots of two kinds');
  const first = withBinary(fs, blue, units?.blue, root);
  if (!first.ok) return first;
  const second = withBinary(fs, green, units?.green, root);
  if (!second.ok) return second;
  const how = { memory, ...(patience === undefined ? {} : { patience }) };
  return askFpm({ blue: first.value, green: second.value }, folder, how);
}

function drive(
  options: PoolOptions & { readonly began: number },
  { slots, keep, remembered }: Asked,
  managers: Readonly<Record<Slot, Manager>>,
  units: Units,
): Pools {
  const { fs, config, folder, began, recorded = nobody, startTimeout = START_TIMEOUT } = options;
  const meters = {
    blue: new ActivityMeter(fs, slots.blue),
    green: new ActivityMeter(fs, slots.green),
  };
  const logs = new Map<Slot, StartLog>();
  /** Who was seen last: where to look first, so that a look needs no scan of the process table. */
  const last = new Map<Slot, PoolLife>();
  /** The socket file that each life was first seen with. */
  const files = new Map<string, string>();
  /** Who was at work when its load was looked at last. */
  const atWork = new Map<Slot, Loaded>();
  /** Where its pools listen: its sockets without those of status pages. */
  const listeners = new Map<string, readonly number[]>();
  const lifeKey = (slot: Slot, socket: number): string => `${slot} ${String(socket)}`;

  /** Whether the file at the slot's path is not the one that the pool was first seen with: nobody comes to it any more. */
  const replaced = (slot: Slot, sockets: readonly number[] = []): boolean => {
    const { address } = slots[slot];
    const file = address.kind === 'unix' ? fileIdentity(address.path) : null;
    if (file === null || sockets[0] === undefined) return false;
    const life = lifeKey(slot, sockets[0]);
    if (!files.has(life)) files.set(life, file);
    return files.get(life) !== file;
  };

  /**
   * As PoolDriver.stands, from what the master holds and the file alone. An inode of a socket stays with the address
   * that it was bound to, and of two that were bound to one path the file is the later one's.
   */
  const stands = (slot: Slot, { master, sockets = [] }: PoolLife): boolean => {
    const { address } = slots[slot];
    const [own] = sockets;
    // a port may be shared (SO_REUSEPORT), which no file tells
    if (address.kind === 'tcp' || master === null || own === undefined || !isAlive(fs, master)) return false;
    const held = new Set(socketsOf(fs, master.pid)?.values());
    if (!sockets.every((inode) => held.has(inode))) return false;
    const file = fileIdentity(address.path);
    return file !== null && files.get(lifeKey(slot, own)) === file;
  };

  const note = (slot: Slot, life: PoolLife, own: readonly number[]): void => {
    last.set(slot, life);
    const [first] = life.sockets ?? [];
    if (first !== undefined) listeners.set(lifeKey(slot, first), own);
  };

  /** The workers of a life as they are now; null when they cannot be observed. */
  const staffNow = (slot: Slot, life: PoolLife): Staff | null => {
    const key = lifeKey(slot, life.sockets?.[0] ?? 0);
    const known = listeners.get(key) ?? listenersOf(fs, slots[slot]);
    if (known === null) return null;
    if (known.includes(life.sockets?.[0] ?? 0)) listeners.set(key, known);
    return staffOf(fs, slots[slot], life, known);
  };

  /** How many of some workers wait for a connection to the slot's own address. */
  const idleOf = (slot: Slot, all: Staff | null): number => {
    if (all === null || slots[slot].others.length === 0) return all?.idle ?? 0;
    const own = look(fs, slots[slot].address);
    const crew = own.ok ? staff(fs, slots[slot], all.workers, new Set(own.value.listeners)) : own;
    return crew.ok ? crew.value.idle : 0;
  };

  const livesNow = (slot: Slot): readonly ProcessId[] =>
    livesOf(fs, slots[slot], slots[otherSlot(slot)], recorded);

  const observe = (slot: Slot, moment = atOneMoment(fs)): Result<SlotView> => {
    const [own, other] = [slots[slot], slots[otherSlot(slot)]];
    const before = last.get(slot);
    const hints = before === undefined ? [] : before.master === null ? before.workers : [before.master];
    const view = observeSlot(moment, own, other, hints.map(toPid));
    if (!view.ok) return view;
    const { life } = view.value;
    if (life === null) {
      const away = livesNow(slot).filter((id) => listensElsewhere(moment, id, own, other));
      return away.length > 0 ? fail(aliveElsewhere(own, away)) : view;
    }
    const ofStatus = statusListeners(moment, own);
    note(
      slot,
      life,
      (life.sockets ?? []).filter((inode) => !ofStatus.includes(inode)),
    );
    return replaced(slot, life.sockets) ? ok(withoutName(slots[slot], view.value)) : view;
  };

  const connectionsNow = (slot: Slot): Result<{ held: readonly number[]; queued: number }> => {
    // one table, for one address, need not be kept
    const seen = connectionsOf(slots[slot].others.length === 0 ? fs : atOneMoment(fs), slots[slot]);
    if (!seen.ok) return seen;
    const { held, connections } = seen.value;
    return ok({ held, queued: connections.queued });
  };

  const fpm = (slot: Slot): FpmSlot | null => {
    const own = slots[slot];
    return own.kind === 'php-fpm' ? own : null;
  };
  const unable = (slot: Slot, verb: 'reload' | 'reopen-logs'): Failed =>
    fail({ reason: 'pool-unable', slot, verb, kind: slots[slot].kind });
  const masterOf = (slot: Slot): ProcessId | null => {
    const view = observe(slot);
    return view.ok ? (view.value.life?.master ?? null) : null;
  };
  const patience = (slot: Slot, master = masterOf(slot)): number => {
    const own = fpm(slot);
    const least = own === null ? 0 : longestEnd(graceOf(fs, own, folder, master).longest);
    return Math.max(config.stop.timeout, least);
  };
  const keepRun = (slot: Slot, { master }: PoolLife): void => {
    const own = fpm(slot);
    if (own !== null) keepGrace(fs, own, folder, { master, asked: began });
  };
  const transition = (slot: Slot): Result<Transition | null> =>
    transitionOf(fs, slots[slot], managers[slot].startCommand);

  const settling = createSettling({ fs, slots, managers, startTimeout, observe, transition, patience });

  return {
    slots,
    remembered,
    addresses: { blue: slots.blue.address, green: slots.green.address },
    others: { blue: slots.blue.others, green: slots.green.others },
    address: (slot) => spell(slots[slot].address),
    observe: (slot) => observe(slot),
    observeBoth: () => {
      const moment = atOneMoment(fs);
      const [blue, green] = [observe('blue', moment), observe('green', moment)];
      // its listener was another's by the time that its processes were looked at
      const isOld = (view: Result<SlotView>): boolean =>
        view.ok && view.value.state === 'foreign' && view.value.holder === null;
      return { blue: isOld(blue) ? observe('blue') : blue, green: isOld(green) ? observe('green') : green };
    },
    stands,
    mayStart: (slot) => mayStart(fs, slots[slot], livesNow(slot)),
    reach: (slot, user) => reachable(slots[slot], user),
    connections: connectionsNow,
    load: (slot, life) => {
      const seen = loadOf(fs, slots[slot], life);
      if (!seen.ok) return seen;
      atWork.set(slot, seen.value);
      return ok(seen.value.load);
    },
    works: (slot, more) => {
      if (slots[slot].kind === 'fastcgi') {
        const seen = connectionsNow(slot);
        return seen.ok && seen.value.held.length + seen.value.queued > more;
      }
      const seen = atWork.get(slot);
      if (seen === undefined) return false;
      let count = 0;
      return seen.busy.some((id) => isStillAtWork(fs, id, seen.listeners) && ++count > more);
    },
    isAlive: (slot, life) => {
      if (life.master !== null && isAlive(fs, life.master)) return ok(true);
      const seen = loadOf(fs, slots[slot], life);
      return seen.ok ? ok(seen.value.load.alive) : seen;
    },
    start: async (slot) => {
      const started = await startPool(fs, slots[slot], {
        manager: managers[slot],
        folder,
        timeout: startTimeout,
        lives: () => livesNow(slot),
        onLog: (log) => logs.set(slot, log),
      });
      if (!started.ok) return started;
      const { life, listeners: own } = started.value;
      replaced(slot, life.sockets);
      note(slot, life, own);
      keepRun(slot, life);
      return ok(life);
    },
    settle: settling.settle,
    retire: (slot) => {
      const { address } = slots[slot];
      const known = last.get(slot);
      if (address.kind === 'unix' && known !== undefined && stands(slot, known))
        return moveAway(address.path);
      const moment = atOneMoment(fs);
      const own = look(moment, address);
      // what stands there in the place of its socket is somebody else's
      if (own.ok && replaced(slot, own.value.listeners)) return ok(undefined);
      return retireSocket(moment, slots[slot]);
    },
    unretire: (slot) => restoreSocket(fs, slots[slot]),
    stop: async (slot, life, told, how) => {
      let moment = atOneMoment(fs);
      const once = (): readonly ProcessId[] => {
        moment = atOneMoment(fs);
        return peopleOf(moment, slots[slot], life);
      };
      const people = (): readonly ProcessId[] => {
        const found = once();
        // one reading can pass over an entry
        return found.length > 0 ? found : once();
      };
      const master = masterNow(fs, slots[slot], life);
      const now = { ...life, master };
      const pidfile = lookAtPidfile(fs, slots[slot], master ?? namedBy(fs, slots[slot], life.workers));
      const trusted = ['ok', 'none'].includes(pidfile.state);
      const ladder = managers[slot].ladder(now, told, { trusted, force: how === 'force' });
      const { timeout } = config.stop;
      const first = how === 'patient' ? patience(slot, master) : timeout;
      const stopped = await stopLife(fs, now, { slot, timeout, patience: first, told, people, ladder });
      if (!stopped.ok) return stopped;
      const off = await settling.quiet(slot);
      if (!off.ok) return off;
      // who listens by then is asked by a connection; a manager may have taken its time
      const swept = await sweepFiles(managers[slot].bare ? moment : fs, slots[slot]);
      return swept.ok ? stopped : swept;
    },
    patience: (slot) => patience(slot),
    grace: (slot) => {
      const own = fpm(slot);
      return own === null ? 0 : graceOf(fs, own, folder, masterOf(slot)).known;
    },
    transition,
    steady: settling.steady,
    able: (slot, verb) => (fpm(slot) === null ? unable(slot, verb) : ok(undefined)),
    test: (slot) => {
      const asked = fpm(slot);
      return asked === null ? Promise.resolve(ok(undefined)) : testFpm(asked, options.patience);
    },
    reload: async (slot, life, told) => {
      const own = fpm(slot);
      if (own === null) return unable(slot, 'reload');
      const log = markLog(null, own.errorLog);
      logs.set(slot, log);
      const timeout = patience(slot, life.master) + startTimeout;
      const words = (): Promise<string> => managers[slot].words(log);
      const command = managers[slot].startCommand;
      const reloaded = await reloadPool(fs, own, life, { command, timeout, words, told });
      if (reloaded.ok) keepRun(slot, reloaded.value);
      return reloaded;
    },
    reopenLogs: async (slot, life) => {
      const own = fpm(slot);
      return own === null ? unable(slot, 'reopen-logs') : reopenLogs(fs, own, life, config.stop.timeout);
    },
    sweep: (slot) => sweepFiles(fs, slots[slot]),
    isKept: settling.isKept,
    halt: settling.halt,
    activity: (slot, life) => {
      const seen = staffNow(slot, life);
      return meters[slot].read(life, seen === null ? null : { ...seen, idle: idleOf(slot, seen) });
    },
    log: async (slot) => {
      const log = logs.get(slot);
      return log === undefined ? '' : managers[slot].words(log);
    },
    startCommand: (slot) => managers[slot].startCommand,
    stopBegins: (slot) => {
      const command = managers[slot].stopCommand;
      return command === null
        ? { signal: slots[slot].kind === 'php-fpm' ? 'SIGQUIT' : 'SIGTERM' }
        : { command };
    },
    warnings: (from, to) => [
      ...advice(fs, from, slots[to], config.probe),
      ...(units === null ? [] : unitAdvice(units, slots[to])),
    ],
    remember: keep,
    fingerprint: () => {
      const files = [...managers.blue.files, ...managers.green.files];
      return fingerprint([slots.blue, slots.green], { ...config, files }, folder);
    },
  };
}

/** With its program; a unit's environment is the unit's own. */
function withBinary(
  fs: Procfs,
  pool: FpmPool,
  unit: Unit | undefined,
  root: boolean,
): Result<FpmPool & { readonly binary: string }> {
  const env = unit?.environment ?? pool.env;
  if (pool.binary !== undefined) return ok({ ...pool, env, binary: pool.binary });
  const found = findBinary(fs, pool.config, { root });
  return found.ok ? ok({ ...pool, env, binary: found.value }) : found;
}

/**
 * Everything that a slot is now. `last`: pids that held its socket when it was looked at before. Fails with
 * `slots-one-master` where its master listens for the other slot, too.
 */
function observeSlot(fs: Procfs, slot: PoolSlot, other: PoolSlot, last: readonly number[]): Result<SlotView> {
  const own = look(fs, slot.address);
  if (!own.ok) return own;
  const all = connectionsOf(fs, slot);
  if (!all.ok) return all;
  const found = residents(fs, slot, own.value.listeners, [...last, pidfileHint(slot) ?? 0]);
  if (!found.ok) return found;
  const who = found.value;
  const both = sharedBy(fs, who, other);
  if (both !== null) return both;
  const master = who.kind === 'pool' ? who.master : null;
  const servers = who.kind === 'servers' ? who.processes : [];
  const pidfile = lookAtPidfile(fs, slot, master ?? namedBy(fs, slot, servers));
  const candidates =
    who.kind === 'orphans' ? who.workers : master === null ? servers : childrenOf(fs, master);
  const crew = staff(fs, slot, candidates, new Set(all.value.listeners));
  if (!crew.ok) return crew;
  const { workers, working, idle } = crew.value;

  const several = who.kind === 'foreign' ? livesAt(fs, slot.address) : [];
  const file = slot.address.kind === 'unix' ? socketFile(slot.address.path) : null;
  const warnings: Warning[] = [];
  const { state, pid } = pidfile;
  if (slot.pidfile !== null && state !== 'ok' && !(state === 'missing' && who.kind === 'none')) {
    warnings.push({ reason: 'pidfile', slot: slot.slot, path: slot.pidfile, state, pid });
  }
  if (slot.address.kind === 'unix' && file === 'here' && who.kind === 'none') {
    warnings.push({ reason: 'socket-file-stale', slot: slot.slot, path: slot.address.path });
  }
  const path = slot.address.kind === 'unix' ? slot.address.path : null;
  const lives = who.kind !== 'none' && who.kind !== 'foreign';
  const lost = path !== null && lives && file !== 'here' && file !== 'retired' && isNameless(path);
  if (lost) warnings.push({ reason: 'socket-file-gone', slot: slot.slot, path });
  if (who.kind === 'orphans') {
    warnings.push({ reason: 'slot-orphaned', slot: slot.slot, pids: workers.map((id) => id.pid) });
  }
  return ok({
    slot: slot.slot,
    state: stateOf(who.kind, state === 'none' || state === 'missing'),
    address: spell(slot.address),
    life:
      who.kind === 'none' || who.kind === 'foreign'
        ? null
        : { master, workers, sockets: [...all.value.listeners, ...statusListeners(fs, slot)] },
    connections: all.value.connections,
    working,
    idle,
    pidfile: state,
    ...(slot.pidfile === null || pidfile.rival === null
      ? {}
      : { rival: { path: slot.pidfile, suspect: pidfile.rival } }),
    holder: who.kind === 'foreign' ? who.holder : null,
    ...(several.length > 0 ? { lives: several } : {}),
    retired: file === 'retired' && who.kind !== 'none',
    lost,
    warnings,
  });
}

/** As observeSlot() says of a pool whose socket file is gone. */
function withoutName({ slot, address }: PoolSlot, view: SlotView): SlotView {
  if (address.kind === 'tcp' || view.lost) return view;
  const warning: Warning = { reason: 'socket-file-gone', slot, path: address.path };
  return { ...view, lost: true, warnings: [...view.warnings, warning] };
}

/** Both slots in one life: whatever ends the one ends the other. Two pools of Debian's one unit are such. */
function sharedBy(fs: Procfs, who: Residents, other: PoolSlot): Failed | null {
  const pid =
    who.kind === 'pool'
      ? who.master.pid
      : who.kind === 'servers'
        ? who.processes[0]?.pid
        : who.kind === 'foreign'
          ? who.holder?.pid
          : undefined;
  if (pid === undefined) return null;
  const seen = look(fs, other.address);
  if (!seen.ok || !holds(fs, pid, new Set(seen.value.listeners))) return null;
  return fail({ reason: 'slots-one-master', what: 'master', unit: null, master: suspect(fs, pid) });
}

/** Whom the pidfile of a server without a master may name: one of its processes, or the parent that keeps them. */
function namedBy(fs: Procfs, slot: PoolSlot, processes: readonly ProcessId[]): ProcessId | null {
  const hint = slot.kind === 'fastcgi' ? pidfileHint(slot) : null;
  const named = processes.some(({ pid }) => isNamed(fs, slot, pid));
  return hint !== null && named ? identify(fs, hint) : null;
}

function stateOf(kind: Residents['kind'], noPidfile: boolean): Exclude<SlotState, 'draining'> {
  switch (kind) {
    case 'pool':
    case 'servers':
      return 'running';
    case 'orphans':
      return 'orphaned';
    case 'foreign':
      return 'foreign';
    case 'none':
      return noPidfile ? 'stopped' : 'stale-pidfile';
  }
}

function peopleOf(fs: Procfs, slot: PoolSlot, life: PoolLife): readonly ProcessId[] {
  const listeners = (): readonly number[] => {
    const sockets = connectionsOf(fs, slot);
    return sockets.ok ? sockets.value.listeners : [];
  };
  return present(fs, slot, life, masterNow(fs, slot, life), listeners).filter((id) => isAlive(fs, id));
}

function staffOf(fs: Procfs, slot: PoolSlot, life: PoolLife, listeners: readonly number[]): Staff | null {
  const moment = atOneMoment(fs);
  const people = present(moment, slot, life, masterNow(moment, slot, life), () => listeners);
  const crew = staff(fs, slot, people, new Set(listeners));
  return crew.ok ? crew.value : null;
}

function listenersOf(fs: Procfs, slot: PoolSlot): readonly number[] | null {
  const seen = connectionsOf(atOneMoment(fs), slot);
  return seen.ok ? seen.value.listeners : null;
}

/** For who has no journal to ask. */
const nobody: Recorded = () => [];

const toPid = ({ pid }: ProcessId): number => pid;
