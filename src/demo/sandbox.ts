/**
 * A folder with a site of its own: a private nginx, for each app two php-fpm pools that wait
 * to be started, and everything swap-pool needs to deploy them. Nothing outside the folder is
 * written, and close() leaves neither a process nor a file behind.
 *
 * As root the workers run as an ordinary user, like a real site's, so the folder can be walked
 * through by everybody; without root everything runs as the caller.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { SLOTS, fail, ok, type Result, type Slot } from '../event.js';
import { now, waitUntil, wallClock } from '../system/clock.js';
import { BASE_ENVIRONMENT, launch, run } from '../system/exec.js';
import * as files from '../system/files.js';
import { places, proxyLock, proxyProof, proxyUpgrade, slotLock } from '../system/places.js';
import {
  children,
  identify,
  inheritableDescriptors,
  procfs,
  signalProcess,
  title,
  type Procfs,
} from '../system/proc.js';
import { isDeadSandbox, markSandbox } from '../system/sandbox-mark.js';
import { canonicalPath, type Address } from '../system/sockets.js';
import { accepts, ordinaryUser, temporaryFolder, temporaryFolders, type Identity } from './machine.js';
import type { Programs } from './programs.js';
import { residents, socketsIn, type Resident } from './residents.js';
import { accountOf, type Account } from './summary.js';
import { placeSite, unixSocket, writeSite, writer, type Site, type SiteOptions } from './site.js';

export interface SandboxOptions {
  /** The folder of the package's templates. */
  readonly templates: string;
  readonly programs: Programs;
  readonly sites: readonly SiteOptions[];
  readonly nginxMain?: string;
  readonly nginxHttp?: string;
  /** May change any file before nginx is started. */
  readonly prepare?: (sandbox: Sandbox) => void;
}

/** Holds the folder and the processes in it. */
export class Sandbox {
  private readonly exitHook = (): void => {
    this.endNow();
  };

  private constructor(
    readonly folder: string,
    readonly sites: readonly Site[],
    private readonly programs: Programs,
    private readonly fs: Procfs,
  ) {
    // the last resort, for an exit that goes past close(); nothing asynchronous runs there
    process.on('exit', this.exitHook);
  }

  /**
   * Writes the folder and starts nginx; no pool runs yet. When it fails nothing is left:
   * `nginx-config-broken` with what nginx said, `state-unwritable`.
   */
  static async open(options: SandboxOptions): Promise<Result<Sandbox>> {
    for (let tries = 1; ; tries += 1) {
      const made = await Sandbox.make(options);
      if (!made.ok) return made;
      const sandbox = made.value;
      try {
        options.prepare?.(sandbox);
        const started = await sandbox.startNginx();
        if (started.ok) return ok(sandbox);
        await sandbox.close();
        // a port that was free a moment ago was taken by somebody else
        if (tries === 3 || !JSON.stringify(started.failure).includes('Address already in use'))
          return started;
      } catch (error) {
        await sandbox.close();
        throw error;
      }
    }
  }

  /**
   * Removes what sandboxes left whose owners were killed: processes, locks, folders. A sandbox is left alone
   * while a program of swap-pool still works in it. Never fails: what cannot be removed stays.
   */
  static async removeDead(programs: Programs, among = temporaryFolders()): Promise<void> {
    const fs = procfs();
    const found = [...new Set(among)].flatMap((parent) => {
      const names = files.list(parent);
      return names.ok ? names.value.map((name) => join(parent, name)) : [];
    });
    for (const folder of found) {
      if (!isDeadSandbox(fs, folder, process.geteuid?.() ?? -1)) continue;
      // no site: a TCP port may be somebody else's by now, everything else is found by the folder
      const sandbox = new Sandbox(folder, [], programs, fs);
      const node = files.realPath(process.execPath);
      const atWork = sandbox.residents().some(({ executable }) => node.ok && executable === node.value);
      if (atWork) process.off('exit', sandbox.exitHook);
      else await sandbox.close();
    }
  }

  /** For a swap-pool that shall see this sandbox and no other app. */
  get env(): Readonly<Record<string, string>> {
    return {
      SWAP_POOL_CONFIG_DIR: this.path('config'),
      SWAP_POOL_STATE_DIR: this.path('state'),
      SWAP_POOL_RUN_DIR: this.path('run'),
    };
  }

  path(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }

  site(name = this.sites[0]?.name): Site {
    const found = this.sites.find((site) => site.name === name);
    if (found === undefined) throw new Error(`no site ${name ?? ''} in the sandbox`);
    return found;
  }

  /** Ids of the work after fastcgi_finish_request that came to its end. */
  finished(): string[] {
    const text = files.readText(this.path('work', 'finished'));
    return text.ok ? text.value.split('\n').filter(Boolean) : [];
  }

  /** What nginx has written of its reloads and of the requests it has read. */
  account(): Account {
    const log = files.readText(this.path('log', 'nginx.log'));
    const access = files.readText(this.path('log', 'access.log'));
    return accountOf(log.ok ? log.value : '', access.ok ? access.value : '', wallClock() - now());
  }

  async startNginx(): Promise<Result<void>> {
    const ran = await run([this.programs.nginx, '-c', this.path('nginx.conf')], {
      timeout: 20_000,
      // the one variable that nginx keeps: its log's times shall be those of Account
      env: { TZ: 'UTC' },
    });
    if (ran.status !== 0) {
      return fail({ reason: 'nginx-config-broken', output: ran.stderr || (ran.failure ?? '') });
    }
    // its sockets are bound when the command returns, the pidfile and the workers come after
    const up = await waitUntil(
      async () => (this.nginxMaster() !== null && (await accepts(this.site().port)) ? true : undefined),
      { deadline: 10_000 },
    );
    return up.kind === 'seen'
      ? ok(undefined)
      : fail({ reason: 'nginx-not-running', config: this.path('nginx.conf') });
  }

  /** nginx's master, confirmed by its title; null when it does not run. */
  nginxMaster(): number | null {
    const pid = pidIn(this.path('run', 'nginx.pid'));
    if (pid === null || identify(this.fs, pid) === null) return null;
    return title(this.fs, pid).includes(`nginx: master process`) && title(this.fs, pid).includes(this.folder)
      ? pid
      : null;
  }

  /** A slot's FPM master, confirmed by its title; null when it does not run or has lost its pidfile. */
  poolMaster(slot: Slot, name?: string): number | null {
    const site = this.site(name);
    const pid = pidIn(site.pidfile[slot]);
    if (pid === null || identify(this.fs, pid) === null) return null;
    return title(this.fs, pid) === `php-fpm: master process (${site.fpmConfig[slot]})` ? pid : null;
  }

  /** Starts a pool by hand, as no swap-pool would have to: for what has to be there before it comes. */
  async startPool(slot: Slot, name?: string): Promise<Result<void>> {
    const site = this.site(name);
    const log = this.path('log', `${site.name}-${slot}.start.log`);
    const output = files.openOutput(log);
    if (!output.ok) return fail({ reason: 'state-unwritable', path: log, code: output.code });
    const blank = files.openNull();
    const command = [this.programs.fpm, '-D', '-y', site.fpmConfig[slot]];
    const ran = await launch(command, {
      env: { ...BASE_ENVIRONMENT, SWAP_POOL_SLOT: slot },
      output: output.value,
      blanked: inheritableDescriptors(this.fs),
      blank,
      timeout: 10_000,
    });
    files.close(blank);
    files.close(output.value);
    // the pidfile is there before the first worker is
    const works = (): true | undefined => {
      const workers = children(this.fs, this.poolMaster(slot, name) ?? 0);
      return workers.some((pid) => title(this.fs, pid).startsWith('php-fpm: pool ')) ? true : undefined;
    };
    const up = await waitUntil(works, { deadline: ran.status === 0 ? 10_000 : 0 });
    if (up.kind === 'seen') return ok(undefined);
    const said = files.readText(log);
    return fail({
      reason: 'start-failed',
      slot,
      command,
      status: ran.status,
      log: said.ok ? said.value : '',
    });
  }

  /** Every process of the sandbox. */
  residents(): Resident[] {
    return residents(this.fs, this.folder, this.tcpAddresses());
  }

  /**
   * Ends nginx and the pools and removes the folder. Gives back what is left all the same, in
   * words of /proc: empty when all is well. May be called twice.
   */
  async close(): Promise<readonly string[]> {
    process.off('exit', this.exitHook);
    // the load has been stopped by now, so nobody waits for an answer: TERM, and KILL for what does not go
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const gone = await waitUntil(() => (this.signalAll(signal) === 0 ? true : undefined), {
        deadline: 5_000,
        pace: () => 20,
      });
      if (gone.kind === 'seen') break;
    }
    this.removeLocks();
    files.removeFolder(this.folder);
    return this.leftovers();
  }

  /**
   * A lock file is never unlinked, or two could hold what each takes for the lock. The addresses
   * of this folder die with it, so here nobody can come after. TCP ports live on, and so do theirs.
   */
  private removeLocks(): void {
    const { locks } = places({}, process.getuid?.() ?? -1);
    const nginx = files.realPath(this.path('nginx.conf'));
    if (nginx.ok) {
      files.removeFile(proxyLock(locks, nginx.value));
      files.removeFile(proxyProof(locks, nginx.value));
      files.removeFile(proxyUpgrade(locks, nginx.value));
    }
    const configs = files.list(this.path('config'));
    for (const file of configs.ok ? configs.value : []) {
      for (const slot of SLOTS) {
        const path = unixSocket(this.folder, file.replace(/\.yaml$/, ''), slot);
        files.removeFile(slotLock(locks, { kind: 'unix', path: canonicalPath(path) }));
      }
    }
  }

  private leftovers(): string[] {
    return [
      ...this.residents().map(({ id, command }) => `process ${id.pid}: ${command}`),
      ...socketsIn(this.fs, this.folder).map(({ path }) => `socket ${path}`),
      ...(files.exists(this.folder) ? [`folder ${this.folder}`] : []),
    ];
  }

  /** Signals the topmost of our programs' processes (their own children are theirs to end); how many there were. */
  private signalAll(signal: 'SIGTERM' | 'SIGKILL'): number {
    const ours = this.residents().filter((one) => this.isOurs(one));
    const tops = ours.filter((one) => signal === 'SIGKILL' || !ours.some(({ id }) => id.pid === one.ppid));
    for (const { id } of tops) signalProcess(this.fs, id, signal);
    return ours.length;
  }

  /** Only the two programs are ever signalled: somebody may look at our log with a pager. */
  private isOurs(resident: Resident): boolean {
    return Object.values(this.programs).some((program: string) => {
      const real = files.realPath(program);
      return real.ok && resident.executable === real.value;
    });
  }

  private endNow(): void {
    while (this.signalAll('SIGKILL') > 0);
    files.removeFolder(this.folder);
  }

  private tcpAddresses(): Address[] {
    return this.sites
      .flatMap(({ address }) => Object.values(address))
      .filter((address) => !address.startsWith('unix:'))
      .map((address) => ({ kind: 'tcp', host: '127.0.0.1', port: Number(address.split(':')[1]) }));
  }

  // ---------------------------------------------------------------- the files

  private static async make(options: SandboxOptions): Promise<Result<Sandbox>> {
    const identity = process.geteuid?.() === 0 ? ordinaryUser() : null;
    const folder = join(temporaryFolder(identity !== null), `swap-pool-${randomBytes(5).toString('hex')}`);
    const sites: Site[] = [];
    for (const site of options.sites) sites.push(await placeSite(folder, site));
    const sandbox = new Sandbox(folder, sites, options.programs, procfs());
    const written = sandbox.write(options, identity);
    if (written.ok) return ok(sandbox);
    await sandbox.close();
    return written;
  }

  private write(options: SandboxOptions, identity: Identity | null): Result<void> {
    const { folder } = this;
    for (const [name, mode] of FOLDERS) {
      const path = join(folder, name);
      const made = files.makeFolder(path, mode);
      if (!made.ok) return fail({ reason: 'state-unwritable', path, code: made.code });
      if (name !== '') continue;
      const marked = markSandbox(this.fs, path);
      if (!marked.ok) return fail({ reason: 'state-unwritable', path, code: marked.code });
    }
    const put = writer(options.templates);
    const plans: Result<void>[] = [
      put('demo/nginx.conf', this.path('nginx.conf'), {
        folder,
        user: identity === null ? '' : `user ${identity.user} ${identity.group};`,
        main_more: options.nginxMain ?? '',
        http_more: options.nginxHttp ?? '',
      }),
      put('demo/fastcgi_params', this.path('fastcgi_params'), {}),
      ...SCRIPTS.map((name) => put(`demo/${name}.php`, this.path('www', `${name}.php`), {})),
      ...this.sites.flatMap((site, index) => {
        const wanted = options.sites[index];
        return wanted === undefined
          ? []
          : writeSite(put, { folder, site, wanted, programs: options.programs, identity });
      }),
    ];
    return plans.find((plan) => !plan.ok) ?? ok(undefined);
  }
}

/** What a site of the demo, or of a test, answers with. */
export const SCRIPTS: readonly string[] = [
  'reply',
  'fast',
  'slow',
  'post',
  'upload',
  'finish',
  'whoami',
  'health',
  'verify',
];

/** `work` is where scripts leave their traces, so the pools' user has to be able to write there. */
const FOLDERS: readonly (readonly [string, number])[] = [
  ['', 0o755],
  ['config', 0o755],
  ['pools', 0o755],
  ['upstreams', 0o755],
  ['sites', 0o755],
  ['www', 0o755],
  ['run', 0o755],
  ['log', 0o755],
  ['temp', 0o755],
  ['state', 0o700],
  ['work', 0o1777],
];

function pidIn(path: string): number | null {
  const text = files.readText(path);
  return text.ok && /^\d+\s*$/.test(text.value) ? Number(text.value) : null;
}
