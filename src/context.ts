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
import type { Drivers, VerifyDriver } from './drivers.js';
import { ok, SLOTS } from './event.js';
import type { Emit, Event, LockHolder, ProcessId, Result } from './event.js';
import { createRewrite } from './nginx/rewrite.js';
import { createSharedProof } from './nginx/shared-proof.js';
import type { SharedProof } from './nginx/shared-proof.js';
import { createSymlink } from './nginx/symlink.js';
import { createPool } from './pool/driver.js';
import { createProbe } from './pool/probe.js';
import { now, timestamp } from './system/clock.js';
import type { Lock } from './system/lock.js';
import { createLocks } from './system/locks.js';
import { places, proxyProof } from './system/places.js';
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
  lock(wait: number): Promise<Result<Lock>>;
  /** The app's lock alone, and its slots': for those who have to wait, and open the app again in between. */
  lockName(wait: number): Promise<Result<Lock>>;
  lockSlots(): Promise<Result<Lock>>;
  /** The app as its files say now. */
  reopen(): Promise<Result<App>>;
  lockHolder(): LockHolder | null;
  /** From now on events belong to this deploy. */
  enter(deploy: string): void;
  /** RFC 3339 */
  startedAt(id: ProcessId): string;
  /** ms since the app was opened. */
  elapsed(): number;
}

/** Reads an app's configuration and asks its pools what they are. Touches nothing. */
export async function openApp(file: string, surroundings: Surroundings): Promise<Result<App>> {
  const began = now();
  const { env, uid, emit } = surroundings;
  const root = uid === 0;
  const loaded = loadConfig(file, { root });
  if (!loaded.ok) return loaded;
  const config = loaded.value;
  const fs = procfs();
  const where = places(env, uid);
  const folder = join(where.state, config.app);

  let deploy: string | null = null;
  const stamped: Emit = (body) => {
    emit({ ...body, time: timestamp(), app: config.app, ...(deploy === null ? {} : { deploy }) });
  };

  // php-fpm is asked by processes of its own: what else takes a while is done meanwhile
  const asked = createPool({ fs, config, folder, root });
  const verify = await verifyOf(config);
  const pool = await asked;
  if (!pool.ok) return pool;
  const { addresses, others } = pool.value;
  const both = SLOTS.map((slot) => addresses[slot]);
  const shared = (key: string): SharedProof => createSharedProof(proxyProof(where.locks, key));
  const options = { procfs: fs, nginx: config.nginx, addresses, others, root, shared };
  const proxy =
    config.switch.by === 'rewrite'
      ? createRewrite(options)
      : createSymlink({ ...options, link: config.switch.link });
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
    store: new JournalStore(folder),
    drivers,
    emit: stamped,
    interruption: surroundings.interruption,
    who: surroundings.who,
    runner: identify(fs, process.pid) ?? { boot: fs.bootId, pid: process.pid, start: 0 },
    lock: (wait) => locks.takeApp(config.app, both, wait, surroundings.interruption.signal),
    lockName: (wait) => locks.takeName(config.app, wait, surroundings.interruption.signal),
    lockSlots: () => locks.takeSlots(both),
    reopen: () => openApp(file, surroundings),
    lockHolder: () => locks.holder(config.app),
    enter: (id) => {
      deploy = id;
    },
    startedAt: (id) => new Date(startedAt(fs, id)).toISOString(),
    elapsed: () => now() - began,
  });
}

/** node's http and https take a while to load, and not every app has a URL. */
async function verifyOf({ verify, probe }: Config): Promise<VerifyDriver | null> {
  if (verify === undefined) return null;
  const { createVerify } = await import('./nginx/verify.js');
  return createVerify({ ...verify, timeout: probe.timeout });
}

/** An app's journals alone: for commands that ask neither pools nor nginx. */
export const openPast = ({ app, file }: AppFile, { env, uid }: Surroundings): Past => ({
  file,
  store: new JournalStore(join(places(env, uid).state, app)),
});
