/**
 * Processes as /proc shows them. The mount point is an argument, so tests and
 * containers can hand in another one. Everything here is a synchronous look:
 * /proc files are memory, and a look must not interleave with another.
 *
 * A process that cannot be read is indistinguishable from one that is gone, but
 * for EACCES / EPERM (hidepid, another user's): functions say which they give.
 */
import { closeSync, openSync, readSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import type { ProcessId } from '../event.js';
import { now } from './clock.js';
import { readKernelFile } from './kernel-file.js';

export interface Stat {
  readonly pid: number;
  readonly comm: string;
  /** One letter: R S D Z T X … */
  readonly state: string;
  readonly ppid: number;
  /** Of setsid(2): the pid of who made it. */
  readonly session: number;
  /** Clock ticks since boot. */
  readonly start: number;
}

/** Where a blocked process waits; `running` when it is on a CPU or ready to be. */
export type Blocked =
  | { readonly kind: 'running' }
  | { readonly kind: 'syscall'; readonly number: number; readonly arguments: readonly bigint[] }
  /** Blocked, but only the kernel function is known: /proc/PID/syscall may be denied (yama) where wchan is not. */
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'unreadable' };

/** Field 22 of /proc/PID/stat counts in USER_HZ, which is 100 on every Linux architecture that Node supports. */
const TICKS_PER_SECOND = 100;

export interface Procfs {
  readonly root: string;
  readonly bootId: string;
  /** The kernel's tables of sockets as they were read, by path: see atOneMoment(). */
  readonly tables?: Map<string, Buffer>;
  /** What every process ran when they were last walked through: see sinceWalk(). */
  readonly walk?: { at: number; programs: ReadonlyMap<number, string | null> };
  /** How old that may be, ms, to be believed. */
  readonly recent?: number;
}

/** Opens a procfs; `root` is its mount point. Throws when it is none: nothing can be done without /proc. */
export function procfs(root = '/proc'): Procfs {
  const bootId = readKernelFile(`${root}/sys/kernel/random/boot_id`).trim();
  return { root, bootId, walk: { at: -Infinity, programs: new Map() } };
}

/** The stat of a process, null when it does not exist (or may not be seen). Zombies have one. */
export function readStat(fs: Procfs, pid: number): Stat | null {
  const text = read(`${fs.root}/${pid}/stat`);
  if (text === null) return null;
  // comm may hold blanks and parentheses, so the fields begin after the last one
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return null;
  const fields = text.slice(close + 2).split(' ');
  return {
    pid,
    comm: text.slice(open + 1, close),
    state: fields[0] ?? '?',
    ppid: Number(fields[1]),
    session: Number(fields[3]),
    start: Number(fields[19]),
  };
}

/**
 * A walk through the process table: the pids of those that run a program whose name passes. The name is that of its
 * file (one call, 4 us), and where that may not be read commandName() (three calls, 7 us). Thousands are walked through.
 * Who has no program is a thread of the kernel, or about to be gone.
 */
export function pidsByProgram(fs: Procfs, isMeant: (name: string) => boolean): number[] {
  const { walk, recent = 0 } = fs;
  const began = now();
  const known = walk !== undefined && began - walk.at < recent ? walk.programs : null;
  let refusals = 0;
  const nameOf = (pid: number): string | null => {
    // to be refused takes longer than all of commandName(), and whoever is not root mostly is
    if (refusals > MOST_REFUSALS) return commandName(fs, pid);
    try {
      const path = withoutMark(readlinkSync(`${fs.root}/${pid}/exe`));
      return path.slice(path.lastIndexOf('/') + 1);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // a thread of the kernel, of which there are a hundred, and whoever ends
      if (code === 'ENOENT' || code === 'ESRCH') return null;
      refusals += 1;
      return commandName(fs, pid);
    }
  };
  const programs = new Map(pids(fs).map((pid) => [pid, known?.get(pid) ?? nameOf(pid)]));
  if (walk !== undefined && known === null) Object.assign(walk, { at: began, programs });
  return [...programs].flatMap(([pid, name]) => (isMeant(name ?? '') ? [pid] : []));
}

/** As `fs`, but a pid that was there at a walk that is no older, ms, is taken to run what it ran then. */
export const sinceWalk = (fs: Procfs, recent: number): Procfs => ({ ...fs, recent });

/** Root is refused a few, too, as by a container's own init. */
const MOST_REFUSALS = 10;

/** The name of a process (`comm`: 15 bytes of its program's name, unless it changed them); null when it is gone. */
export function commandName(fs: Procfs, pid: number): string | null {
  const bytes = Buffer.allocUnsafe(32);
  try {
    const fd = openSync(`${fs.root}/${pid}/comm`, 'r');
    try {
      return bytes.toString('latin1', 0, Math.max(0, readSync(fd, bytes) - 1));
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
}

/** Whether a state means that the process runs no more: a zombie still answers kill(pid, 0), but is gone. */
const isGone = (state: string): boolean => state === 'Z' || state === 'X' || state === 'x';

/** The identity of a living process; null when there is none (zombies are none). */
export function identify(fs: Procfs, pid: number): ProcessId | null {
  const stat = readStat(fs, pid);
  return stat === null ? null : identityOf(fs, stat);
}

/** identify() of a process whose stat was read already. */
export const identityOf = (fs: Procfs, { pid, state, start }: Stat): ProcessId | null =>
  isGone(state) ? null : { boot: fs.bootId, pid, start };

/** Whether the very process lives: same boot, same pid, same start time, and no zombie. */
export function isAlive(fs: Procfs, id: ProcessId): boolean {
  if (id.boot !== fs.bootId) return false;
  const stat = readStat(fs, id.pid);
  return stat !== null && !isGone(stat.state) && stat.start === id.start;
}

export const sameProcess = (a: ProcessId, b: ProcessId): boolean =>
  a.pid === b.pid && a.start === b.start && a.boot === b.boot;

/**
 * Sends a signal to the very process, confirming its identity right before; false when
 * it is gone. Between look and kill a pid could only be reused if the process ended and
 * the whole pid space wrapped within microseconds. Throws on EPERM: a caller's bug.
 */
export function signalProcess(fs: Procfs, id: ProcessId, signal: NodeJS.Signals): boolean {
  if (id.pid <= 1 || !isAlive(fs, id)) return false;
  try {
    process.kill(id.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * The command line as one string, NULs as blanks. A process that titled itself (nginx,
 * php-fpm) shows its title here, padded, its word boundaries lost.
 */
export function title(fs: Procfs, pid: number): string {
  return (read(`${fs.root}/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trimEnd();
}

/** The command line as argv; for a process that has not titled itself. */
export function argv(fs: Procfs, pid: number): string[] {
  const text = read(`${fs.root}/${pid}/cmdline`) ?? '';
  return text === '' ? [] : text.replace(/\0$/, '').split('\0');
}

/**
 * How many bytes a process can title itself with: its argv and, right after it, its environment.
 * Null where it may not be read.
 */
export function titleRoom(fs: Procfs, pid: number): number | null {
  const area = titleArea(fs, pid);
  return area === null ? null : Number(area.end - area.begin);
}

/**
 * Whether a process was forked from another and has not called exec since: then its argv stands where the
 * other's stands, while exec puts it at a random place. Null where that may not be read.
 */
export function isForkOf(fs: Procfs, pid: number, parent: number): boolean | null {
  const [own, theirs] = [titleArea(fs, pid), titleArea(fs, parent)];
  return own === null || theirs === null ? null : own.begin === theirs.begin && own.end === theirs.end;
}

/** arg_start and env_end, fields 48 and 51 of stat; the kernel shows zeros to those who may not look. */
function titleArea(fs: Procfs, pid: number): { readonly begin: bigint; readonly end: bigint } | null {
  const text = read(`${fs.root}/${pid}/stat`);
  if (text === null) return null;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const begin = BigInt(fields[45] ?? '0');
  const end = BigInt(fields[48] ?? '0');
  return begin === 0n || end <= begin ? null : { begin, end };
}

/**
 * Whether a process lives in a pid namespace below ours, as a container's processes do that show in our /proc;
 * NSpid of its status, which anybody may read (Linux 4.1).
 */
export function inNestedPidNamespace(fs: Procfs, pid: number): boolean {
  const numbers = /^NSpid:\s+(.*)$/m.exec(read(`${fs.root}/${pid}/status`) ?? '')?.[1];
  return numbers !== undefined && numbers.trim().split(/\s+/).length > 1;
}

/** The program's path, without the kernel's ` (deleted)` after an upgrade on disk; null when unreadable. */
export function executable(fs: Procfs, pid: number): string | null {
  const path = link(`${fs.root}/${pid}/exe`);
  return path === null ? null : withoutMark(path);
}

const DELETED = ' (deleted)';
const withoutMark = (path: string): string =>
  path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;

/** A path that leads to the file that a process runs, whatever stands at its name by now; it can be run as well. */
export const executableLink = (fs: Procfs, pid: number): string => `${fs.root}/${pid}/exe`;

export const workingDirectory = (fs: Procfs, pid: number): string | null => link(`${fs.root}/${pid}/cwd`);

/** Pids of the children. Uses the task's children file where the kernel has it, else all of /proc. */
export function children(fs: Procfs, pid: number): number[] {
  const listed = read(`${fs.root}/${pid}/task/${pid}/children`);
  if (listed !== null) return listed.split(' ').filter(Boolean).map(Number);
  return pids(fs).filter((other) => readStat(fs, other)?.ppid === pid);
}

/** Everyone in a session (setsid(2)): what its leader has left behind, unless it made a session of its own. */
export const sessionOf = (fs: Procfs, leader: number): ProcessId[] =>
  pids(fs).flatMap((pid) => (readStat(fs, pid)?.session === leader ? (identify(fs, pid) ?? []) : []));

/** Every pid there is now, newest numbers last. */
export function pids(fs: Procfs): number[] {
  const found: number[] = [];
  for (const name of readdirSync(fs.root)) {
    const pid = Number(name);
    if (pid > 0) found.push(pid);
  }
  return found;
}

/**
 * Where a process (or one thread of it) is blocked. /proc/PID/syscall needs ptrace rights (root, or
 * the same user where yama allows it); wchan needs fewer.
 */
export function blocked(fs: Procfs, pid: number, thread?: number): Blocked {
  const task = `${fs.root}/${pid}${thread === undefined ? '' : `/task/${thread}`}`;
  const text = read(`${task}/syscall`);
  if (text !== null) {
    if (text.startsWith('running')) return { kind: 'running' };
    const words = text.trim().split(' ');
    const number = Number(words[0]);
    // -1: blocked outside a system call, as in a page fault: it is at work
    if (number === -1) return { kind: 'running' };
    return { kind: 'syscall', number, arguments: words.slice(1, 7).map((word) => BigInt(word)) };
  }
  const name = read(`${task}/wchan`);
  if (name === null) return { kind: 'unreadable' };
  return name === '0' || name === '' ? { kind: 'running' } : { kind: 'function', name };
}

/** The threads of a process, the first of them its leader; empty when it is gone. */
export function threads(fs: Procfs, pid: number): number[] {
  try {
    return readdirSync(`${fs.root}/${pid}/task`).map(Number);
  } catch {
    return [];
  }
}

/**
 * Bytes of a process's memory; null when they may not be read (the rights are those for its
 * syscall file) or are not there. While a call is blocked, what its pointers lead to is what it was given.
 */
export function memoryOf(fs: Procfs, pid: number, address: bigint, length: number): Buffer | null {
  const bytes = Buffer.alloc(length);
  try {
    const fd = openSync(`${fs.root}/${pid}/mem`, 'r');
    try {
      return readSync(fd, bytes, 0, length, address) === length ? bytes : null;
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
}

/** The descriptors that an epoll instance of a process watches; null when it is none or may not be read. */
export function epollTargets(fs: Procfs, pid: number, fd: number): number[] | null {
  const text = read(`${fs.root}/${pid}/fdinfo/${fd}`);
  if (text === null || link(`${fs.root}/${pid}/fd/${fd}`) !== 'anon_inode:[eventpoll]') return null;
  return [...text.matchAll(/^tfd:\s+(\d+)/gm)].map(([, target]) => Number(target));
}

/**
 * A variable of the environment that a process was started with; null when it has none such, is gone, or
 * may not be read. A process that titles itself may write over it.
 */
export function startedWith(fs: Procfs, pid: number, name: string): string | null {
  const found = (read(`${fs.root}/${pid}/environ`) ?? '')
    .split('\0')
    .find((each) => each.startsWith(`${name}=`));
  return found === undefined ? null : found.slice(name.length + 1);
}

/** The control groups that a process is in, as paths; empty when it is gone. */
export const controlGroups = (fs: Procfs, pid: number): readonly string[] =>
  (read(`${fs.root}/${pid}/cgroup`) ?? '')
    .split('\n')
    .flatMap((line) => /^\d+:[^:]*:(.*)$/.exec(line)?.[1] ?? []);

export interface Status {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** Signals that wait to be delivered, to the thread or the process; bit n-1 is signal n. */
  readonly pending: bigint;
  readonly contextSwitches: number;
  readonly residentBytes: number;
}

/** What /proc/PID/status says; null when the process is gone. Ids are the effective ones. */
export function readStatus(fs: Procfs, pid: number, thread?: number): Status | null {
  const text = read(`${fs.root}/${pid}${thread === undefined ? '' : `/task/${thread}`}/status`);
  if (text === null) return null;
  const field = (name: string): string => {
    const at = text.indexOf(`\n${name}:`);
    if (at < 0) return '';
    const from = at + name.length + 2;
    return text.slice(from, text.indexOf('\n', from)).trim();
  };
  const signals = (name: string): bigint => BigInt(`0x${field(name) || '0'}`);
  return {
    uid: Number(field('Uid').split(/\s+/)[1]),
    gid: Number(field('Gid').split(/\s+/)[1]),
    groups: field('Groups').split(/\s+/).filter(Boolean).map(Number),
    pending: signals('SigPnd') | signals('ShdPnd'),
    contextSwitches: Number(field('voluntary_ctxt_switches')) + Number(field('nonvoluntary_ctxt_switches')),
    residentBytes: Number(field('VmRSS').split(' ')[0] || '0') * 1024,
  };
}

export const isPending = (status: Status, signal: number): boolean =>
  ((status.pending >> BigInt(signal - 1)) & 1n) === 1n;

/** Inode of a namespace (`net`, `mnt`, `pid`), as text; null when it may not be read. */
const namespaceOf = (fs: Procfs, pid: number | 'self', kind: 'net' | 'mnt' | 'pid'): string | null =>
  link(`${fs.root}/${pid}/ns/${kind}`);

/** Whether a process lives in our own namespace of that kind; null when that cannot be read. */
export function inOurNamespace(fs: Procfs, pid: number, kind: 'net' | 'mnt' | 'pid'): boolean | null {
  const theirs = namespaceOf(fs, pid, kind);
  const ours = namespaceOf(fs, 'self', kind);
  return theirs === null || ours === null ? null : theirs === ours;
}

/**
 * What a process has open, as the kernel names it: `socket:[1]`, `pipe:[2]`, `anon_inode:[eventfd]`, a path;
 * null when its descriptors may not be read.
 */
export function descriptorsOf(fs: Procfs, pid: number): Map<number, string> | null {
  const folder = `${fs.root}/${pid}/fd`;
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return null;
  }
  const found = new Map<number, string>();
  for (const name of names) {
    const target = link(`${folder}/${name}`);
    if (target !== null) found.set(Number(name), target);
  }
  return found;
}

/** Inodes of the sockets a process has open; null when its descriptors may not be read. */
export function socketsOf(fs: Procfs, pid: number): Map<number, number> | null {
  const all = descriptorsOf(fs, pid);
  if (all === null) return null;
  const found = new Map<number, number>();
  for (const [fd, target] of all) {
    if (target.startsWith('socket:[')) found.set(fd, Number(target.slice(8, -1)));
  }
  return found;
}

/** Paths that lead to what a process has open, whatever its name is by now; null when they may not be read. */
export function openPaths(fs: Procfs, pid: number): string[] | null {
  const folder = `${fs.root}/${pid}/fd`;
  try {
    return readdirSync(folder).map((name) => `${folder}/${name}`);
  } catch {
    return null;
  }
}

/** Inode of the socket that is descriptor `fd` of a process; null when it is none, is gone or may not be read. */
export function socketAt(fs: Procfs, pid: number, fd: number): number | null {
  const target = link(`${fs.root}/${pid}/fd/${fd}`);
  return target?.startsWith('socket:[') === true ? Number(target.slice(8, -1)) : null;
}

/**
 * Inodes that a process waits for with epoll: `tfd` lines of its descriptors' fdinfo (Linux 3.8; `ino` since 4.13).
 * Null when they may not be read, or it uses no epoll.
 */
export function polledBy(fs: Procfs, pid: number): Set<number> | null {
  const all = descriptorsOf(fs, pid);
  if (all === null) return null;
  let found: Set<number> | null = null;
  for (const [fd, target] of all) {
    if (target !== 'anon_inode:[eventpoll]') continue;
    found ??= new Set();
    const info = read(`${fs.root}/${pid}/fdinfo/${fd}`) ?? '';
    for (const [, inode = ''] of info.matchAll(/^tfd:.* ino:([0-9a-f]+)/gm))
      found.add(Number.parseInt(inode, 16));
  }
  return found;
}

/** A regular file that a process has open to append to, as it keeps its logs. */
export interface AppendedFile {
  /** Its name as it is now: ` (deleted)` stands behind one that was removed, another name if it was moved. */
  readonly path: string;
  /** Device and inode. */
  readonly key: string;
}

/** What a process appends to; null when its descriptors may not be read. */
export function appendedBy(fs: Procfs, pid: number): readonly AppendedFile[] | null {
  const all = descriptorsOf(fs, pid);
  if (all === null) return null;
  const found: AppendedFile[] = [];
  for (const [fd, path] of all) {
    if (!path.startsWith('/')) continue;
    const flags = /^flags:\s*(\d+)/m.exec(read(`${fs.root}/${pid}/fdinfo/${fd}`) ?? '')?.[1];
    if (flags === undefined || (Number.parseInt(flags, 8) & O_APPEND) === 0) continue;
    const stat = statOf(`${fs.root}/${pid}/fd/${fd}`);
    if (stat?.isFile() === true) found.push({ path, key: `${stat.dev}:${stat.ino}` });
  }
  return found;
}
const O_APPEND = 0o2000;

/**
 * The descriptors above 2 that a child of ours would inherit: those without close-on-exec,
 * which are the ones our own caller left open (a cron line's `flock 200`).
 */
export function inheritableDescriptors(fs: Procfs): number[] {
  const closeOnExec = 0o2000000;
  return readdirSync(`${fs.root}/self/fd`)
    .map(Number)
    .filter((fd) => {
      if (fd <= 2) return false;
      const flags = /^flags:\s*(\d+)/m.exec(read(`${fs.root}/self/fdinfo/${fd}`) ?? '')?.[1];
      return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0;
    });
}

/**
 * When the process started, ms since the epoch, by today's wall clock: btime is computed
 * from it and has a resolution of one second.
 */
export function startedAt(fs: Procfs, id: ProcessId): number {
  return bootTime(fs) + (id.start * 1000) / TICKS_PER_SECOND;
}

/**
 * A process's share of the memory: what it shares with n others counts as an n-th (Pss), so
 * that an opcache is not counted once a worker. Where smaps_rollup may not be read: all of
 * what is resident. 0 when it is gone.
 */
export function proportionalBytes(fs: Procfs, pid: number): number {
  const pss = /^Pss:\s+(\d+) kB/m.exec(read(`${fs.root}/${pid}/smaps_rollup`) ?? '')?.[1];
  return pss === undefined ? residentBytes(fs, pid) : Number(pss) * 1024;
}

/** All of a process's memory that is resident, whoever shares it (VmRSS). 0 when it is gone. */
export const residentBytes = (fs: Procfs, pid: number): number => readStatus(fs, pid)?.residentBytes ?? 0;

/** Bytes that programs may still take without swapping. */
export function availableMemory(fs: Procfs): number {
  return Number(/^MemAvailable:\s+(\d+) kB/m.exec(read(`${fs.root}/meminfo`) ?? '')?.[1] ?? '0') * 1024;
}

function bootTime(fs: Procfs): number {
  return Number(/^btime (\d+)/m.exec(read(`${fs.root}/stat`) ?? '')?.[1] ?? '0') * 1000;
}

function read(path: string): string | null {
  try {
    return readKernelFile(path);
  } catch {
    // gone, or not to be seen; ESRCH when it ended between open and read
    return null;
  }
}

function link(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

/** Of what a descriptor leads to; null when it is gone. */
function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}
