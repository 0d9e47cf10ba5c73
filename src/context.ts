/**
 * The composition root: from one app's configuration to the drivers, the journal, the locks
 * and the voice that its commands work with. Wires; decides nothing.
 */
import { join } from 'node:path';
import { loadConfig } from './config.js';
import type { AppFile } from './config/apps.js';
import type { Config } from './config/resolve.js';
import type { Interruption } from './deploy/deploy.js';
import { JournalStore } from './deploy/journal.js';
import type { Patient } from './doctor/subject.js';
import type { Drivers, ProxyControl, ProxySwitch, UpgradeEnd, VerifyDriver } from './drivers.js';
import { fail, ok, SLOTS } from './event.js';
import type { Emit, Event, EventBody, Failure, LockHolder, ProcessId, Result, Slot } from './event.js';
import { createTester } from './nginx/config-tree.js';
import type { Tester } from './nginx/config-tree.js';
import { createRewrite } from './nginx/rewrite.js';
import type { ProxyOptions } from './nginx/running.js';
import { createSharedProof } from './nginx/shared-proof.js';
import type { SharedProof } from './nginx/shared-proof.js';
import { createSymlink } from './nginx/symlink.js';
import { createPool, faults } from './pool/driver.js';
import { createProbe } from './pool/probe.js';
import { spell } from './pool/slots.js';
import { now, timestamp } from './system/clock.js';
import { inTurns } from './system/turns.js';
import type { Lock } from './system/lock.js';
import { createLocks } from './system/locks.js';
import { exists } from './system/files.js';
import { anyUpgrade, places, proxyProof, proxyUpgrade, safeState } from './system/places.js';
import { identify, procfs, startedAt } from './system/proc.js';

/** What the process was given: everything that is not the app's. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
  readonly who: string;
  /** The command line, for those who find our locks taken. */
  readonly command: string;
  readonly emit: (event: Event) => void;
  readonly interruption: Interruption;
}

export interface Past {
  /** The app's YAML. */
  readonly file: string;
  readonly store: JournalStore;
  /** As root, somebody else could have written it: `unsafe-path`. */
  readonly safe: Result<void>;
}

/** One app, ready to be worked with. */
export interface App {
  readonly name: string;
  readonly config: Config;
  readonly store: JournalStore;
  readonly drivers: Drivers;
  readonly emit: Emit;
  readonly interruption: Interruption;
  readonly who: string;
  readonly runner: ProcessId;
  /** The app's lock and both slots' real addresses, or who has one of them. */
  lock(): Promise<Result<Lock>>;
  /** The app's lock alone, and its slots': for those who have to wait, and open the app again in between. */
  lockName(wait: number): Promise<Result<Lock>>;
  lockSlots(): Promise<Result<Lock>>;
  /** The app as its files say now. */
  reopen(): Promise<Result<App>>;
  lockHolder(): LockHolder | null;
  /** Ends an upgrade of the proxy's binary that broke off, under the proxy's lock. */
  endUpgrade(): Promise<Result<UpgradeEnd>>;
  /** From now on events belong to this deploy. */
  enter(deploy: string): void;
  /** RFC 3339 */
  startedAt(id: ProcessId): string;
  /** ms since the app was opened. */
  elapsed(): number;
}

export interface Opening {
  /** A pool whose configuration is broken is taken as it was at the last deploy: for what can do without the new one. */
  readonly memory?: boolean;
}

/** Reads an app's configuration and asks its pools what they are. Touches nothing. */
export async function openApp(
  file: string,
  surroundings: Surroundings,
  { memory = false }: Opening = {},
): Promise<Result<App>> {
  const began = now();
  const { env, uid, emit } = surroundings;
  const root = uid === 0;
  const loaded = loadConfig(file, { root });
  if (!loaded.ok) return loaded;
  const config = loaded.value;
  const fs = procfs();
  const where = places(env, uid);
  const folder = join(where.state, config.app);
  const safe = safeState(folder, uid);
  if (!safe.ok) return safe;

  let deploy: string | null = null;
  const stamped: Emit = (body) => {
    emit({ ...body, time: timestamp(), app: config.app, ...(deploy === null ? {} : { deploy }) });
  };

  // php-fpm is asked by processes of its own: what else takes a while is done meanwhile
  const store = new JournalStore(folder);
  const asked = createPool({ fs, config, folder, root, memory, recorded: recordedIn(store) });
  const verify = await verifyOf(config);
  const pool = await asked;
  if (!pool.ok) return pool;
  for (const { slot, file } of pool.value.remembered) {
    stamped({ type: 'warning', warning: { reason: 'pool-config-remembered', slot, file } });
  }
  const { addresses, others } = pool.value;
  const both = SLOTS.map((slot) => addresses[slot]);
  const shared = (key: string): SharedProof => createSharedProof(proxyProof(where.locks, key));
  const options = { procfs: fs, nginx: config.nginx, addresses, others, root, shared };
  const switching = createProxy(config, options);
  if (!switching.ok) return switching;
  const proxy = switching.value;
  const probe = createProbe({ config, pool: pool.value, proxyUser: () => proxy.workerUser() });
  const locks = createLocks(where, surroundings);
  const drivers: Drivers = {
    pool: pool.value,
    proxy,
    probe,
    verify,
    lockProxy: async () => {
      const key = await proxy.lockKey();
      return key.ok ? locks.takeProxy(key.value, config.nginx.reloadTimeout) : key;
    },
    drain: config.drain,
    verifyTimeout: config.probe.timeout,
  };
  return ok({
    name: config.app,
    config,
    store,
    drivers,
    emit: stamped,
    interruption: surroundings.interruption,
    get who() {
      return surroundings.who;
    },
    runner: identify(fs, process.pid) ?? { boot: fs.bootId, pid: process.pid, start: 0 },
    lock: () => locks.takeApp(config.app, both, 0, surroundings.interruption.signal),
    lockName: (wait) => locks.takeName(config.app, wait, surroundings.interruption.signal),
    lockSlots: () => locks.takeSlots(both),
    reopen: () => openApp(file, surroundings, { memory }),
    lockHolder: () => locks.holder(config.app),
    endUpgrade: async () => {
      const key = await proxy.lockKey();
      // which nginx is meant cannot be told: neither can it whether an upgrade of it is pending, if one is
      if (!key.ok) return anyUpgrade(where.locks) ? key : ok('none');
      if (!exists(proxyUpgrade(where.locks, key.value))) return ok('none');
      const control = await controlOf([config], surroundings);
      const lock = await locks.takeProxy(key.value, config.nginx.reloadTimeout);
      if (!lock.ok) return lock;
      try {
        return await control.recoverUpgrade();
      } finally {
        lock.value.release();
      }
    },
    enter: (id) => {
      deploy = id;
    },
    startedAt: (id) => new Date(startedAt(fs, id)).toISOString(),
    elapsed: () => now() - began,
  });
}

/** The proxy of some apps, for its control script. */
export interface Proxy {
  readonly apps: readonly string[];
  readonly control: ProxyControl;
  lock(): Promise<Result<Lock>>;
}

/**
 * The one proxy that the apps name; their pools are not asked. An app whose configuration is broken names none, which
 * is told with `leaveOut`. Fails with `proxies-differ` when there are several, and as loadConfig does when all are broken.
 */
export async function openProxy(
  files: readonly AppFile[],
  surroundings: Surroundings,
  leaveOut: (app: string, failure: Failure) => void,
): Promise<Result<Proxy>> {
  const broken: { readonly app: string; readonly failure: Failure }[] = [];
  const proxies = new Map<string, Config[]>();
  // apps with the same keys mean the same nginx: the process table is walked once for all of them
  const known = new Map<string, string>();
  for (const { app, file } of files) {
    const config = loadConfig(file, { root: surroundings.uid === 0 });
    if (!config.ok) {
      broken.push({ app, failure: config.failure });
      continue;
    }
    const { binary, config: named, pidfile, arguments: words } = config.value.nginx;
    const keys = JSON.stringify([binary, named, pidfile, words]);
    let key = known.get(keys);
    if (key === undefined) {
      const control = await controlOf([config.value], surroundings);
      const found = await control.lockKey();
      if (!found.ok) return found;
      key = found.value;
      known.set(keys, key);
    }
    proxies.set(key, [...(proxies.get(key) ?? []), config.value]);
  }
  const [first, ...others] = proxies;
  const [worst] = broken;
  if (first === undefined && worst !== undefined) return fail(worst.failure);
  for (const { app, failure } of broken) leaveOut(app, failure);
  if (first === undefined || others.length > 0) {
    const all = [...proxies].map(([config, configs]) => ({ config, apps: configs.map(({ app }) => app) }));
    return fail({ reason: 'proxies-differ', proxies: all });
  }
  const [key, configs] = first;
  const locks = createLocks(places(surroundings.env, surroundings.uid), surroundings);
  return ok({
    apps: configs.map(({ app }) => app),
    control: await controlOf(configs, surroundings),
    lock: () => locks.takeProxy(key, Math.max(...configs.map(({ nginx }) => nginx.reloadTimeout))),
  });
}

/** The control script of the nginx of these apps; the most patient of them counts. */
async function controlOf(configs: readonly Config[], surroundings: Surroundings): Promise<ProxyControl> {
  const { createControl } = await import('./nginx/control.js');
  const { createUpgradeRecord } = await import('./nginx/upgrade-record.js');
  const { env, uid, emit, interruption } = surroundings;
  const { locks } = places(env, uid);
  const longest = (of: (config: Config) => number): number => Math.max(...configs.map(of));
  const say = (body: EventBody): void => {
    emit({ ...body, time: timestamp(), app: null });
  };
  const reload = longest(({ nginx }) => nginx.reloadTimeout);
  return createControl({
    procfs: procfs(),
    nginx: { ...configs[0]?.nginx, reloadTimeout: reload },
    root: uid === 0,
    shared: (key) => createSharedProof(proxyProof(locks, key)),
    record: (key) => createUpgradeRecord(proxyUpgrade(locks, key)),
    timeouts: {
      reload,
      drain: longest(({ drain }) => drain.timeout),
      stop: longest(({ stop }) => stop.timeout),
    },
    tell: (notice) => {
      say({ type: 'notice', notice });
    },
    warn: (warning) => {
      say({ type: 'warning', warning });
    },
    interruption,
  });
}

/** Apps for doctor, some at a time: each has its own programs to wait for. */
export async function openPatients(
  files: readonly AppFile[],
  surroundings: Surroundings,
): Promise<readonly Omit<Patient, 'past'>[]> {
  const tester = createTester();
  return inTurns(files, (file) => openPatient(file, surroundings, tester));
}

/**
 * One app for doctor: what cannot be opened is a fact about it. `past` is the caller's to read. `tester`: of all apps
 * that are looked at together. doctor asks how things are now, not how they will be: that something does not answer
 * soon is a finding.
 */
async function openPatient(
  { app, file }: AppFile,
  surroundings: Surroundings,
  tester: Tester,
): Promise<Omit<Patient, 'past'>> {
  const { env, uid } = surroundings;
  const root = uid === 0;
  const fs = procfs();
  const where = places(env, uid);
  const lockHolder = createLocks(where, surroundings).holder(app);
  const loaded = loadConfig(file, { root });
  const config = loaded.ok ? ok(hurried(loaded.value)) : loaded;
  const nothing = { pools: null, faults: [], proxy: null, probe: null, tester };
  const none = { fs, app, root, config, ...nothing, folders: where, lockHolder };
  if (!config.ok) return none;
  const folder = join(where.state, app);
  const safe = safeState(folder, uid);
  // what runs is looked at all the same, as it was when it was last deployed
  const recorded = recordedIn(new JournalStore(folder));
  const patience = DOCTOR_PATIENCE;
  const pool = { fs, config: config.value, folder, root, memory: true, patience, recorded };
  const pools = safe.ok ? await createPool(pool) : safe;
  // who has just said nothing is not asked again
  const asks = safe.ok && !pools.ok && pools.failure.reason !== 'pool-test-timeout';
  if (!pools.ok) return { ...none, pools, faults: asks ? await faults(pool) : [] };
  const { addresses, others } = pools.value;
  const { probe, nginx } = config.value;
  const shared = (key: string): SharedProof => createSharedProof(proxyProof(where.locks, key));
  const options = { procfs: fs, nginx, addresses, others, root, shared, tester };
  const switching = createProxy(config.value, options);
  if (!switching.ok) return { ...none, pools: switching };
  const proxy = switching.value;
  const once = { ...probe, successes: 1 };
  const asked = { config: { probe: once }, pool: pools.value, proxyUser: () => proxy.workerUser() };
  return {
    ...none,
    pools,
    proxy,
    probe: createProbe(asked),
  };
}

/** A configuration whose programs have no longer than doctor does. */
function hurried(config: Config): Config {
  const { nginx, probe } = config;
  return {
    ...config,
    nginx: { ...nginx, reloadTimeout: Math.min(nginx.reloadTimeout, DOCTOR_PATIENCE) },
    probe: { ...probe, timeout: Math.min(probe.timeout, DOCTOR_PATIENCE) },
  };
}

const DOCTOR_PATIENCE = 2000;

/** The switch that the configuration asks for. A link can only lead to sockets' files: `symlink-needs-unix`. */
function createProxy({ switch: by }: Config, options: ProxyOptions): Result<ProxySwitch> {
  if (by.by === 'rewrite') return ok(createRewrite(options));
  const { blue, green } = options.addresses;
  for (const [slot, address] of [
    ['blue', blue],
    ['green', green],
  ] as const) {
    if (address.kind === 'tcp') return fail({ reason: 'symlink-needs-unix', slot, address: spell(address) });
  }
  return ok(createSymlink({ ...options, link: by.link }));
}

/** Read when it is first asked for: most looks find the pool at its address. */
function recordedIn(store: JournalStore): (slot: Slot) => readonly ProcessId[] {
  const known = new Map<Slot, readonly ProcessId[]>();
  return (slot) => {
    const lives = known.get(slot) ?? store.lastOf(slot);
    known.set(slot, lives);
    return lives;
  };
}

/** node's http and https take a while to load, and not every app has a URL. */
async function verifyOf({ verify, probe }: Config): Promise<VerifyDriver | null> {
  if (verify === undefined) return null;
  const { createVerify } = await import('./nginx/verify.js');
  return createVerify({ ...verify, timeout: probe.timeout });
}

/** An app's journals alone: for commands that ask neither pools nor nginx. */
export function openPast({ app, file }: AppFile, { env, uid }: Surroundings): Past {
  const folder = join(places(env, uid).state, app);
  return { file, store: new JournalStore(folder), safe: safeState(folder, uid) };
}
