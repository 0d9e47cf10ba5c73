/**
 * What a process that has a slot's listener open does at this moment: whether it waits for a
 * connection, and for nothing else.
 *
 * FPM's workers are known to wait in accept(2) alone. Of any other server nothing is known, so what
 * it waits for is read from the kernel, thread by thread, and it is idle only when that proves it:
 * every thread is blocked, at least one of them at the listener, and none can go on but by a
 * connection, by a signal, or by another of its threads. A call with a timeout proves nothing: who wakes
 * by himself may have work to go on with.
 */
import type { ProcessId } from '../event.js';
import {
  blocked,
  children,
  descriptorsOf,
  epollTargets,
  identify,
  isAlive,
  memoryOf,
  socketAt,
  socketsOf,
  threads,
} from '../system/proc.js';
import type { Blocked, Procfs } from '../system/proc.js';
import { syscallName } from '../system/syscalls.js';
import { holds, isAmong } from './processes.js';

/** `none`: it has gone, or holds no listener of the slot. */
export type WorkerState = 'idle' | 'working' | 'none' | 'unreadable';

/** A worker of FPM: idle when it is blocked in accept(2) at a listener of the slot. */
export function fpmWorkerState(fs: Procfs, id: ProcessId, inodes: ReadonlySet<number>): WorkerState {
  const where = blocked(fs, id.pid);
  if (where.kind === 'syscall' && accepts(fs, id.pid, where, inodes)) return 'idle';
  const seen = residence(fs, id, where, inodes);
  if (seen !== 'here') return seen;
  return where.kind === 'function' && ACCEPTING.test(where.name) ? 'idle' : 'working';
}

/**
 * Whether a worker of FPM that was seen at work still is, or is again: it lives, and does not wait in accept(2). False
 * where that cannot be read.
 */
export function isStillAtWork(fs: Procfs, id: ProcessId, inodes: ReadonlySet<number>): boolean {
  const where = blocked(fs, id.pid);
  if (where.kind === 'unreadable') return false;
  if (where.kind === 'function' && ACCEPTING.test(where.name)) return false;
  return !(where.kind === 'syscall' && accepts(fs, id.pid, where, inodes)) && isAlive(fs, id);
}

/** A process of any FastCGI server. */
export function serverState(fs: Procfs, id: ProcessId, inodes: ReadonlySet<number>): WorkerState {
  const { pid } = id;
  const all = threads(fs, pid);
  const waits = all.map((thread) => waitOf(fs, pid, blocked(fs, pid, thread), inodes));
  const seen = residence(fs, id, blocked(fs, pid), inodes);
  if (seen !== 'here') return seen;
  // a thread that was born meanwhile was not looked at
  if (waits.length === 0 || threads(fs, pid).some((thread) => !all.includes(thread))) return 'working';
  const only = (...kinds: readonly Wait[]): boolean => waits.every((wait) => kinds.includes(wait));
  if (only('connection', 'thread', 'signal') && waits.includes('connection')) return 'idle';
  // who leads others waits for their end; a worker that waits for a program it has run leads nobody at the socket
  return only('child', 'thread', 'signal') && leads(fs, pid, inodes) ? 'idle' : 'working';
}

/** What a blocked thread waits for; `unknown`: that is not proven, or it runs. */
type Wait = 'connection' | 'thread' | 'signal' | 'child' | 'unknown';

function waitOf(fs: Procfs, pid: number, where: Blocked, inodes: ReadonlySet<number>): Wait {
  if (where.kind === 'function') return ACCEPTING.test(where.name) ? 'connection' : 'unknown';
  if (where.kind !== 'syscall') return 'unknown';
  const [first = 0n, second = 0n, third = 0n, fourth = 0n, fifth = 0n] = where.arguments;
  switch (syscallName(where.number)) {
    case 'accept':
    case 'unknown':
      return accepts(fs, pid, where, inodes) ? 'connection' : 'unknown';
    case 'poll':
      // poll counts milliseconds, ppoll points at a time
      if (!isEndless(where.number === PPOLL ? third : negative(third))) return 'unknown';
      return waitAt(fs, pid, polled(fs, pid, first, Number(second)), inodes);
    case 'select':
      if (!isEndless(fifth)) return 'unknown';
      return waitAt(fs, pid, selected(fs, pid, Number(first), [second, third, fourth]), inodes);
    case 'epoll':
      if (!isEndless(where.number === EPOLL_PWAIT2 ? fourth : negative(fourth))) return 'unknown';
      return waitAt(fs, pid, epollTargets(fs, pid, Number(first)), inodes);
    case 'futex':
      return isEndless(fourth) ? 'thread' : 'unknown';
    case 'wait':
      return 'child';
    case 'signal':
      // sigtimedwait's third is a time, pause's and sigsuspend's registers say nothing
      return where.number === SIGTIMEDWAIT && !isEndless(third) ? 'unknown' : 'signal';
    case null:
      return 'unknown';
  }
}

const X64 = process.arch === 'x64';
const PPOLL = X64 ? 271 : 73;
const EPOLL_PWAIT2 = 441;
const SIGTIMEDWAIT = X64 ? 128 : 137;

/** A timeout that is a pointer: null is none. */
const isEndless = (pointer: bigint): boolean => pointer === 0n;
/** A timeout in milliseconds as such a pointer would be: a negative one is none. It is an int in a wider register. */
const negative = (ms: bigint): bigint => (BigInt.asIntN(32, ms) < 0n ? 0n : 1n);

/**
 * Waiting at several descriptors is waiting for a connection when there is nothing else that could come, and
 * for another thread when even that could not.
 */
function waitAt(fs: Procfs, pid: number, fds: readonly number[] | null, inodes: ReadonlySet<number>): Wait {
  if (fds === null) return 'unknown';
  let listens = false;
  for (const fd of fds) {
    const inode = socketAt(fs, pid, fd);
    if (inode !== null && inodes.has(inode)) listens = true;
    else if (!isWakeUp(fs, pid, fd)) return 'unknown';
  }
  return listens ? 'connection' : 'thread';
}

/** Whether a descriptor only carries a process's words to itself: an eventfd, signals, a pipe of which it has both ends. */
function isWakeUp(fs: Procfs, pid: number, fd: number): boolean {
  const all = descriptorsOf(fs, pid);
  const what = all?.get(fd);
  if (all === null || what === undefined) return false;
  if (what === 'anon_inode:[eventfd]' || what === 'anon_inode:[signalfd]') return true;
  return what.startsWith('pipe:[') && [...all.values()].filter((each) => each === what).length > 1;
}

/** struct pollfd { int fd; short events; short revents; } */
function polled(fs: Procfs, pid: number, at: bigint, count: number): number[] | null {
  if (count < 1 || count > MOST_DESCRIPTORS) return null;
  const bytes = memoryOf(fs, pid, at, count * 8);
  if (bytes === null) return null;
  const fds = Array.from({ length: count }, (_, index) => readInt(bytes, index * 8));
  return fds.filter((fd) => fd >= 0);
}

/** fd_set: a bit a descriptor. The three sets keep what was asked until the call returns. */
function selected(fs: Procfs, pid: number, count: number, sets: readonly bigint[]): number[] | null {
  if (count < 1 || count > MOST_DESCRIPTORS) return null;
  const found = new Set<number>();
  for (const at of sets) {
    if (at === 0n) continue;
    const bytes = memoryOf(fs, pid, at, Math.ceil(count / 64) * 8);
    if (bytes === null) return null;
    // an array of longs: on a little-endian machine, and no other has select's number here, bytes count up
    for (let fd = 0; fd < count; fd += 1) if (((bytes[fd >> 3] ?? 0) >> (fd & 7)) & 1) found.add(fd);
  }
  return [...found];
}

const readInt = (bytes: Buffer, at: number): number => bytes.readInt32LE(at);
/** FD_SETSIZE; a server that watches more than this is not looked into. */
const MOST_DESCRIPTORS = 1024;

/** Whether a child of a process has the slot's listener open. */
const leads = (fs: Procfs, pid: number, inodes: ReadonlySet<number>): boolean =>
  children(fs, pid).some((child) => holds(fs, child, inodes));

/** Whether a call is accept(2) at a listener of the slot; where the machine's numbers are unknown, any call at it. */
function accepts(
  fs: Procfs,
  pid: number,
  { number, arguments: given }: Extract<Blocked, { kind: 'syscall' }>,
  inodes: ReadonlySet<number>,
): boolean {
  const name = syscallName(number);
  const descriptor = given[0] ?? -1n;
  if ((name !== 'accept' && name !== 'unknown') || descriptor < 0n || descriptor >= 1_048_576n) return false;
  const inode = socketAt(fs, pid, Number(descriptor));
  return inode !== null && inodes.has(inode);
}

/** Whether a process is one of the slot's at all. */
function residence(
  fs: Procfs,
  { pid, start }: ProcessId,
  where: Blocked,
  inodes: ReadonlySet<number>,
): 'here' | 'none' | 'unreadable' {
  if (identify(fs, pid)?.start !== start) return 'none';
  const sockets = where.kind === 'unreadable' ? null : socketsOf(fs, pid);
  if (sockets === null) return identify(fs, pid)?.start === start ? 'unreadable' : 'none';
  return isAmong(sockets, inodes) ? 'here' : 'none';
}

/**
 * Where accept(2) sleeps: unix_accept by way of skb_recv_datagram (its helper's name has had two
 * underscores or one), inet_csk_accept. A script that waits for a datagram sleeps in the first one
 * too: so wchan is asked only where syscall is denied.
 */
const ACCEPTING =
  /^_*(skb_wait_for_more_packets|skb_recv_datagram|unix_accept|inet_csk_accept|inet_csk_wait_for_connect)/;
