/**
 * A site as Debian has it: one php-fpm with one pool in pool.d, an nginx site that names its socket, and
 * nothing of swap-pool's. Made of a rig's sandbox.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { findPrograms } from '../../src/demo/programs.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { CommandOptions, Run } from './command.js';
import { withRig, type Rig, type RigOptions } from './rig.js';

/** What the files of one test are. */
export interface Stock {
  readonly rig: Rig;
  readonly pool: string;
  readonly site: string;
  /** `init demo` with these words, for the stock site. */
  readonly init: (args?: readonly string[], options?: CommandOptions) => Promise<Run>;
  /** Runs one of the printed commands as it stands there. */
  readonly follow: (command: string) => Promise<number | null>;
  readonly masterPid: () => number;
}

export interface StockOptions extends RigOptions {
  /** Lines of the pool file, after its user. */
  readonly pool?: string;
  /** More pools of the same php-fpm. */
  readonly otherPools?: string;
}

export async function withStock(options: StockOptions, act: (stock: Stock) => Promise<void>): Promise<void> {
  const paths = (sandbox: Sandbox) => ({
    pool: sandbox.path('pool.d', 'www.conf'),
    master: sandbox.path('php-fpm.conf'),
    socket: sandbox.path('run', 'old.sock'),
    pidfile: sandbox.path('run', 'old.pid'),
    site: sandbox.path('sites', 'demo.conf'),
  });
  const prepare = (sandbox: Sandbox): void => {
    const { config, upstream, fpmConfig, site } = sandbox.site();
    const { pool, master, socket, pidfile } = paths(sandbox);
    const identity = /^(?:user|group|listen\.\w+) = .*$/gm;
    const who = readFileSync(fpmConfig.blue, 'utf8').match(identity) ?? [];
    for (const path of [config, upstream, fpmConfig.blue]) rmSync(path);
    mkdirSync(sandbox.path('pool.d'));
    const dynamic =
      'pm = dynamic\npm.max_children = 20\npm.start_servers = 6\npm.min_spare_servers = 4\npm.max_spare_servers = 12';
    writeFileSync(
      pool,
      [
        '; Start a new pool named',
        '[www]',
        ...who,
        `listen = ${socket}`,
        (options.pool ?? dynamic).replaceAll('{folder}', sandbox.folder),
        'env[SWAP_POOL_SLOT] = old',
        '',
      ].join('\n'),
    );
    writeFileSync(
      master,
      `[global]\npid = ${pidfile}\nerror_log = ${sandbox.path('log', 'php-fpm.log')}\ninclude=${sandbox.path('pool.d')}/*.conf\n`,
    );
    if (options.otherPools !== undefined)
      writeFileSync(
        sandbox.path('pool.d', 'other.conf'),
        options.otherPools.replaceAll('{folder}', sandbox.folder),
      );
    const text = readFileSync(site, 'utf8')
      .replace(/\n\s*#.*/g, '')
      .replace(/\n\s*fastcgi_next_upstream .*/, '');
    writeFileSync(site, text.replace('fastcgi_pass demo;', `fastcgi_pass unix:${socket};`));
    options.prepare?.(sandbox);
  };
  await withRig({ timeout: 90_000, ...options, prepare }, async (rig) => {
    const { pool, master, site, pidfile } = paths(rig.sandbox);
    Object.assign(rig.site().fpmConfig, {
      blue: rig.sandbox.path('config', 'demo.fpm.conf'),
      green: rig.sandbox.path('config', 'demo.fpm.conf'),
    });
    rig.allow.strays.push(/^(config|etc|upstreams)\//);
    const programs = findPrograms();
    if (!programs.ok) throw new Error('php-fpm is missing');
    execFileSync(programs.value.fpm, ['-D', '-y', master], {
      stdio: 'ignore',
      env: { PATH: '/usr/sbin:/usr/bin' },
    });
    await rig.until(() => existsSync(pidfile) && readFileSync(pidfile, 'utf8').trim() !== '');
    const env = { SWAP_POOL_ETC_DIR: rig.sandbox.path('etc'), TMPDIR: rig.sandbox.path('temp') };
    const where = ['--nginx-config', rig.sandbox.path('nginx.conf')];
    await act({
      rig,
      pool,
      site,
      init: (args = []) =>
        rig.run(['init', 'demo', '--from', pool, '--site', site, ...where, ...args], { env }),
      follow: async (command) => {
        const [first, ...words] = command.replace(/^(?:SWAP_POOL_\w+=\S+ )+/, '').split(' ');
        if (first === 'swap-pool') return (await rig.run(words, { env })).exit;
        execFileSync('/bin/sh', ['-c', command]);
        return 0;
      },
      masterPid: () => Number(readFileSync(pidfile, 'utf8')),
    });
  });
}
