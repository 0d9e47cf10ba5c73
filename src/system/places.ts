/**
 * Where swap-pool keeps its things. The environment may move configuration, state and run
 * folder; it may not move the locks of slots and proxies, or two callers with two
 * environments would both believe that they are alone.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import { exists, facts, factsThroughLinks, list, makeFolder } from './files.js';
import type { Address } from './sockets.js';
import { untrustedPart } from './trust.js';
import type { Untrusted } from './trust.js';

export interface Places {
  /** APP.yaml files. */
  readonly config: string;
  /** Journals and history: one folder an app. */
  readonly state: string;
  /** The apps' locks. */
  readonly run: string;
  /** The folders of units, init scripts, cron, logrotate and tmpfiles: what `init` writes beside. */
  readonly etc: string;
  /** The locks of slot addresses and proxies: never moved. */
  readonly locks: string;
}

/** The folders, as INTERFACE promises them. Nothing is made. */
export function places(env: NodeJS.ProcessEnv, uid: number): Places {
  const runtime = `/run/user/${String(uid)}`;
  return {
    config: env['SWAP_POOL_CONFIG_DIR'] ?? '/etc/swap-pool',
    state: env['SWAP_POOL_STATE_DIR'] ?? '/var/lib/swap-pool',
    run: env['SWAP_POOL_RUN_DIR'] ?? '/run/swap-pool',
    etc: env['SWAP_POOL_ETC_DIR'] ?? '/etc',
    locks:
      uid === 0
        ? '/run/swap-pool'
        : exists(runtime)
          ? join(runtime, 'swap-pool')
          : `/tmp/swap-pool-${String(uid)}`,
  };
}

/**
 * Whether nobody but root can change what is kept in an app's state folder, made or not made yet: as root, its
 * journals and what FPM once said are believed. `unsafe-path`.
 */
export function safeState(folder: string, uid: number): Result<void> {
  const part = uid === 0 ? (sharedPart(folder) ?? sharedPart(join(folder, 'deploys'))) : null;
  return part === null ? ok(undefined) : fail({ reason: 'unsafe-path', ...part });
}

/**
 * What others than root could change on the way to a folder, or in it; null: nothing. A sticky folder (/tmp) is
 * fine above one of ours. As one of ours it is not: others could make there what is not there yet.
 */
export function sharedPart(folder: string): Untrusted | null {
  const found = factsThroughLinks(folder);
  const shared = found.ok && found.value.kind === 'folder' && (found.value.mode & 0o022) !== 0;
  return untrustedPart(folder, 0) ?? (shared ? { path: folder, detail: 'is writable by others' } : null);
}

/**
 * Makes a folder for locks, and refuses one that is not ours alone, or, as root, that others could put another in
 * the place of: what stands in a folder that others may write can be swapped under our hands.
 */
export function lockFolder(path: string, uid: number): Result<string> {
  const part = uid === 0 ? sharedPart(path) : null;
  if (part !== null) return fail({ reason: 'unsafe-path', ...part });
  const made = makeFolder(path, uid === 0 ? 0o755 : 0o700);
  if (!made.ok) return fail({ reason: 'state-unwritable', path, code: made.code });
  const there = facts(path);
  if (!there.ok) return fail({ reason: 'state-unwritable', path, code: there.code });
  const { kind, uid: owner, mode } = there.value;
  if (kind !== 'folder') return fail({ reason: 'unsafe-path', path, detail: `is a ${kind}, not a folder` });
  if (owner !== uid) {
    return fail({ reason: 'unsafe-path', path, detail: `belongs to uid ${String(owner)}` });
  }
  if ((mode & 0o022) !== 0) return fail({ reason: 'unsafe-path', path, detail: 'others may write into it' });
  return ok(path);
}

export const appLock = (folder: string, app: string): string => join(folder, `${app}.lock`);

/** One lock a TCP port, whatever name or address of this host it is written with. */
export const slotLock = (folder: string, address: Address): string =>
  join(folder, `slot-${digest(address.kind === 'unix' ? address.path : `tcp:${String(address.port)}`)}.lock`);

export const proxyLock = (folder: string, key: string): string => join(folder, `nginx-${digest(key)}.lock`);

/** What was last proven of a proxy: beside its lock, which its writer holds. */
export const proxyProof = (folder: string, key: string): string => join(folder, `nginx-${digest(key)}.proof`);

/**
 * A binary upgrade that we have begun, beside the lock under which it runs. In /run: a reboot ends both
 * masters, and the record with them.
 */
export const proxyUpgrade = (folder: string, key: string): string =>
  join(folder, `nginx-${digest(key)}.upgrade`);

/** Whether one is begun of any proxy; false where that cannot be seen. */
export function anyUpgrade(folder: string): boolean {
  const names = list(folder);
  return names.ok && names.value.some((name) => /^nginx-.*\.upgrade$/.test(name));
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 24);
