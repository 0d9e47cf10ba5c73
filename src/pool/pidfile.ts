/**
 * What a pidfile is worth. It is a hint and never obeyed: who lives in the slot is known
 * from its socket, and the file is judged by that.
 */
import { dirname } from 'node:path';
import type { PidfileState, ProcessId, Suspect } from '../event.js';
import { facts, factsThroughLinks, readTail, readText } from '../system/files.js';
import { inOurNamespace, readStat, title } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { nameOfUid } from '../system/user.js';
import { fpmProcess, runsConfig, suspect } from './processes.js';
import type { PoolSlot } from './slots.js';

export interface PidfileLook {
  readonly state: PidfileState;
  readonly pid: number | null;
  /**
   * Set when a living FPM with another configuration is named: it uses this very path, and a
   * start of ours would overwrite it.
   */
  readonly rival: Suspect | null;
}

/** The pid that a slot's pidfile names, as a hint where to look first; null for anything but one number. */
export function pidfileHint({ pidfile }: PoolSlot): number | null {
  const read = pidfile === null ? null : readPidfile(pidfile);
  return read?.kind === 'pid' ? read.pid : null;
}

/** Judges the pidfile of a slot. `master`: who it should name; null when nobody of ours lives there. */
export function lookAtPidfile(fs: Procfs, slot: PoolSlot, master: ProcessId | null): PidfileLook {
  const { pidfile } = slot;
  if (pidfile === null) return { state: 'none', pid: null, rival: null };
  const read = readPidfile(pidfile);
  if (read.kind !== 'pid') {
    const state = read.kind !== 'missing' && isWritable(pidfile, slot, false) ? 'writable' : read.kind;
    return { state, pid: null, rival: null };
  }
  const { pid } = read;
  const confirmed = pid === master?.pid;
  const { state, rival } = confirmed ? { state: 'ok' as const, rival: null } : judge(fs, slot, pid);
  return { state: isWritable(pidfile, slot, confirmed) ? 'writable' : state, pid, rival };
}

function judge(
  fs: Procfs,
  slot: PoolSlot,
  pid: number,
): { readonly state: PidfileState; readonly rival: Suspect | null } {
  if (pid === 1) return { state: 'init', rival: null };
  const stat = readStat(fs, pid);
  if (stat === null || 'ZXx'.includes(stat.state)) return { state: 'dead', rival: null };
  // of another server only the holder of its socket is known, and that it is not
  if (slot.kind === 'fastcgi') return { state: 'reused', rival: null };
  const found = fpmProcess(fs, pid, slot.binary);
  // the program of another user's process may not be read, its title may
  const master = found === null ? title(fs, pid).startsWith('php-fpm: master') : found.role !== 'worker';
  if (!master) return { state: 'reused', rival: null };
  const ours = found !== null && runsConfig(fs, found, slot.config);
  // an FPM of a container does not see our files, its pid is a coincidence
  const rival = !ours && inOurNamespace(fs, pid, 'mnt') !== false ? suspect(fs, pid) : null;
  return { state: 'other-master', rival };
}

type Read =
  | { readonly kind: 'pid'; readonly pid: number }
  | { readonly kind: 'missing' | 'empty' | 'garbage' | 'several-lines' };

/** A pidfile is a line; what is longer than this is none. */
const MOST = 4096;

function readPidfile(path: string): Read {
  const found = factsThroughLinks(path);
  if (!found.ok) return { kind: found.code === 'ENOENT' || found.code === 'ENOTDIR' ? 'missing' : 'garbage' };
  if (found.value.kind !== 'file') return { kind: 'garbage' };
  const bytes = readTail(path, 0, MOST);
  if (!bytes.ok) return { kind: 'garbage' };
  const lines = bytes.value
    .toString('latin1')
    .split('\n')
    .map((line) => line.trim());
  const filled = lines.filter((line) => line !== '');
  if (filled.length === 0) return { kind: 'empty' };
  if (filled.length > 1) return { kind: 'several-lines' };
  const [text = ''] = filled;
  const pid = Number(text);
  return /^\d{1,10}$/.test(text) && pid > 0 ? { kind: 'pid', pid } : { kind: 'garbage' };
}

/**
 * Whether others than root and us can decide what the file says. Debian's /run/php belongs to
 * the pool's own user; where the socket confirms the file's word, that is no reason to doubt it.
 */
function isWritable(path: string, slot: PoolSlot, confirmed: boolean): boolean {
  const file = facts(path);
  const folder = factsThroughLinks(dirname(path));
  if (!file.ok || !folder.ok) return false;
  const ours = (uid: number): boolean => uid === 0 || uid === process.geteuid?.();
  const { mode, uid } = file.value;
  if (!ours(uid) || (file.value.kind !== 'link' && (mode & OTHERS) !== 0)) return true;
  if ((folder.value.mode & OTHERS) !== 0 && (folder.value.mode & STICKY) === 0) return true;
  if (ours(folder.value.uid)) return false;
  const passwd = readText('/etc/passwd');
  const user = slot.kind === 'php-fpm' ? slot.user : null;
  return !(confirmed && passwd.ok && nameOfUid(passwd.value, folder.value.uid) === user);
}

const OTHERS = 0o022;
const STICKY = 0o1000;
