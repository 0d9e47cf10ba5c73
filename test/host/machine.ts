/**
 * A machine of its own for a test: Debian with its systemd, booted in a container from a copy of the
 * kept root, with no network but its loopback. Everything here is seen from outside.
 *
 * It dies with this process, however that ends: the first process of a pid namespace around it all gets
 * KILL when its parent goes, and takes everybody along (nspawn's own death leaves its Debian alive); the
 * mounts stand in a namespace that goes, too. What can be left is a folder and empty control groups; their
 * name says whose they were, and the next run clears them away (sweep).
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  rmdirSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { boot } from '../../scripts/debian-root.mjs';
import type { ProcessId } from '../../src/event.js';
import { waitUntil } from '../../src/system/clock.js';
import {
  children,
  commandName,
  identify,
  isAlive,
  pids,
  procfs,
  readStat,
  signalProcess,
  title,
} from '../../src/system/proc.js';

const fs = procfs();
const OWNER = /^swap-pool-(?:host|packed)-(\d+)-(\d+)-/;
const OUTSIDE = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };

/** What a program said that was run and has ended. */
export interface Said {
  /** null: ended by a signal, or not started. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Inhabitant {
  readonly id: ProcessId;
  readonly ppid: number;
  readonly command: string;
}

export interface MachineOptions {
  readonly root: string;
  /** Files and folders of this machine that are to be read there: where here, where there. */
  readonly binds: Readonly<Record<string, string>>;
}

/** Holds a running container. */
export class Machine {
  private leaderId: ProcessId | null = null;
  private readonly gone: Promise<void>;
  private ended = false;

  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcess,
  ) {
    this.gone = new Promise((done) => {
      child.on('close', () => {
        this.ended = true;
        done();
      });
      child.on('error', () => {
        this.ended = true;
        done();
      });
    });
  }

  /** Boots, and waits until systemd has done what it does at boot. Throws with the console when it cannot. */
  static async boot({ root, binds }: MachineOptions): Promise<Machine> {
    const folder = ownFolder('host');
    const console = openSync(join(folder, 'console'), 'a');
    const [file = '', ...argv] = boot(folder, root, basename(folder), [
      ...['--boot', '--hostname=host', '--timezone=off', '--console=read-only'],
      ...Object.entries(binds).map(([here, there]) => `--bind-ro=${here}:${there}`),
    ]);
    const child = spawn(file, argv, { env: OUTSIDE, stdio: ['ignore', console, console] });
    closeSync(console);
    const machine = new Machine(folder, child);
    try {
      await machine.up();
    } catch (error) {
      await machine.close();
      throw error;
    }
    return machine;
  }

  /** The pid of its systemd, here. */
  get leader(): number {
    if (this.leaderId === null) throw new Error('the host does not run');
    return this.leaderId.pid;
  }

  /** argv that runs argv in there: with all its namespaces, but in no control group of it. Namespaces as nsenter's options. */
  enter(argv: readonly string[], namespaces: readonly string[] = ['--all']): string[] {
    return ['/usr/bin/nsenter', '--target', String(this.leader), ...namespaces, '--', ...argv];
  }

  /** Runs a program in there and waits for it: for short looks and small hands, beside the host's systemd. */
  look(argv: readonly string[], input: string | Uint8Array = ''): Said {
    const [file = '', ...rest] = this.enter(argv);
    const { status, stdout, stderr } = spawnSync(file, rest, {
      encoding: 'utf8',
      env: OUTSIDE,
      cwd: '/',
      input,
      maxBuffer: 1 << 26,
      timeout: 60_000,
    });
    return { status, stdout, stderr };
  }

  /** Every process of the host, with its pid here; not those that were sent in from here. */
  inhabitants(): Inhabitant[] {
    const namespace = namespaceOf(this.leader);
    const inside = new Set(pids(fs).filter((pid) => namespaceOf(pid) === namespace));
    return [...inside].flatMap((pid) => {
      const id = identify(fs, pid);
      const ppid = readStat(fs, pid)?.ppid;
      if (id === null || ppid === undefined) return [];
      // who has entered from here, as look() does, has its parent here
      return pid === this.leader || inside.has(ppid) ? [{ id, ppid, command: title(fs, pid) }] : [];
    });
  }

  /** Boots it again, and waits until it is up: its disk is what it was, its /run is empty. `hard`: no unit is stopped. */
  async reboot({ hard = false } = {}): Promise<void> {
    const before = this.leaderId;
    this.look(['systemctl', 'reboot', ...(hard ? ['--force', '--force'] : [])]);
    const down = await waitUntil(() => (before !== null && isAlive(fs, before) ? undefined : true), {
      deadline: 90_000,
    });
    if (down.kind !== 'seen') throw new Error(`the host does not go down:\n${this.console()}`);
    await this.up();
  }

  /** The last lines of its console. */
  console(): string {
    return readFileSync(join(this.folder, 'console'), 'utf8').split('\n').slice(-30).join('\n');
  }

  /** Ends it as a power cut would, and clears everything away. May be called twice. */
  async close(): Promise<void> {
    if (!this.ended) this.child.kill('SIGKILL');
    await this.gone;
    await clear(this.folder);
  }

  private async up(): Promise<void> {
    this.leaderId = null;
    const seen = await waitUntil(
      () => {
        if (this.ended) return 'ended';
        this.leaderId ??= leaderBelow(this.child.pid ?? -1);
        if (this.leaderId === null) return undefined;
        const said = this.look(['systemctl', 'is-system-running']).stdout.trim();
        return said === 'running' || said === 'degraded' ? said : undefined;
      },
      { deadline: 60_000, pace: () => 20 },
    );
    if (seen.kind === 'seen' && seen.value !== 'ended') return;
    throw new Error(`the host does not come up:\n${this.console()}`);
  }
}

/** A new temporary folder, named after this process. */
export const ownFolder = (kind: 'host' | 'packed'): string =>
  mkdtempSync(join(tmpdir(), `swap-pool-${kind}-${process.pid}-${identify(fs, process.pid)?.start ?? 0}-`));

/** Clears away what runs have left that were killed, by their names: nobody else's, and no living one's. */
export async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const [, pid = '', start = ''] = OWNER.exec(name) ?? [];
    if (pid === '' || identify(fs, Number(pid))?.start === Number(start)) continue;
    await clear(join(tmpdir(), name));
  }
}

async function clear(folder: string): Promise<void> {
  const list = join(folder, 'cgroups');
  const groups = existsSync(list) ? readFileSync(list, 'utf8').split('\n').filter(Boolean) : [];
  // a namespace's first process has taken all others with it, but they take a moment to go
  const empty = await waitUntil(
    () => {
      const left = groups.flatMap((group) => foldersBelow(group).flatMap(membersOf));
      for (const id of left) signalProcess(fs, id, 'SIGKILL');
      return left.length === 0 ? true : undefined;
    },
    { deadline: 20_000 },
  );
  if (empty.kind !== 'seen') throw new Error(`processes of ${folder} do not go`);
  for (const group of groups) for (const below of foldersBelow(group)) removeGroup(below);
  if (readFileSync('/proc/self/mountinfo', 'utf8').includes(folder)) throw new Error(`mounts in ${folder}`);
  rmSync(folder, { recursive: true, force: true });
}

/** A control group and those in it, the innermost first; none when it is gone. */
function foldersBelow(group: string): string[] {
  if (!existsSync(group)) return [];
  const inner = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...inner.flatMap(({ name }) => foldersBelow(join(group, name))), group];
}

/** Two runs may clear away the same. */
function removeGroup(group: string): void {
  try {
    rmdirSync(group);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

const membersOf = (group: string): ProcessId[] =>
  readFileSync(join(group, 'cgroup.procs'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((pid) => identify(fs, Number(pid)))
    .filter((id) => id !== null);

/** The systemd that is pid 1 of a namespace of its own, somewhere below a process; null as long as there is none. */
function leaderBelow(pid: number): ProcessId | null {
  for (const child of children(fs, pid)) {
    const own = namespaceOf(child) !== null && namespaceOf(child) !== namespaceOf(process.pid);
    // nspawn's own child has entered the namespace too, before it becomes systemd
    if (own && commandName(fs, child) === 'systemd') return identify(fs, child);
    const below = leaderBelow(child);
    if (below !== null) return below;
  }
  return null;
}

function namespaceOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return null;
  }
}
