/**
 * What an app's YAML comes to: Config, and how it is made of the checked keys. Needs
 * no more thought downstream: defaults are in, durations are ms, paths are absolute,
 * `{slot}` is expanded, a slot's own keys are laid over the pool's.
 */
import { dirname, isAbsolute, resolve } from 'node:path';
import type { Slot } from '../event.js';
import type { AppYaml, PoolYaml } from './schema.js';

/** What one slot's pool is and how it is started. */
export interface PoolConfig {
  readonly manager: 'direct';
  readonly kind: 'php-fpm';
  /** FPM's own file. */
  readonly config: string;
  /** Which of that file's pools, where there are several. */
  readonly section?: string;
  readonly binary?: string;
  /** Only what the YAML says: SWAP_POOL_SLOT and defaults for PATH and LANG are the manager's. */
  readonly env: Readonly<Record<string, string>>;
  /** As FPM writes it: `/path`, `HOST:PORT` or `PORT`. Absent, as the next two: asked of FPM. */
  readonly listen?: string;
  readonly pidfile?: string;
  /** The path of FPM's status page, such as `/status`. */
  readonly status?: string;
}

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
  readonly uri?: string;
  readonly params: Readonly<Record<string, string>>;
  readonly expect: { readonly status: number; readonly body?: string };
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

/** `config` is what FPM reads per slot: the schema alone cannot tell that no slot lacks it. */
export function resolveApp(yaml: AppYaml, app: string, file: string, config: Record<Slot, string>): Config {
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
      expect: { status: probe.expect.status, ...present({ body: probe.expect.body }) },
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

function resolvePool(yaml: AppYaml, slot: Slot, folder: string, config: string): PoolConfig {
  const own = yaml.slots[slot];
  const pool: PoolYaml = { ...yaml.pool, ...present(own) };
  const expand = (text: string): string => forSlot(text, slot);
  const absolute = (path: string): string => resolve(folder, expand(path));
  const listen = pool.listen === undefined ? undefined : expand(pool.listen);
  return {
    manager: pool.manager ?? 'direct',
    kind: pool.kind ?? 'php-fpm',
    config,
    ...mapped(present({ section: pool.section, status: pool.status }), expand),
    ...mapped(present({ binary: pool.binary, pidfile: pool.pidfile }), absolute),
    // HOST:PORT and PORT hold no slash; a relative socket path is FPM's prefix's business otherwise.
    ...present({ listen: listen?.includes('/') && !isAbsolute(listen) ? resolve(folder, listen) : listen }),
    // Laid over each other name by name: a variable for one slot does not take the others from it.
    env: mapped({ ...yaml.pool.env, ...own.env }, expand),
  };
}

type Present<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };
/** Without the keys that hold undefined: under exactOptionalPropertyTypes "absent" is said by absence. */
const present = <T extends object>(keys: T): Present<T> =>
  Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined)) as Present<T>;
const mapped = <Keys extends object>(keys: Keys, map: (text: string) => string): Keys =>
  Object.fromEntries(Object.entries(keys).map(([key, text]) => [key, map(text as string)])) as Keys;
