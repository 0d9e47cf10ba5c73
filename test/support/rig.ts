/**
 * What end-to-end tests stand on: a sandbox with a real nginx and real pools, live load, the
 * real program, hands to break things with, and at the end the checks that nobody writes.
 *
 *     await withRig({ switch: 'symlink' }, async (rig) => {
 *       await rig.deployed();
 *       await rig.load(EVERYTHING);
 *       expect(await rig.deploy()).toMatchObject({ exit: 0 });
 *     });
 */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Load, type LoadPlan } from '../../src/demo/load.js';
import { findPrograms } from '../../src/demo/programs.js';
import { Sandbox, type SandboxOptions } from '../../src/demo/sandbox.js';
import type { Site, SiteOptions } from '../../src/demo/site.js';
import type { Slot, SwitchKind } from '../../src/event.js';
import { after, waitUntil } from '../../src/system/clock.js';
import { identify, isAlive, procfs, signalProcess } from '../../src/system/proc.js';
import {
  checkFiles,
  checkJournals,
  checkLoad,
  checkNginxLog,
  checkProcesses,
  filesOf,
  isListening,
  nothingAllowed,
  readJournals,
  type Allowance,
  type JournalFile,
} from './checks.js';
import { Command, type CommandOptions, type Run } from './command.js';
import { HUNG, PATIENCE } from './limits.js';

export interface RigOptions extends Partial<Pick<SandboxOptions, 'nginxMain' | 'nginxHttp' | 'prepare'>> {
  /** Of the one site `demo`; more sites, or another name, with `sites`. */
  readonly switch?: SwitchKind;
  readonly site?: Partial<SiteOptions>;
  readonly sites?: readonly SiteOptions[];
  /** Programs beside nginx and php-fpm that run in the sandbox, and end with it. */
  readonly others?: readonly string[];
  /** The binary to start nginx from; the machine's own. */
  readonly nginx?: string;
  /** The whole test has so many ms. */
  readonly timeout?: number;
}

/** The classes without the long ones: for tests that are not about waiting. */
export const SHORT: LoadPlan = {
  fast: { rate: 40 },
  slow: { every: 500, takes: 1_000 },
  post: { clients: 1, takes: 5 },
  upload: { every: 500, takes: 700, bytes: 50_000 },
  finish: { every: 700, takes: 500 },
};

/** Runs a test on a rig of its own. Its processes and files are gone afterwards, whatever happens. */
export async function withRig(options: RigOptions, act: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = await Rig.open(options);
  try {
    await bounded(act(rig), options.timeout ?? HUNG);
    const problems = await rig.finish();
    if (problems.length > 0) throw new Error(`at the end of the test:\n  ${problems.join('\n  ')}`);
  } catch (error) {
    if (error instanceof Error) error.message += `\n\n${rig.story()}`;
    throw error;
  } finally {
    await rig.close();
  }
}

/** Holds a sandbox, the loads on it and the programs that were run. */
export class Rig {
  /** What this test expects to be otherwise at its end. */
  readonly allow: Allowance = nothingAllowed();
  private readonly loads: { readonly load: Load; readonly site: Site }[] = [];
  private readonly commands: Command[] = [];
  private readonly fs = procfs();
  private holds = 0;
  /** Where a run that is killed leaves what it had for itself. */
  private readonly temporary = mkdtempSync(join(tmpdir(), 'swap-pool-rig-'));
  private readonly before: readonly string[];

  private constructor(readonly sandbox: Sandbox) {
    // a command may run as anybody
    chmodSync(this.temporary, 0o1777);
    this.before = filesOf(sandbox);
  }

  /** nginx runs, no pool does. Throws when it cannot. */
  static async open(options: RigOptions): Promise<Rig> {
    const programs = findPrograms();
    if (!programs.ok) throw new Error(JSON.stringify(programs.failure));
    const { site = {}, nginx = programs.value.nginx, nginxMain, nginxHttp, prepare, others = [] } = options;
    const opened = await Sandbox.open({
      templates: resolve('templates'),
      programs: { ...programs.value, nginx, ...Object.fromEntries(others.map((path) => [path, path])) },
      sites: options.sites ?? [{ name: 'demo', switch: options.switch ?? 'rewrite', workers: 16, ...site }],
      ...(nginxMain === undefined ? {} : { nginxMain }),
      ...(nginxHttp === undefined ? {} : { nginxHttp }),
      ...(prepare === undefined ? {} : { prepare }),
    });
    if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
    writeFileSync(opened.value.path('www', 'held.php'), HELD);
    return new Rig(opened.value);
  }

  site(name?: string): Site {
    return this.sandbox.site(name);
  }

  // ---------------------------------------------------------------- the program

  /** Starts a command of swap-pool, its app included in `args`. */
  spawn(args: readonly string[], options: CommandOptions = {}): Command {
    const command = new Command(args, {
      ...options,
      env: { ...this.sandbox.env, TMPDIR: this.temporary, ...options.env },
    });
    this.commands.push(command);
    return command;
  }

  run(args: readonly string[], options: CommandOptions = {}): Promise<Run> {
    return this.spawn(args, options).end;
  }

  /** `deploy` of the first site, or of the one whose name leads `args`. */
  deploy(args: readonly string[] = [], options: CommandOptions = {}): Promise<Run> {
    return this.run(deployArgs(this.site().name, args), options);
  }

  spawnDeploy(args: readonly string[] = [], options: CommandOptions = {}): Command {
    return this.spawn(deployArgs(this.site().name, args), options);
  }

  /** Brings every site up by a first deploy each; throws when one does not come. */
  async deployed(): Promise<void> {
    for (const { name } of this.sandbox.sites) {
      const run = await this.deploy([name]);
      if (run.exit !== 0) throw new Error(`the first deploy of ${name} failed:\n${run.stdout}${run.stderr}`);
    }
  }

  journals(): JournalFile[] {
    return readJournals(this.sandbox);
  }

  // ---------------------------------------------------------------- load

  /** Sends load until the end of the test; every request of it has to be answered. */
  async load(plan: LoadPlan = SHORT, of?: string): Promise<Load> {
    const site = this.site(of);
    const host = `${site.name}.test`;
    const name = this.loads.length === 0 ? {} : { name: String(this.loads.length + 1) };
    const load = await Load.start({
      port: site.port,
      host,
      plan,
      timeoutMs: PATIENCE,
      longestMs: HUNG,
      ...name,
    });
    this.loads.push({ load, site });
    return load;
  }

  /**
   * Sends requests that workers of the pool hold until they are let go of: what is to be true meanwhile needs no span of time.
   * Waits until `entered` of them (all, unless said) are being worked on; more than there are workers are queued.
   */
  async occupy(count = 1, entered = count): Promise<Held> {
    this.holds += 1;
    const id = `held-${this.holds}`;
    const at = (name: string): string => this.sandbox.path('work', `${id}-${name}`);
    const ask = async (): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${this.site().port}/held.php?id=${id}`, {
        headers: { connection: 'close' },
      });
      return response.status === 200 ? (await response.text()).trim() : String(response.status);
    };
    const answers = Promise.all(Array.from({ length: count }, () => ask().catch(String)));
    await this.until(() => existsSync(at('entered')) && statSync(at('entered')).size >= entered);
    return {
      id,
      worker: () => Number(readFileSync(at('worker'), 'utf8')),
      answers,
      release: () => {
        writeFileSync(at('released'), '');
        return answers;
      },
    };
  }

  async until(what: () => boolean, deadline = PATIENCE): Promise<void> {
    const seen = await waitUntil(() => (what() ? true : undefined), { deadline, pace: () => 5 });
    if (seen.kind !== 'seen') throw new Error(`not seen: ${what.toString()}`);
  }

  /** The slot that answers a request through nginx now. */
  async answering(name?: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.site(name).port}/whoami.php`, {
      headers: { connection: 'close' },
    });
    return response.status === 200 ? (await response.text()).trim() : String(response.status);
  }

  isListening(slot: Slot, name?: string): boolean {
    return isListening(this.sandbox, slot, name);
  }

  // ---------------------------------------------------------------- hands

  /**
   * A request that a worker of nginx is busy with until `finish`, which gives the answer's status (null: the
   * connection broke): a POST, half of whose body has yet to come. It has been begun when this resolves.
   */
  hold(name?: string): Promise<{ readonly finish: () => Promise<number | null> }> {
    const { port, name: host } = this.site(name);
    const sent = request({
      host: '127.0.0.1',
      port,
      path: '/upload.php?id=held',
      method: 'POST',
      agent: false,
      headers: { host: `${host}.test`, connection: 'close', 'content-length': 4, expect: '100-continue' },
    });
    const status = new Promise<number | null>((resolve) => {
      sent.on('error', () => {
        resolve(null);
      });
      sent.on('response', (response) => {
        response.resume().on('close', () => {
          resolve(response.complete ? (response.statusCode ?? null) : null);
        });
      });
    });
    const finish = (): Promise<number | null> => {
      sent.end('ab');
      return status;
    };
    return new Promise((resolve) => {
      // nginx says so when it begins to read the body
      sent.on('continue', () => {
        sent.write('ab');
        resolve({ finish });
      });
      sent.flushHeaders();
    });
  }

  /** Signals a slot's master, confirmed by its title, and with `gone` waits until it has gone. */
  async signalPool(slot: Slot, signal: NodeJS.Signals, { gone = true, name = '' } = {}): Promise<void> {
    await this.signal(this.sandbox.poolMaster(slot, name === '' ? undefined : name), signal, gone);
  }

  async signalNginx(signal: NodeJS.Signals, { gone = false } = {}): Promise<void> {
    await this.signal(this.sandbox.nginxMaster(), signal, gone);
  }

  /** How the health script of a slot is broken from now on; null mends it. */
  breakSlot(slot: Slot, how: 'status' | 'body' | 'fatal' | 'hang' | 'exit' | null): void {
    this.mark(`broken-${slot}`, how);
  }

  /** Breaks the answer to the verification that comes through nginx, the health script stays well. */
  breakVerify(slot: Slot, broken = true): void {
    this.mark(`unverified-${slot}`, broken ? 'yes' : null);
  }

  writePidfile(slot: Slot, text: string, name?: string): void {
    writeFileSync(this.site(name).pidfile[slot], text);
  }

  read(...path: readonly string[]): string {
    return readFileSync(this.sandbox.path(...path), 'utf8');
  }

  /** Every file's text by its path; sockets and logs left out. For what must change nothing. */
  contents(): ReadonlyMap<string, string> {
    const paths = filesOf(this.sandbox).filter((path) => !/^(log|work)\/|\.sock$/.test(path));
    return new Map(paths.map((path) => [path, this.read(path)]));
  }

  append(text: string, ...path: readonly string[]): void {
    appendFileSync(this.sandbox.path(...path), text);
  }

  // ---------------------------------------------------------------- the end

  /** Stops the loads and looks for everything that must not be. Sentences, none when all is well. */
  async finish(): Promise<string[]> {
    const running = this.commands
      .filter((command) => command.running)
      .map((command) => `swap-pool still runs: ${command.pid}`);
    const loads = await Promise.all(
      this.loads.map(({ load, site }) => checkLoad(this.sandbox, load, site.switch, this.allow)),
    );
    return [...running, ...loads.flat(), ...(await this.disorder())];
  }

  /** The checks that need no end of the load: for every time a test has brought things in order. */
  async disorder(): Promise<string[]> {
    return [
      ...(await checkProcesses(this.sandbox, this.allow)),
      ...checkNginxLog(this.sandbox, this.allow),
      ...checkFiles(this.sandbox, this.before, this.allow),
      ...checkJournals(this.sandbox, this.allow),
    ];
  }

  /** Ends everything, at once and whatever state it is in. May be called twice. */
  async close(): Promise<void> {
    for (const { load } of this.loads) load.abandon();
    for (const command of this.commands) command.kill('SIGKILL');
    const left = await this.sandbox.close();
    rmSync(this.temporary, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
  }

  /** What was said by everybody, for a test that failed. */
  story(): string {
    const said = this.commands.map(
      ({ stdout, stderr }, index) => `--- command ${index + 1}\n${stdout}${stderr}`,
    );
    const logs = [
      'nginx.log',
      ...this.sandbox.sites.flatMap(({ name }) => [`${name}-blue.fpm.log`, `${name}-green.fpm.log`]),
    ];
    const tails = logs
      .filter((log) => existsSync(this.sandbox.path('log', log)))
      .map((log) => `--- ${log}\n${this.read('log', log).split('\n').slice(-12).join('\n')}`);
    return [...said, ...tails].join('\n');
  }

  private async signal(pid: number | null, signal: NodeJS.Signals, gone: boolean): Promise<void> {
    const id = pid === null ? null : identify(this.fs, pid);
    if (id === null) throw new Error('there is no master to signal');
    signalProcess(this.fs, id, signal);
    if (gone) await this.until(() => !isAlive(this.fs, id));
  }

  private mark(file: string, text: string | null): void {
    const path = this.sandbox.path('work', file);
    if (text === null) rmSync(path, { force: true });
    else writeFileSync(path, text);
  }
}

/** Requests that are held. */
export interface Held {
  readonly id: string;
  /** The worker of the pool that holds the one that was entered last. */
  readonly worker: () => number;
  /** What each was answered: its id, or a status or an error that tells why not. */
  readonly answers: Promise<readonly string[]>;
  /** Lets them end; gives the answers. */
  readonly release: () => Promise<readonly string[]>;
}

/** Loops on the clock, as a QUIT cuts usleep() short; says something now and then, or nginx would give it up. */
const HELD = `<?php
$at = dirname(__DIR__) . '/work/' . $_GET['id'];
header('X-Pool: ' . getenv('SWAP_POOL_SLOT') . '/' . getmypid());
file_put_contents("$at-worker", getmypid());
file_put_contents("$at-entered", '.', FILE_APPEND | LOCK_EX);
for ($end = hrtime(true) + 900e9, $next = 0; !file_exists("$at-released") && hrtime(true) < $end; usleep(2000)) {
    if (hrtime(true) < $next) continue;
    echo ' ';
    flush();
    $next = hrtime(true) + 10e9;
}
echo $_GET['id'];
`;

const deployArgs = (first: string, args: readonly string[]): string[] =>
  args[0] === undefined || args[0].startsWith('-') ? ['deploy', first, ...args] : ['deploy', ...args];

/** Vitest gives a test up and does not clean up after it, so the test gives itself up before. */
export function bounded(act: Promise<void>, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = after(ms, () => {
      reject(new Error(`the test took longer than ${ms} ms`));
    });
    void act.then(resolve, reject).finally(cancel);
  });
}
