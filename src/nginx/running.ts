/**
 * What both switches need of the running nginx: find it, read and test its configuration, tell whether
 * disk and workers agree, reload it with proof.
 */
import { fail, ok } from '../event.js';
import type { Failure, ProcessId, ProxyStatus, Result, Slot } from '../event.js';
import type { ProxyProof, ProxySwitch, ProxyView, SwitchIntent, TestWhen } from '../drivers.js';
import { wallClock } from '../system/clock.js';
import { exists, realPath } from '../system/files.js';
import { isAlive, startedAt, title } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { Address } from '../system/sockets.js';
import { userByName, userOfProcess } from '../system/user.js';
import type { User } from '../system/user.js';
import {
  changes,
  errorLogOf,
  expectedWorkers,
  hashOf,
  loadTree,
  mainValue,
  pidfileOf,
  test,
  testAndCompare,
} from './config-tree.js';
import type { Tester } from './config-tree.js';
import { createFinder, pidIn } from './master.js';
import type { Nginx, NginxKeys } from './master.js';
import { absent, orphansOf } from './orphans.js';
import { quitting } from './quitting.js';
import { reload, waitIdle } from './reload.js';
import type { Generation, Reloading } from './reload.js';
import type { SharedProof } from './shared-proof.js';
import { MASTER_TITLE } from './title.js';
import type { Tree } from './tree.js';
import { readWorkers, sameProcesses } from './workers.js';
import type { Workers } from './workers.js';

export interface RunningOptions {
  readonly procfs: Procfs;
  readonly nginx: NginxKeys & {
    /** ms */
    readonly reloadTimeout: number;
  };
  /** Whether we act as root. */
  readonly root: boolean;
  /** What all apps behind the nginx of this lock key know of it; without it each knows its own journal alone. */
  readonly shared?: (key: string) => SharedProof;
  /** Who tests its files, where others ask the same. */
  readonly tester?: Tester;
}

/** What context.ts hands to a switch. */
export interface ProxyOptions extends RunningOptions {
  /** The `nginx` part of an app's configuration. */
  readonly nginx: RunningOptions['nginx'] & {
    /** Where to look for the addresses; empty: everywhere. */
    readonly only: readonly string[];
  };
  /** Canonical: the folder's links resolved. */
  readonly addresses: Readonly<Record<Slot, Address>>;
  /** Where the other pools of each slot's master listen; canonical, too. */
  readonly others?: Readonly<Record<Slot, readonly Address[]>>;
  /** symlink: the link that nginx's configuration names, absolute. */
  readonly link?: string;
}

/** One reading of the configuration of one nginx. */
export interface Reading {
  readonly nginx: Nginx;
  readonly tree: Tree;
  readonly hash: string;
  /** When the tree began to be read, ms since the epoch. */
  readonly at: number;
}

/** The part of a ProxyView that both switches see alike. */
type Observed = Pick<ProxyView, 'config' | 'running' | 'status' | 'differing' | 'proof' | 'older'> & {
  /** Of `differing`: `unread`, that no worker can have read as it was written; `doubtful`, that none is proven to have read. */
  readonly unread: readonly string[];
  readonly doubtful: readonly string[];
};

export interface Running {
  /** Looks for it anew, and reads nothing. */
  locate(): Promise<Result<Nginx>>;
  /** Finds nginx and reads its configuration. */
  read(): Promise<Result<Reading>>;
  /**
   * While nginx runs: refuses during a binary upgrade, waits until no reload is under way, tests, compares what we
   * read with what it reads (`unless-proven`: not when it is proven that the workers run these very bytes), and says
   * whether disk and workers agree.
   */
  observe(reading: Reading, last: ProxyProof | null, test: TestWhen): Promise<Result<Observed>>;
  test(reading: Reading): Promise<Result<void>>;
  refuseUpgrade(reading: Reading): Promise<Result<void>>;
  waitIdle(reading: Reading, master: ProcessId): Promise<Result<void>>;
  workers(master: ProcessId): Workers;
  /** Why there is no master: nginx does not run, or was left by it (`nginx-not-running`, `nginx-orphaned`). */
  absent(reading: Reading): Promise<Failure>;
  /** Workers that serve on without their master: of which configuration, nobody can tell. */
  orphans(reading: Reading): Promise<readonly ProcessId[]>;
  reload(reading: Reading, master: ProcessId): Promise<Result<Generation>>;
  /** What was proven last to run, by this object; null when what was seen last proved nothing. */
  agreed(): ProxyProof | null;
  /** Notes what a reload has proven. */
  prove(reading: Pick<Reading, 'hash' | 'at'>, workers: readonly ProcessId[]): ProxyProof;
  /** Workers that are known to forgive a missing pool of this pair of addresses, from deploys before. */
  forgiving(pair: string): readonly ProcessId[];
  forgive(pair: string, workers: readonly ProcessId[]): void;
  /** Whether the workers are the very ones of a proof: what they run is what was proven then. */
  stillRuns(proof: ProxyProof): Promise<boolean>;
  /** Those that still live. */
  alive<Id extends ProcessId>(ids: readonly Id[]): readonly Id[];
  /** Which configuration the workers run, for recovery: that of the intent, that on the disk, or it cannot be told. */
  follows(reading: Reading, intent: SwitchIntent | null): Promise<'intent' | 'disk' | 'unclear'>;
  /** Whether every worker was surely born after a moment, ms since the epoch; so is one that has yet to start. */
  bornAfter(reading: Reading, moment: number): boolean;
  /** As ProxySwitch has them. */
  readonly shared: Pick<ProxySwitch, 'reload' | 'lockKey' | 'status' | 'workerUser'>;
}

export function createRunning(options: RunningOptions): Running {
  const { procfs: fs, nginx: keys, root } = options;
  const timeout = keys.reloadTimeout;
  const finder = createFinder({ fs, keys, root, timeout });
  let agreed: ProxyProof | null = null;
  let shared: SharedProof | null = null;

  let found: Nginx | null = null;

  async function locate(): Promise<Result<Nginx>> {
    const nginx = await finder.locate();
    found = nginx.ok ? nginx.value : null;
    return nginx;
  }

  /**
   * The nginx that was found last while its master lives: no second walk through the process table. A binary
   * upgrade that began since is known by its `.oldbin` file; one that was under way may have ended.
   */
  async function known(): Promise<Result<Nginx>> {
    if (found === null || found.master === null || found.upgrading) return locate();
    return isAlive(fs, found.master) ? ok(found) : locate();
  }

  async function read(): Promise<Result<Reading>> {
    const nginx = await known();
    if (!nginx.ok) return nginx;
    shared = options.shared?.(keyOf(nginx.value)) ?? null;
    const at = wallClock();
    const tree = loadTree(nginx.value);
    if (!tree.ok) return tree;
    if (nginx.value.master === null && mainValue(nginx.value, tree.value, 'master_process')?.[0] === 'off') {
      return fail({
        reason: 'unobservable',
        what: 'nginx',
        detail: 'master_process off: no process to reload',
      });
    }
    return ok({ nginx: nginx.value, tree: tree.value, hash: hashOf(tree.value), at });
  }

  async function check(reading: Reading, master: ProcessId): Promise<Result<void>> {
    // before the test: to somebody who may not look at the master, the test would only speak of the pidfile's permissions
    const quiet = await settled(reading, master);
    return quiet.ok ? testAndCompare(reading.nginx, reading.tree, timeout, options.tester) : quiet;
  }

  /** No binary upgrade is pending, no reload under way, and it was not told to quit. */
  async function settled(reading: Reading, master: ProcessId): Promise<Result<void>> {
    const upgrade = await refuseUpgrade(reading);
    if (!upgrade.ok) return upgrade;
    // cheap, and all that most of them need: who has a worker that serves was not told to quit, or a moment ago
    const leaves = readWorkers(fs, master).serving.length > 0 ? null : quitting(fs, reading.nginx);
    return leaves === null ? waitIdle(await reloading(reading, master)) : fail(leaves);
  }

  async function observe(
    reading: Reading,
    last: ProxyProof | null,
    when: TestWhen,
  ): Promise<Result<Observed>> {
    agreed = null;
    const { config, master } = reading.nginx;
    const gone = master === null ? await absent(fs, reading.nginx) : null;
    // they go on sending requests where nobody can lead them away from
    if (gone?.reason === 'nginx-orphaned') return fail(gone);
    if (master === null)
      return ok({ config, running: false, status: STOPPED, ...ALIKE, proof: null, older: [] });
    const quiet = await settled(reading, master);
    if (!quiet.ok) return quiet;
    const workers = readWorkers(fs, master);
    const { serving, untitled, retiring } = workers;
    const known = [last, shared?.read() ?? null].filter((proof) => proof !== null);
    const proofs = known.filter((proof) => proof.hash === reading.hash);
    const theirs = known.filter((proof) => sameProcesses(proof.workers, serving) && untitled.length === 0);
    const recorded = theirs.some((proof) => proof.hash === reading.hash);
    if (!recorded || when === 'always') {
      const tested = await testAndCompare(reading.nginx, reading.tree, timeout, options.tester);
      if (!tested.ok) return tested;
    }
    const born = oldest(serving);
    const differing = recorded ? [] : youngerThan(theirs, reading.tree, born);
    const young = recorded ? [] : surelyYounger(reading.tree, born);
    // These very bytes were proven to run: whoever reloaded since has read them again, unless they were others meanwhile.
    // A new owner or mode tells nothing of that, nor does another file moved there; a file that was written does.
    const proven = proofs.length > 0;
    const written = proven ? surelyYounger(reading.tree, born, 'written') : young;
    const unread = young.filter((path) => written.includes(path));
    const doubtful = (proven ? young : differing).filter((path) => !unread.includes(path));
    if (differing.length === 0) agreed = { hash: reading.hash, workers: serving, read: reading.at };
    return ok({
      config,
      running: true,
      status: statusOf(master, workers),
      differing,
      unread,
      doubtful,
      proof: agreed,
      older: retiring,
    });
  }

  async function refuseUpgrade({ nginx, tree }: Reading): Promise<Result<void>> {
    const pidfile = await pidfileOf(nginx, tree);
    if (!pidfile.ok) return pidfile;
    const path = `${pidfile.value}.oldbin`;
    if (nginx.upgrading) return fail({ reason: 'upgrade-pending', path });
    if (!exists(path)) return ok(undefined);
    // a master that was killed during an upgrade leaves the file behind for ever; then nothing is pending
    const pid = pidIn(path);
    const over = pid !== null && !title(fs, pid).startsWith(MASTER_TITLE);
    return over ? ok(undefined) : fail({ reason: 'upgrade-pending', path });
  }

  // a master that was seen before may be gone by now: that is why one asks
  const orphans = async ({ nginx }: Reading): Promise<readonly ProcessId[]> =>
    (await orphansOf(fs, { ...nginx, master: null })).serving;

  async function reloading({ nginx, tree }: Reading, master: ProcessId): Promise<Reloading> {
    const errorLog = await errorLogOf(nginx, tree);
    return { fs, master, timeout, errorLog, expected: expectedWorkers(nginx, tree) };
  }

  /** With `nginx-stopping` where that is why nothing came of it. */
  async function reloadNow(reading: Reading, master: ProcessId): Promise<Result<Generation>> {
    const generation = await reload(await reloading(reading, master));
    if (generation.ok || generation.failure.reason !== 'reload-swallowed') return generation;
    const leaves = quitting(fs, { ...reading.nginx, master });
    return leaves === null ? generation : fail(leaves);
  }

  /** When the oldest worker started, ms since the epoch (a second too early at most, never too late). */
  const oldest = (workers: readonly ProcessId[]): number =>
    workers.length === 0 ? -Infinity : Math.min(...workers.map((id) => startedAt(fs, id)));

  async function follow(): Promise<Result<ProxyProof>> {
    const reading = await read();
    if (!reading.ok) return reading;
    const { nginx } = reading.value;
    if (nginx.master === null) return fail(await absent(fs, nginx));
    const checked = await check(reading.value, nginx.master);
    if (!checked.ok) return checked;
    const generation = await reloadNow(reading.value, nginx.master);
    return generation.ok ? ok(prove(reading.value, generation.value.workers)) : generation;
  }

  async function status(): Promise<ProxyStatus | null> {
    const nginx = await known();
    if (!nginx.ok) return null;
    const { master } = nginx.value;
    if (master !== null) return statusOf(master, readWorkers(fs, master));
    const { serving, retiring } = await orphansOf(fs, nginx.value);
    return { pid: null, workers: serving.length, retiring: retiring.length };
  }

  async function workerUser(): Promise<User | null> {
    const nginx = await known();
    if (!nginx.ok) return null;
    const { master } = nginx.value;
    if (master === null) return root ? configuredUser(nginx.value) : null;
    const { serving, untitled } = readWorkers(fs, master);
    const worker = [...serving, ...untitled][0];
    return worker === undefined ? null : userOfProcess(fs, worker.pid);
  }

  /** Whom the workers will run as once root has started it: its `user`, else what it was compiled with. */
  async function configuredUser(nginx: Nginx): Promise<User | null> {
    const tree = loadTree(nginx);
    const [name, group] = (tree.ok ? mainValue(nginx, tree.value, 'user') : null) ?? [];
    // without a second word nginx takes the group of that name (ngx_set_user)
    if (name !== undefined) return userByName(name, [group ?? name]);
    const compiled = tree.ok ? await nginx.compiled() : null;
    return compiled?.ok === true ? userByName(compiled.value.user.name, compiled.value.user.groups) : null;
  }

  async function lockKey(): Promise<Result<string>> {
    const nginx = await known();
    return nginx.ok ? ok(keyOf(nginx.value)) : nginx;
  }

  function prove({ hash, at }: Pick<Reading, 'hash' | 'at'>, workers: readonly ProcessId[]): ProxyProof {
    agreed = { hash, workers, read: at };
    shared?.write(agreed);
    return agreed;
  }

  async function stillRuns(proof: ProxyProof): Promise<boolean> {
    const nginx = await known();
    if (!nginx.ok || nginx.value.master === null) return false;
    const { serving, untitled } = readWorkers(fs, nginx.value.master);
    return untitled.length === 0 && serving.length > 0 && sameProcesses(serving, proof.workers);
  }

  function bornAfter({ nginx: { master } }: Reading, moment: number): boolean {
    return master === null || oldest(readWorkers(fs, master).serving) - SAFETY >= moment;
  }

  return {
    locate,
    read,
    observe,
    refuseUpgrade,
    prove,
    bornAfter,
    stillRuns,
    agreed: () => agreed,
    forgiving: (pair) => shared?.forgiving(pair) ?? [],
    forgive: (pair, workers) => shared?.forgive(pair, workers),
    test: ({ nginx }) => test(nginx, timeout),
    waitIdle: async (reading, master) => waitIdle(await reloading(reading, master)),
    workers: (master) => readWorkers(fs, master),
    absent: ({ nginx }) => absent(fs, nginx),
    orphans,
    reload: reloadNow,
    alive: (ids) => ids.filter((id) => isAlive(fs, id)),
    shared: { reload: follow, lockKey, status, workerUser },
    follows: async (reading, intent) => {
      const { master } = reading.nginx;
      // when it starts it reads the disk, and until then nobody serves but workers that have lost their master
      if (master === null) return (await orphans(reading)).length === 0 ? 'disk' : 'unclear';
      const idle = await waitIdle(await reloading(reading, master));
      const { serving, untitled } = readWorkers(fs, master);
      if (!idle.ok || untitled.length > 0) return 'unclear';
      if (intent !== null && sameProcesses(serving, intent.workers)) return 'intent';
      return younger(reading.tree, oldest(serving)).length === 0 ? 'disk' : 'unclear';
    },
  };
}

/** One nginx is one configuration, whatever links lead to it. */
function keyOf({ config }: Nginx): string {
  const real = realPath(config);
  return real.ok ? real.value : config;
}

/** Nothing on the disk that the proxy does not run. */
const ALIKE = { differing: [], unread: [], doubtful: [] } as const;
const STOPPED: ProxyStatus = { pid: null, workers: 0, retiring: 0 };

const statusOf = (master: ProcessId, { serving, untitled, retiring }: Workers): ProxyStatus => ({
  pid: master.pid,
  workers: serving.length + untitled.length,
  retiring: retiring.length,
});

/**
 * The files that changed later than 2 s before `started`: file times are those of the last timer tick, start
 * times are computed from a boot time in whole seconds, and reading a configuration takes a while. A folder from
 * which an include takes its files ends in `/`: its change is one that came, went or got another name. `written`: by
 * content alone, which a file keeps that is moved into place.
 */
export function younger(
  tree: Tree,
  started: number,
  how: 'changed' | 'written' = 'changed',
): readonly string[] {
  return [...changes(tree, how)].filter(([, changed]) => changed > started - SAFETY).map(([path]) => path);
}
/**
 * The same, for workers that were proven to run what a file was then: only what changed since, where that names anything.
 * A file's time may be a tick of the kernel's clock too early.
 */
export function youngerThan(proofs: readonly ProxyProof[], tree: Tree, started: number): readonly string[] {
  const all = younger(tree, started);
  const read = Math.max(...proofs.map((proof) => proof.read ?? -Infinity)) - TICK;
  const times = changes(tree, 'changed');
  const since = all.filter((path) => (times.get(path) ?? Infinity) > read);
  return since.length > 0 ? since : all;
}
/**
 * When a tree was read, for a proof. `changed`, its times by a later look: what had changed last by then, before it was
 * read, is what was read, though it was less than a tick before.
 */
export function readAt(began: number, changed: ReadonlyMap<string, number>): number {
  const newest = Math.max(...changed.values());
  return newest < began ? Math.max(began, newest + TICK) : began;
}
/** The longest that kernels are built with, ms (CONFIG_HZ=100). */
const TICK = 10;
/** Those of them that changed after `started`, however much that is wrong by. */
export const surelyYounger: typeof younger = (tree, started, how) =>
  younger(tree, started + LATEST + SAFETY, how);
const SAFETY = 2000;
/** A start time is computed from a boot time in whole seconds: by so much it may be too early, ms. */
const LATEST = 1000;
