/**
 * What an app's YAML comes to: Config, and how it is made of the checked keys. Needs
 * no more thought downstream: defaults are in, durations are ms, paths are absolute,
 * `{slot}` is expanded, a slot's own keys are laid over the pool's.
 */
import { dirname, isAbsolute, resolve } from 'node:path';
import type { Place, Slot } from '../event.js';
import type { AppYaml, PoolYaml } from './schema.js';

/** What one slot's pool is and who starts it. */
export type PoolConfig = ManagerConfig & KindConfig;

export type ManagerConfig =
  | { readonly manager: 'direct' }
  | { readonly manager: 'systemd'; readonly unit: string }
  | { readonly manager: 'init'; readonly script: string }
  | { readonly manager: 'command'; readonly start: readonly string[] };

interface CommonConfig {
  /** Only what the YAML says: SWAP_POOL_SLOT and defaults for PATH and LANG are the manager's. */
  readonly env: Readonly<Record<string, string>>;
  /** Absent, as `listen` and `status` of FPM: asked of FPM. */
  readonly pidfile?: string;
}

export type KindConfig =
  | (CommonConfig & {
      readonly kind: 'php-fpm';
      /** FPM's own file. */
      readonly config: string;
      /** Which of that file's pools, where there are several. */
      readonly section?: string;
      readonly binary?: string;
      /** As FPM writes it: `/path`, `HOST:PORT` or `PORT`. */
      readonly listen?: string;
      /** The path of FPM's status page, such as `/status`. */
      readonly status?: string;
    })
  | (CommonConfig & { readonly kind: 'fastcgi'; readonly listen: string });

export type SwitchConfig = { readonly by: 'rewrite' } | { readonly by: 'symlink'; readonly link: string };

export interface NginxConfig {
  readonly binary?: string;
  readonly config?: string;
  readonly pidfile?: string;
  readonly arguments?: readonly string[];
  /** `upstream NAME` (one space) or an absolute path; empty: everywhere. */
  readonly only: readonly string[];
  /** ms */
  readonly reloadTimeout: number;
}

export interface ProbeConfig {
  readonly script?: string;
  /** Where the YAML names it. */
  readonly scriptAt?: Place;
  readonly uri?: string;
  readonly params: Readonly<Record<string, string>>;
  /** Absent: of a script 200, of a server without one any status. */
  readonly expect?: { readonly status: number; readonly body?: string };
  readonly successes: number;
  /** ms between tries after a wrong answer */
  readonly interval: number;
  /** ms for all tries together */
  readonly timeout: number;
}

export interface VerifyConfig {
  readonly url: string;
  readonly host?: string;
  /** No status: any below 400 will do. */
  readonly expect: { readonly status?: number; readonly body?: string };
}

export interface Config {
  readonly app: string;
  /** The YAML itself, absolute. */
  readonly file: string;
  readonly pool: Readonly<Record<Slot, PoolConfig>>;
  readonly switch: SwitchConfig;
  readonly nginx: NginxConfig;
  readonly probe: ProbeConfig;
  readonly verify?: VerifyConfig;
  /** ms */
  readonly drain: { readonly timeout: number; readonly onTimeout: 'keep' | 'stop' };
  /** ms that each of QUIT and TERM may take */
  readonly stop: { readonly timeout: number };
  /** Absolute paths and globs. */
  readonly watch: readonly string[];
}

/** `config` is what FPM reads per slot; that no slot lacks what it needs has been seen to. */
export function resolveApp(
  yaml: AppYaml,
  app: string,
  file: string,
  config: Readonly<Record<Slot, string | null>>,
): Config {
  const folder = dirname(file);
  const { drain, nginx, probe, verify, watch } = yaml;
  const absolute = (path: string): string => resolve(folder, path);
  const absoluteIn = <Key extends string>(keys: Partial<Record<Key, string | undefined>>) =>
    mapped(present(keys), absolute);
  return {
    app,
    file,
    pool: {
      blue: resolvePool(yaml, 'blue', folder, config.blue),
      green: resolvePool(yaml, 'green', folder, config.green),
    },
    switch:
      yaml.switch === 'rewrite' || yaml.switch.by === 'rewrite'
        ? { by: 'rewrite' }
        : { by: 'symlink', link: absolute(yaml.switch.link) },
    nginx: {
      ...absoluteIn({ binary: nginx.binary, config: nginx.config, pidfile: nginx.pidfile }),
      ...present({ arguments: nginx.arguments }),
      only: nginx.only.map((entry) => {
        const upstream = /^upstream\s+(\S+)\s*$/.exec(entry)?.[1];
        return upstream === undefined ? absolute(entry) : `upstream ${upstream}`;
      }),
      reloadTimeout: nginx['reload-timeout'],
    },
    probe: {
      ...absoluteIn({ script: probe.script }),
      ...present({ uri: probe.uri }),
      params: probe.params,
      ...(probe.expect && {
        expect: { status: probe.expect.status, ...present({ body: probe.expect.body }) },
      }),
      successes: probe.successes,
      interval: probe.interval,
      timeout: probe.timeout,
    },
    ...(verify && {
      verify: { url: verify.url, ...present({ host: verify.host }), expect: present(verify.expect) },
    }),
    drain: { timeout: drain.timeout, onTimeout: drain['on-timeout'] },
    stop: yaml.stop,
    watch: watch.map(absolute),
  };
}

/** A slot's text: `{slot}` is its name. */
export const forSlot = (text: string, slot: Slot): string => text.replaceAll('{slot}', slot);

function resolvePool(yaml: AppYaml, slot: Slot, folder: string, config: string | null): PoolConfig {
  const own = yaml.slots[slot];
  const pool: PoolYaml = { ...yaml.pool, ...present(own) };
  const expand = (text: string): string => forSlot(text, slot);
  const absolute = (path: string): string => resolve(folder, expand(path));
  const named = pool.listen === undefined ? undefined : expand(pool.listen);
  // HOST:PORT and PORT hold no slash; a relative socket path is FPM's prefix's business otherwise.
  const listen = named?.includes('/') && !isAbsolute(named) ? resolve(folder, named) : named;
  const common = {
    ...mapped(present({ pidfile: pool.pidfile }), absolute),
    // Laid over each other name by name: a variable for one slot does not take the others from it.
    env: mapped({ ...yaml.pool.env, ...own.env }, expand),
  };
  const managed = manager(pool, expand, absolute);
  if (pool.kind === 'fastcgi') return { ...managed, kind: 'fastcgi', ...common, listen: listen ?? '' };
  return {
    ...managed,
    kind: 'php-fpm',
    ...common,
    config: config ?? '',
    ...mapped(present({ section: pool.section, status: pool.status }), expand),
    ...mapped(present({ binary: pool.binary }), absolute),
    ...present({ listen }),
  };
}

function manager(
  { manager: name, systemd, init, command }: PoolYaml,
  expand: (text: string) => string,
  absolute: (path: string) => string,
): ManagerConfig {
  if (name === 'systemd' && systemd) return { manager: name, unit: expand(systemd.unit) };
  if (name === 'init' && init) return { manager: name, script: absolute(init.script) };
  if (name === 'command' && command) {
    const [program = '', ...words] = command.start;
    return { manager: name, start: [absolute(program), ...words.map(expand)] };
  }
  return { manager: 'direct' };
}

type Present<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };
/** Without the keys that hold undefined: under exactOptionalPropertyTypes "absent" is said by absence. */
const present = <T extends object>(keys: T): Present<T> =>
  Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined)) as Present<T>;
const mapped = <Keys extends object>(keys: Keys, map: (text: string) => string): Keys =>
  Object.fromEntries(Object.entries(keys).map(([key, text]) => [key, map(text as string)])) as Keys;
