/**
 * From an old pool to a pool for two slots: which of its settings stay as they are, which must differ
 * between the slots, and which swap-pool sets itself. PURE.
 */
import { lastOf, setting } from './fpm-file.js';
import type { Entry, FpmFile } from './fpm-file.js';

export interface Adopted {
  /** The pool's name: `$pool` in its settings goes on to mean the same. */
  readonly section: string;
  /** Its lines, in their order. */
  readonly settings: readonly string[];
  /** Lines of its master's [global]. */
  readonly global: readonly string[];
  /** Where it listens, as it is written; `$pool` resolved. Null: nowhere that can be told. */
  readonly listen: string | null;
  readonly statusPath: string | null;
  readonly statusListen: string | null;
  readonly pingPath: string | null;
  /** process_control_timeout as it is written, where that is more than 0. */
  readonly controlTimeout: string | null;
  readonly user: string | null;
  readonly group: string | null;
  /** Lines that let the proxy open a unix socket, for a pool that had none. */
  readonly listenMore: readonly string[];
  /** Files that both slots log to, each its own; `${SWAP_POOL_SLOT}` stands for the slot. */
  readonly logs: readonly string[];
}

export interface Wanted {
  /** Which section; without it the only one. */
  readonly section?: string | undefined;
  /** How many workers the old pool needed at once, as far as that is known; null: it does not run. */
  readonly workers: number | null;
  /** Whom the proxy's workers run as. */
  readonly proxyUser: string;
}

/** The pools that a file holds. */
export const poolsOf = (file: FpmFile): readonly string[] =>
  file.sections.map(({ name }) => name).filter((name) => name !== 'global');

/** Null when there is no such section, or none named and not exactly one. */
export function adopt(file: FpmFile, master: FpmFile | null, wanted: Wanted): Adopted | null {
  const names = poolsOf(file);
  const section = wanted.section ?? (names.length === 1 ? names[0] : undefined);
  const own = file.sections.find(({ name }) => name === section && name !== 'global')?.entries;
  if (section === undefined || own === undefined) return null;
  const global = [master, file].flatMap((each) => each?.sections[0]?.entries ?? []);
  const listen = lastOf(own, 'listen')?.replaceAll('$pool', section) ?? null;
  const settings = own.filter((entry) => !isOurs(entry)).map((entry) => adapted(entry, own, wanted.workers));
  const timeout = lastOf(global, 'process_control_timeout');
  return {
    section,
    settings: [...settings, ...spare(own, wanted.workers)],
    global: [...new Map(global.filter(isKeptGlobal).map((entry) => [entry.key, entry.text])).values()],
    listen,
    statusPath: lastOf(own, 'pm.status_path'),
    statusListen: lastOf(own, 'pm.status_listen')?.replaceAll('$pool', section) ?? null,
    pingPath: lastOf(own, 'ping.path'),
    controlTimeout: timeout !== null && Number.parseInt(timeout, 10) > 0 ? timeout : null,
    user: lastOf(own, 'user'),
    group: lastOf(own, 'group'),
    listenMore: listen?.includes('/') === true ? [] : opened(own, wanted.proxyUser),
    logs: LOGS.flatMap((key) => {
      const value = lastOf(own, key);
      return value === null || !isLogFile(value) ? [] : [perSlot(value).replaceAll('$pool', section)];
    }),
  };
}

/** A log's name with the slot before its ending. */
export function perSlot(path: string): string {
  if (path.includes('${SWAP_POOL_SLOT}')) return path;
  const [, head = '', tail = ''] = /^(.*?[^/.])((?:\.[A-Za-z0-9]+)*)$/.exec(path) ?? [];
  return head === '' ? `${path}-\${SWAP_POOL_SLOT}` : `${head}-\${SWAP_POOL_SLOT}${tail}`;
}

/** What two masters must not share, or what swap-pool needs in a place that it knows. */
function isOurs({ key, index }: Entry): boolean {
  if (key === 'env') return index === 'SWAP_POOL_SLOT';
  return ['listen', 'pm.status_path', 'pm.status_listen', 'ping.path'].includes(key);
}

/** What a master says of itself alone is not copied: its pidfile, its log, how it is started, its other pools. */
const isKeptGlobal = ({ key }: Entry): boolean =>
  !['pid', 'error_log', 'process_control_timeout', 'daemonize', 'include', 'systemd_interval'].includes(key);

const LOGS = ['slowlog', 'access.log'] as const;
/** Something that is no file of its own: two masters may share it. */
const isLogFile = (path: string): boolean => path !== '' && !/^(?:\/dev\/|\/proc\/|syslog$)/.test(path);

function adapted(entry: Entry, own: readonly Entry[], workers: number | null): string {
  const { key, value, text } = entry;
  if (LOGS.some((log) => log === key)) return isLogFile(value) ? setting(key, perSlot(value)) : text;
  if (key === 'pm.start_servers') return setting(key, String(startServers(own, workers)));
  if (key === 'pm.max_spare_servers') {
    return setting(key, String(Math.max(Number(value) || 0, startServers(own, workers))));
  }
  return text;
}

/** For a dynamic pool that leaves start_servers to FPM. */
function spare(own: readonly Entry[], workers: number | null): string[] {
  if (lastOf(own, 'pm') !== 'dynamic' || lastOf(own, 'pm.start_servers') !== null || workers === null)
    return [];
  return [setting('pm.start_servers', String(startServers(own, workers)))];
}

/**
 * A dynamic pool that is new grows by about one worker a second, so it begins with as many as the old one
 * needed. FPM demands min_spare <= start <= max_spare <= max_children.
 */
function startServers(own: readonly Entry[], workers: number | null): number {
  const number = (key: string): number => Number(lastOf(own, key) ?? 0) || 0;
  const [least, most] = [number('pm.min_spare_servers'), number('pm.max_spare_servers')];
  const usual = number('pm.start_servers') || least + Math.floor((most - least) / 2);
  return Math.max(1, Math.min(Math.max(usual, workers ?? 0), number('pm.max_children') || usual));
}

/** A TCP port is open to everybody; a socket that root makes is root's alone (0660). */
function opened(own: readonly Entry[], proxyUser: string): string[] {
  const named = ['listen.owner', 'listen.group', 'listen.mode', 'listen.acl_users', 'listen.acl_groups'];
  if (named.some((key) => lastOf(own, key) !== null)) return [];
  return [setting('listen.owner', proxyUser)];
}
