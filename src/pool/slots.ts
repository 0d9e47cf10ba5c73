/**
 * What the pools of one app are: what was configured, and what FPM makes of it.
 */
import type { Place, Slot } from '../event.js';
import type { Address } from '../system/sockets.js';

/** Who starts a pool, and what has to be known of it. */
export type ManagerConfig =
  | { readonly manager?: 'direct' }
  | { readonly manager: 'systemd'; readonly unit: string }
  | { readonly manager: 'init'; readonly script: string }
  | { readonly manager: 'command'; readonly start: readonly string[] };

/** What an app's configuration says of one slot. */
export type SlotConfig = ManagerConfig & (FpmConfig | FastcgiConfig);

interface CommonConfig {
  readonly env: Readonly<Record<string, string>>;
  readonly pidfile?: string;
}

export interface FpmConfig extends CommonConfig {
  readonly kind?: 'php-fpm';
  /** FPM's own file. */
  readonly config: string;
  readonly section?: string;
  readonly binary?: string;
  readonly listen?: string;
  readonly status?: string;
}

/** FPM's own file, and who starts it. */
export type FpmPool = FpmConfig & { readonly manager?: 'direct' | 'systemd' | 'init' | 'command' };

/** Any server that speaks FastCGI: nobody can be asked what it is, so it is said. */
export interface FastcgiConfig extends CommonConfig {
  readonly kind: 'fastcgi';
  readonly listen: string;
}

/** What this room needs of an app's configuration. */
export interface AppConfig {
  readonly app: string;
  readonly file: string;
  readonly pool: Readonly<Record<Slot, SlotConfig>>;
  readonly probe: ProbeSettings;
  readonly stop: { readonly timeout: number };
  readonly watch: readonly string[];
}

export interface ProbeSettings {
  readonly script?: string;
  /** Where the YAML names it. */
  readonly scriptAt?: Place;
  readonly uri?: string;
  readonly params: Readonly<Record<string, string>>;
  readonly expect?: { readonly status: number; readonly body?: string };
  readonly successes: number;
  readonly interval: number;
  readonly timeout: number;
}

/** A slot's pool, whatever it is. */
export type PoolSlot = FpmSlot | FastcgiSlot;

interface CommonSlot {
  readonly slot: Slot;
  /** The whole environment of a start, beside PATH and LANG. */
  readonly env: Readonly<Record<string, string>>;
  readonly address: Address;
  /** Where the other pools of the same master listen; a stop ends them too. */
  readonly others: readonly Address[];
  /** pm.status_listen of all of its pools: sockets whose workers serve nothing but the status page. */
  readonly statusListens: readonly Address[];
  readonly pidfile: string | null;
}

/** As its own configuration, which FPM was asked for, has it. */
export interface FpmSlot extends CommonSlot {
  readonly kind: 'php-fpm';
  readonly binary: string;
  readonly config: string;
  /** The name of its `[pool]`. */
  readonly section: string;
  /** What its master's workers call themselves: all pools of the file, and those of their status sockets. */
  readonly poolNames: readonly string[];
  /** pm.status_listen of the slot's own pool. */
  readonly statusAddress: Address | null;
  readonly statusPath: string | null;
  readonly pingPath: string | null;
  readonly pingResponse: string;
  /** null: a syslog, or FPM's built-in default. */
  readonly errorLog: string | null;
  /** access.log of the slot's own pool; FPM's workers write it themselves. */
  readonly accessLog: string | null;
  /** Where its master listened when it was deployed last, where that is not what its configuration says now. */
  readonly former: readonly Address[];
  /** access.log of the other pools of the same master. */
  readonly otherLogs: readonly string[];
  /** process_control_timeout, ms. */
  readonly controlTimeout: number;
  /** listen.backlog; below 0: FPM's own. */
  readonly backlog: number;
  readonly pm: 'static' | 'dynamic' | 'ondemand';
  /** Workers right after a start; of its own pool, and of all pools of its master. */
  readonly startWorkers: number;
  readonly allStartWorkers: number;
  readonly maxChildren: number;
  /** Whom the workers run as; null: whoever starts the pool. */
  readonly user: string | null;
  /** Its workers may see other files than we do: in a chroot, or in what a unit's sandboxing shows them. */
  readonly ownFiles: boolean;
}

/** A server of which the kernel alone tells anything. */
export interface FastcgiSlot extends CommonSlot {
  readonly kind: 'fastcgi';
  /** The systemd unit that its processes are known by. */
  readonly unit: string | null;
}

/** Every socket that a start of the slot would bind. */
export const boundAddresses = (slot: PoolSlot): readonly Address[] => [
  slot.address,
  ...slot.others,
  ...slot.statusListens,
];

/** An address as a proxy names it. A pool on every address is asked over loopback. */
export function spell(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = isWildcard(address.host) ? '127.0.0.1' : address.host;
  return `${host.includes(':') ? `[${host}]` : host}:${String(address.port)}`;
}

/** Whether two pools cannot both listen. */
export function collide(a: Address, b: Address): boolean {
  if (a.kind === 'unix' || b.kind === 'unix') return a.kind === b.kind && spell(a) === spell(b);
  return a.port === b.port && (a.host === b.host || isWildcard(a.host) || isWildcard(b.host));
}

const isWildcard = (host: string): boolean => host === '*' || host === '0.0.0.0' || host === '::';
