/**
 * FPM's processes as /proc shows them, and who among them is ours. A title is easily forged,
 * so it is believed only of FPM's own program, run by root or by us.
 */
import { basename, isAbsolute, join } from 'node:path';
import type { ProcessId, Suspect } from '../event.js';
import { isSameFile } from '../system/files.js';
import {
  argv,
  executable,
  identityOf,
  inOurNamespace,
  pidsByProgram,
  readStat,
  readStatus,
  socketsOf,
  title,
  workingDirectory,
} from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { userOfProcess } from '../system/user.js';
import type { PoolSlot } from './slots.js';

/**
 * `starting`: FPM that has not titled itself yet. A worker carries its master's title for a
 * moment after its fork, so a `master` whose parent is one too is a worker.
 */
export interface FpmProcess {
  readonly id: ProcessId;
  readonly ppid: number;
  readonly role: 'master' | 'worker' | 'starting';
  /** Absolute; of a master or a starting one. */
  readonly config: string | null;
  /** The pool's name; of a worker. */
  readonly pool: string | null;
}

const FPM_NAME = /php-?fpm/;

/** What the kernel keeps of a program's name. */
const COMM_LENGTH = 15;

const WORKER_TITLE = /^php-fpm: pool (.*)$/s;

/** What FPM calls itself (fpm_env.c), null for anything else, for a zombie, and for what may not be seen. */
export function fpmProcess(fs: Procfs, pid: number, binary?: string): FpmProcess | null {
  const stat = readStat(fs, pid);
  const id = stat === null ? null : identityOf(fs, stat);
  if (stat === null || id === null) return null;
  const program = executable(fs, pid);
  if (program === null || (program !== binary && !FPM_NAME.test(basename(program)))) return null;
  const found = { id, ppid: stat.ppid };
  const text = title(fs, pid);
  const pool = WORKER_TITLE.exec(text)?.[1];
  if (pool !== undefined) return { ...found, role: 'worker', config: null, pool };
  const named = /^php-fpm: master process \((.*)\)$/s.exec(text)?.[1];
  const words = argv(fs, pid);
  const given = named ?? configArgument(words);
  const config =
    given === undefined || isAbsolute(given) ? given : join(workingDirectory(fs, pid) ?? '/', given);
  if (named !== undefined) return { ...found, role: 'master', config: config ?? null, pool: null };
  // php-fpm that only tests or prints something never listens
  if (words.some((word) => /^-(t+|i|m|v)$/.test(word))) return null;
  return { ...found, role: 'starting', config: config ?? null, pool: null };
}

/**
 * Whether a master runs the very file, whatever its spelling, in our process table and seen
 * with its own eyes: in another mount namespace the same path is another file.
 */
export function runsConfig(fs: Procfs, process: FpmProcess, config: string): boolean {
  const { pid } = process.id;
  if (process.config === null || inOurNamespace(fs, pid, 'pid') === false) return false;
  if (!isTrusted(fs, pid)) return false;
  const elsewhere = inOurNamespace(fs, pid, 'mnt') === false;
  if (elsewhere) return isSameFile(`${fs.root}/${String(pid)}/root${process.config}`, config);
  return process.config === config || isSameFile(process.config, config);
}

/**
 * The masters that run the config, each once; `starting` ones too when asked for. A scan of
 * the process table: one call for each process that is no FPM.
 */
function mastersRunning(
  fs: Procfs,
  { config, binary }: { readonly config: string; readonly binary: string },
  roles: readonly Leading[] = ['master'],
): FpmProcess[] {
  const found = fpmPids(fs, binary).flatMap((pid) => {
    // a host has many more workers than masters
    if (WORKER_TITLE.test(title(fs, pid))) return [];
    const process = fpmProcess(fs, pid, binary);
    return process !== null && isOneOf(roles, process.role) && runsConfig(fs, process, config) ? process : [];
  });
  const all = new Set(found.map(({ id }) => id.pid));
  return found.filter(({ ppid }) => !all.has(ppid));
}

type Leading = Exclude<FpmProcess['role'], 'worker'>;
const isOneOf = (roles: readonly string[], role: string): boolean => roles.includes(role);

/** mastersRunning() of a slot; of a server that is no FPM none are known. */
export const mastersOfSlot = (fs: Procfs, slot: PoolSlot, roles?: readonly Leading[]): FpmProcess[] =>
  slot.kind === 'php-fpm' ? mastersRunning(fs, slot, roles) : [];

/** The processes among `candidates` that have one of the sockets open. What may not be read does not count. */
export const holders = (
  fs: Procfs,
  candidates: readonly number[],
  inodes: ReadonlySet<number>,
): readonly number[] => candidates.filter((pid) => holds(fs, pid, inodes));

export function holds(fs: Procfs, pid: number, inodes: ReadonlySet<number>): boolean {
  const sockets = socketsOf(fs, pid);
  return sockets !== null && isAmong(sockets, inodes);
}

/** Whether one of a process's sockets, by descriptor, is one of some. */
export function isAmong(sockets: ReadonlyMap<number, number>, inodes: ReadonlySet<number>): boolean {
  for (const inode of sockets.values()) if (inodes.has(inode)) return true;
  return false;
}

/** Who is an FPM by its program's name: a cheap look at every process there is. FPM titles its command line alone. */
export function fpmPids(fs: Procfs, binary = 'php-fpm'): number[] {
  const named = basename(binary).slice(0, COMM_LENGTH);
  return pidsByProgram(fs, (name) => FPM_NAME.test(name) || name.slice(0, COMM_LENGTH) === named);
}

/** A process as a message names it. */
export function suspect(fs: Procfs, pid: number): Suspect {
  return {
    pid,
    command: title(fs, pid) || (readStat(fs, pid)?.comm ?? '?'),
    user: userOfProcess(fs, pid)?.name ?? '?',
  };
}

function isTrusted(fs: Procfs, pid: number): boolean {
  const uid = readStatus(fs, pid)?.uid;
  return uid === 0 || uid === process.geteuid?.();
}

function configArgument(words: readonly string[]): string | undefined {
  const at = words.findIndex((word) => word === '-y' || word === '--fpm-config');
  return at < 0 ? undefined : words[at + 1];
}
