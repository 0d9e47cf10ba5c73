/**
 * What host tests stand on: a booted Debian of the test's own, with its systemd, its nginx and its
 * php-fpm as they come, swap-pool installed from the packed package, live load, and at the end the checks
 * that nobody writes.
 *
 *     onHost('a deploy cuts nothing', {}, async (host) => {
 *       putSite(host, 'rewrite');                                  // site.ts has sites to begin with
 *       await host.load();
 *       expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0 });
 *     });
 *
 * - run(), swapPool() and spawn() run a program as systemd runs a unit: in a control group of its own, with
 *   systemd's environment. As with a login, what the program leaves behind lives on when it ends;
 *   `{ properties: { KillMode: 'control-group' } }` has it killed.
 * - sh() is a quick hand from outside: a shell line in all the host's namespaces, but in no unit of it.
 * - Whatever starts a service belongs in run() or sh('systemctl start …'): a daemon that sh() itself started
 *   would be nobody's child.
 * - Expected trouble is said beforehand: `host.allow.failedUnits.push(/^shop-fpm@/)`.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { inject, it } from 'vitest';
import type { LoadPlan } from '../../src/demo/load.js';
import { waitUntil } from '../../src/system/clock.js';
import { Command, type CommandOptions, type Run } from '../support/command.js';
import { SHORT, bounded } from '../support/rig.js';
import { disorder, endLoad, nothingAllowed, type HostAllowance } from './checks.js';
import { HostLoad } from './load.js';
import { Machine, type Said } from './machine.js';

export interface HostOptions {
  /** The whole test has so many ms; two minutes. */
  readonly timeout?: number;
  /** Without swap-pool installed. */
  readonly bare?: boolean;
}

export interface RunOptions extends Pick<CommandOptions, 'json' | 'closeStdout'> {
  /** Over what systemd gives a unit. */
  readonly env?: Readonly<Record<string, string>>;
  /** Properties of its unit, as systemd-run's --property takes them. */
  readonly properties?: Readonly<Record<string, string>>;
}

/** A test on a host of its own; skipped where none can be booted, which the run says at its begin. */
export function onHost(claim: string, options: HostOptions, act: (host: Host) => Promise<void>): void {
  const { timeout = 120_000 } = options;
  // the test gives itself up before vitest does, which would not clean up after it
  it.skipIf(inject('host').why !== null)(claim, { timeout: timeout + 60_000 }, () =>
    withHost({ ...options, timeout }, act),
  );
}

/** Runs a test on a host of its own, which is gone afterwards, whatever happens. */
export async function withHost(options: HostOptions, act: (host: Host) => Promise<void>): Promise<void> {
  const host = await Host.boot(options);
  try {
    await bounded(act(host), options.timeout ?? 120_000);
    const problems = await host.finish();
    if (problems.length > 0) throw new Error(`at the end of the test:\n  ${problems.join('\n  ')}`);
  } catch (error) {
    if (error instanceof Error) error.message += `\n\n${host.story()}`;
    throw error;
  } finally {
    await host.close();
  }
}

/** Holds the machine, the programs that run there and the load on it. */
export class Host {
  /** What this test expects to be otherwise at its end. */
  readonly allow: HostAllowance = nothingAllowed();
  private readonly commands: { readonly argv: readonly string[]; readonly command: Command; unit: string }[] =
    [];
  private readonly loads: HostLoad[] = [];

  private constructor(
    readonly machine: Machine,
    private readonly sender: string,
  ) {}

  static async boot(options: HostOptions = {}): Promise<Host> {
    const made = inject('host');
    if (made.why !== null) throw new Error(made.why);
    const machine = await Machine.boot({
      root: made.root,
      binds: { [process.execPath]: '/usr/bin/node', [made.npm]: NPM, [dirname(made.package)]: PACKED },
    });
    const host = new Host(machine, made.sender);
    try {
      // reloads are told at `notice`; Debian's own log stays as it is, at `error`
      host.write('/etc/nginx/modules-enabled/99-notice.conf', `error_log ${NOTICES} notice;\n`);
      await host.reloadNginx();
      if (options.bare !== true) await host.install();
      return host;
    } catch (error) {
      await host.close();
      throw error;
    }
  }

  /** `npm install -g`, of what `npm pack` made; without any network. */
  async install(): Promise<void> {
    const npm = ['/usr/bin/node', `${NPM}/bin/npm-cli.js`, 'install', '--global', '--offline', '--no-audit'];
    const [packed = ''] = this.sh(`ls ${PACKED}/*.tgz`).split('\n');
    // npm's own files are kept in HOME, which a unit has not
    const run = await this.run([...npm, '--no-fund', packed], { env: { HOME: '/root' } });
    if (run.exit !== 0) throw new Error(`npm install failed:\n${run.stdout}${run.stderr}`);
  }

  // ---------------------------------------------------------------- programs

  /** Starts a program in a unit of its own. With `json` its last line is its result. */
  spawn(argv: readonly string[], options: RunOptions = {}): Command {
    const { env = {}, properties = {}, json = false, closeStdout = false } = options;
    const unit = `test-${randomBytes(4).toString('hex')}`;
    const program = this.machine.enter([
      ...['/usr/bin/systemd-run', '--pipe', '--wait', '--quiet', '--collect', `--unit=${unit}`],
      ...Object.entries({ KillMode: 'process', ...properties }).map(
        ([key, value]) => `--property=${key}=${value}`,
      ),
      ...Object.entries(env).map(([key, value]) => `--setenv=${key}=${value}`),
      '--',
    ]);
    const command = new Command(argv, { program, json, closeStdout });
    this.commands.push({ argv, command, unit });
    return command;
  }

  run(argv: readonly string[], options: RunOptions = {}): Promise<Run> {
    return this.spawn(argv, options).end;
  }

  /** A command of swap-pool, with --json unless told otherwise. */
  swapPool(args: readonly string[], options: RunOptions = {}): Promise<Run> {
    return this.run(['swap-pool', ...args], { json: true, ...options });
  }

  /** Signals what a spawned program's unit runs, and not systemd-run. */
  kill(command: Command, signal: NodeJS.Signals): void {
    const unit = this.commands.find((one) => one.command === command)?.unit ?? '';
    this.sh(`systemctl kill --signal=${signal} ${unit}`);
  }

  /** A shell line, at once, from outside; gives its output and throws when it fails. */
  sh(line: string): string {
    const { status, stdout, stderr } = this.trySh(line);
    if (status !== 0) throw new Error(`${line}: ${status ?? 'killed'}\n${stdout}${stderr}`);
    return stdout.trimEnd();
  }

  trySh(line: string): Said {
    return this.machine.look(['/bin/sh', '-c', line]);
  }

  // ---------------------------------------------------------------- files

  /** Every folder above it is made. It may be a link there: that is followed as the host would. */
  write(path: string, text: string, mode = '644'): void {
    // never through /proc/PID/root: an absolute link there would lead to a file of this machine
    const line = 'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"';
    const said = this.machine.look(['/bin/sh', '-c', line, 'write', path, mode], text);
    if (said.status !== 0) throw new Error(`${path}: ${said.stderr}`);
  }

  /** Files and folders below a folder of this machine, to where they are here. */
  unpack(folder: string, names: readonly string[]): void {
    const packed = execFileSync('tar', ['-C', folder, '-c', ...names], { maxBuffer: 1 << 26 });
    const line = 'mkdir -p "$1" && tar -C "$1" -x';
    const said = this.machine.look(['/bin/sh', '-c', line, 'unpack', folder], packed);
    if (said.status !== 0) throw new Error(`${folder}: ${said.stderr}`);
  }

  /** The text of a file; throws when there is none. */
  read(path: string): string {
    const { status, stdout, stderr } = this.machine.look(['/bin/cat', path]);
    if (status !== 0) throw new Error(stderr);
    return stdout;
  }

  // ---------------------------------------------------------------- the site

  /** Sends load until the end of the test; every request of it has to be answered. */
  async load(plan: LoadPlan = SHORT, { port = 80, host = 'shop.example' } = {}): Promise<HostLoad> {
    const name = this.loads.length === 0 ? {} : { name: String(this.loads.length + 1) };
    const load = new HostLoad(this.machine, this.sender, { port, host, plan, ...name });
    this.loads.push(load);
    await load.answered();
    return load;
  }

  /** What nginx answers to one GET: the body, or the status when it is not 200. */
  get(path: string, host = 'shop.example'): string {
    // a body that nobody reads keeps the connection, and with it the program, until nginx closes it
    const script = `require('http').get({ host: '127.0.0.1', port: 80, path: ${JSON.stringify(path)}, headers: { host: ${JSON.stringify(host)} } },
      (answer) => answer.statusCode === 200 ? answer.pipe(process.stdout) : console.log(answer.resume().statusCode))`;
    const said = this.machine.look(['/usr/bin/node', '-e', script]);
    if (said.status !== 0) throw new Error(said.stderr);
    return said.stdout.trim();
  }

  /** The slot that answers a request through nginx now. */
  answering(): string {
    return this.get('/whoami.php');
  }

  async until(what: () => boolean, deadline = 20_000): Promise<void> {
    const seen = await waitUntil(() => (what() ? true : undefined), { deadline, pace: () => 20 });
    if (seen.kind !== 'seen') throw new Error(`not seen: ${what.toString()}`);
  }

  /** Has nginx tested and reloaded, and waits until no older worker takes requests any more. */
  async reloadNginx(): Promise<void> {
    const workers = (): number[] =>
      this.machine
        .inhabitants()
        .filter(({ command }) => command === 'nginx: worker process')
        .map(({ id }) => id.pid);
    const before = workers();
    this.sh('nginx -t -q && systemctl reload nginx');
    await this.until(() => {
      const now = workers();
      return now.length > 0 && !now.some((pid) => before.includes(pid));
    });
  }

  /** Stops the loads, counts, and boots again. What load has lost by then is a problem at once. */
  async reboot(): Promise<void> {
    const problems = await this.endLoads();
    if (problems.length > 0) throw new Error(problems.join('\n'));
    await this.machine.reboot();
  }

  /** As after a power cut: nobody is asked to end, and the load's losses are nobody's fault. */
  async crash(): Promise<void> {
    for (const load of this.loads.splice(0)) load.abandon();
    for (const { command } of this.commands) command.kill('SIGKILL');
    await this.machine.reboot({ hard: true });
  }

  // ---------------------------------------------------------------- the end

  /** Stops the loads and looks for everything that must not be. Sentences, none when all is well. */
  async finish(): Promise<string[]> {
    const running = this.commands
      .filter(({ command }) => command.running)
      .map(({ argv }) => `still runs: ${argv.join(' ')}`);
    return [...running, ...(await this.endLoads()), ...(await disorder(this))];
  }

  async close(): Promise<void> {
    for (const load of this.loads) load.abandon();
    for (const { command } of this.commands) command.kill('SIGKILL');
    await this.machine.close();
  }

  /** What was said by everybody, for a test that failed. */
  story(): string {
    const said = this.commands
      .slice(-6)
      .map(({ argv, command }) => `--- ${argv.join(' ')}\n${command.stdout}${command.stderr}`);
    const looks = [
      'tail -n 15 /var/log/nginx/error.log',
      'journalctl --no-pager --quiet --lines=25',
      'ps -eo pid,ppid,args --no-headers | grep -E "nginx:|php-fpm|swap-pool" | grep -v grep',
    ];
    try {
      return [...said, ...looks.map((line) => `--- ${line}\n${this.trySh(line).stdout}`)].join('\n');
    } catch (error) {
      return [...said, String(error), this.machine.console()].join('\n');
    }
  }

  private async endLoads(): Promise<string[]> {
    const problems: string[] = [];
    for (const load of this.loads.splice(0)) problems.push(...(await endLoad(this, load)));
    return problems;
  }
}

const NPM = '/opt/npm';
const PACKED = '/opt/packed';
/** nginx's log at `notice`. */
export const NOTICES = '/var/log/nginx/notice.log';
