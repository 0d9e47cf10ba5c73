/**
 * Who lives in a folder: every process that names it, works in it, has a file of it open or a
 * socket that is bound there. A daemon that titles itself overwrites its environment and its
 * arguments, an orphan has lost its parent, and a removed socket has no file: one mark alone
 * would miss somebody.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import type { ProcessId } from '../event.js';
import { children, executable, identify, pids, readStat, title, type Procfs } from '../system/proc.js';
import { socketsAt, type Address } from '../system/sockets.js';

export interface Resident {
  readonly id: ProcessId;
  readonly ppid: number;
  readonly command: string;
  readonly executable: string | null;
}

/** All residents of a folder, and whoever listens on one of the TCP `addresses`; never the caller or its ancestors. */
export function residents(fs: Procfs, folder: string, addresses: readonly Address[] = []): Resident[] {
  const sockets = new Set([
    ...socketsIn(fs, folder).map(({ inode }) => inode),
    ...addresses.flatMap((address) => socketsAt(fs, address).listeners),
  ]);
  const spared = ancestors(fs);
  const found = new Set(pids(fs).filter((pid) => !spared.has(pid) && livesIn(fs, pid, folder, sockets)));
  for (const pid of found) for (const child of children(fs, pid)) found.add(child); // a Set is walked to its growing end
  return [...found].flatMap((pid) => {
    const id = identify(fs, pid);
    const stat = readStat(fs, pid);
    if (id === null || stat === null) return [];
    return [{ id, ppid: stat.ppid, command: title(fs, pid), executable: executable(fs, pid) }];
  });
}

/** Sockets that are bound to a path in the folder, with or without a file. */
export function socketsIn(fs: Procfs, folder: string): { readonly path: string; readonly inode: number }[] {
  const found = [];
  for (const line of readFileSync(`${fs.root}/self/net/unix`, 'utf8').split('\n')) {
    const at = line.indexOf(` ${folder}/`);
    if (at < 0) continue;
    const inode = Number(line.slice(0, at).trim().split(/\s+/)[6]);
    found.push({ path: line.slice(at + 1), inode });
  }
  return found;
}

function livesIn(fs: Procfs, pid: number, folder: string, sockets: ReadonlySet<number>): boolean {
  const of = `${fs.root}/${pid}`;
  const inFolder = (path: string): boolean => path === folder || path.startsWith(`${folder}/`);
  if (title(fs, pid).includes(folder) || inFolder(link(`${of}/cwd`))) return true;
  try {
    if (readFileSync(`${of}/environ`, 'latin1').includes(folder)) return true;
    return readdirSync(`${of}/fd`).some((fd) => {
      const target = link(`${of}/fd/${fd}`);
      return inFolder(target) || sockets.has(Number(/^socket:\[(\d+)\]$/.exec(target)?.[1]));
    });
  } catch {
    return false; // gone meanwhile, or another user's: none of ours
  }
}

function ancestors(fs: Procfs): Set<number> {
  const found = new Set<number>();
  for (let pid = process.pid; pid > 0 && !found.has(pid); pid = readStat(fs, pid)?.ppid ?? 0) found.add(pid);
  return found;
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
