/**
 * One site of a sandbox: where its files are, and what is written into them.
 */
import { join } from 'node:path';
import { SLOTS, fail, ok, type Result, type Slot, type SwitchKind } from '../event.js';
import * as files from '../system/files.js';
import { freePort, type Identity } from './machine.js';
import type { Programs } from './programs.js';
import { render } from '../init/render.js';

/** One site. Lines of configuration go in as they are, in the file's own language. */
export interface SiteOptions {
  readonly name: string;
  readonly switch: SwitchKind;
  /** `unix` unless said otherwise. */
  readonly transport?: 'unix' | 'tcp';
  /** Per pool; 8. */
  readonly workers?: number;
  readonly fpmGlobal?: string;
  readonly fpmPool?: string;
  readonly serverLines?: string;
  readonly locationLines?: string;
  /** More keys of the app's YAML: at its top, and under `pool:` and `nginx:`. */
  readonly yaml?: string;
  readonly yamlPool?: string;
  readonly yamlNginx?: string;
}

/** Where everything of one site is. */
export interface Site {
  readonly name: string;
  readonly switch: SwitchKind;
  readonly port: number;
  readonly workers: number;
  /** As nginx names it: `unix:/…` or `127.0.0.1:9001`. */
  readonly address: Readonly<Record<Slot, string>>;
  /** The link that nginx's configuration names when the switch is by symlink. */
  readonly link: string;
  readonly fpmConfig: Readonly<Record<Slot, string>>;
  readonly pidfile: Readonly<Record<Slot, string>>;
  readonly config: string;
  readonly upstream: string;
  readonly site: string;
}

/** Chooses a site's paths and ports. */
export async function placeSite(
  folder: string,
  { name, switch: by, transport, workers = 8 }: SiteOptions,
): Promise<Site> {
  const unix = transport !== 'tcp';
  const both = async (of: (slot: Slot) => string | Promise<string>): Promise<Record<Slot, string>> => ({
    blue: await of('blue'),
    green: await of('green'),
  });
  return {
    name,
    switch: by,
    port: await freePort(),
    workers,
    address: await both(async (slot) =>
      unix ? `unix:${unixSocket(folder, name, slot)}` : `127.0.0.1:${await freePort()}`,
    ),
    link: join(folder, 'run', `${name}.sock`),
    fpmConfig: await both((slot) => join(folder, 'pools', unix ? `${name}.conf` : `${name}-${slot}.conf`)),
    pidfile: await both((slot) => join(folder, 'run', `${name}-${slot}.pid`)),
    config: join(folder, 'config', `${name}.yaml`),
    upstream: join(folder, 'upstreams', `${name}.conf`),
    site: join(folder, 'sites', `${name}.conf`),
  };
}

export const unixSocket = (folder: string, name: string, slot: Slot): string =>
  join(folder, 'run', `${name}-${slot}.sock`);

export interface SiteFiles {
  readonly folder: string;
  readonly site: Site;
  readonly wanted: SiteOptions;
  readonly programs: Programs;
  readonly identity: Identity | null;
}

/** Writes a site's files; `folder` is the sandbox's. */
export function writeSite(put: Put, { folder, site, wanted, programs, identity }: SiteFiles): Result<void>[] {
  const at = (...names: string[]): string => join(folder, ...names);
  const unix = wanted.transport !== 'tcp';
  const owner =
    identity === null
      ? 'listen.mode = 0600'
      : `listen.owner = ${identity.user}\nlisten.group = ${identity.group}\nlisten.mode = 0600`;
  const pools = unix ? (['blue'] as const) : SLOTS;
  return [
    ...pools.map((slot) =>
      put('fpm.conf', site.fpmConfig[slot], {
        app: site.name,
        run: at('run'),
        log: at('log'),
        control_timeout: '10s',
        section: site.name,
        settings: [
          ...(identity === null ? [] : [`user = ${identity.user}`, `group = ${identity.group}`]),
          'pm = static',
          `pm.max_children = ${String(site.workers)}`,
        ].join('\n'),
        listen: unix ? at('run', `${site.name}-\${SWAP_POOL_SLOT}.sock`) : site.address[slot],
        listen_more: owner,
        status_path: '/status',
        status_listen: `pm.status_listen = ${at('run', `${site.name}-\${SWAP_POOL_SLOT}-status.sock`)}`,
        ping_path: '/ping',
        global_more: wanted.fpmGlobal ?? '',
        pool_more: wanted.fpmPool ?? '',
      }),
    ),
    site.switch === 'rewrite'
      ? put('upstream.conf', site.upstream, {
          app: site.name,
          active: site.address.blue,
          standby: site.address.green,
        })
      : put('upstream-symlink.conf', site.upstream, { app: site.name, link: site.link }),
    put('site.conf', site.site, {
      listen: `127.0.0.1:${site.port}`,
      server_name: `${site.name}.test`,
      root: at('www'),
      upstream: site.name,
      server_more: wanted.serverLines ?? '',
      location_more: wanted.locationLines ?? '',
    }),
    put('app.yaml', site.config, {
      app: site.name,
      pool: [
        `config: ${JSON.stringify(unix ? site.fpmConfig.blue : at('pools', `${site.name}-{slot}.conf`))}`,
        `binary: ${JSON.stringify(programs.fpm)}`,
        ...lines(wanted.yamlPool),
      ].join('\n'),
      switch: site.switch === 'rewrite' ? 'rewrite' : `{ by: symlink, link: ${JSON.stringify(site.link)} }`,
      more: [
        'nginx:',
        ...[
          `config: ${JSON.stringify(at('nginx.conf'))}`,
          `binary: ${JSON.stringify(programs.nginx)}`,
          ...lines(wanted.yamlNginx),
        ].map((line) => `  ${line}`),
        'probe:',
        `  script: ${JSON.stringify(at('www', 'health.php'))}`,
        '  uri: /health.php',
        '  expect: { status: 200, body: ok }',
        `verify: { url: "http://127.0.0.1:${site.port}/verify.php", host: ${site.name}.test }`,
        ...lines(wanted.yaml),
      ].join('\n'),
    }),
  ];
}

/** Fills a template and writes the result to a new file. */
export type Put = (template: string, path: string, values: Readonly<Record<string, string>>) => Result<void>;

export const writer =
  (templates: string): Put =>
  (name, path, values) => {
    const template = files.readText(join(templates, name));
    if (!template.ok) return fail({ reason: 'bug', detail: `template ${name}: ${template.code}` });
    const text = render(template.value, values);
    if (!text.ok) return text;
    const written = files.createFile(path, text.value, 0o644);
    return written.ok ? ok(undefined) : fail({ reason: 'state-unwritable', path, code: written.code });
  };

const lines = (text: string | undefined): string[] => (text === undefined ? [] : text.split('\n'));
