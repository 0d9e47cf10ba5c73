/**
 * Who listens, who is connected, who waits: the kernel's own tables of unix and
 * TCP sockets. They show one network namespace: the reader's, or that of the pid
 * whose /proc/PID/net is read.
 */
import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Connections } from '../event.js';
import { readKernelBytes, rereadKernelBytes } from './kernel-file.js';
import type { Procfs } from './proc.js';

/** An address a pool can listen on. A unix path is canonical: the folder's links resolved, never the last part. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

export interface SocketView {
  /** Inodes of the sockets that listen there. Several processes can have bound one path, one after the other. */
  readonly listeners: readonly number[];
  readonly connections: Connections;
  /** Inodes of the accepted connections: who has one of them open holds a request, or waits for the next. */
  readonly held: readonly number[];
}

/**
 * As `fs`, but for its tables of sockets: each is read when it is first asked for, and not again. For one synchronous
 * look that asks about several addresses, as they are at one moment: a table costs the kernel 0.7 us a socket of the
 * whole host. Not to be kept: who acts on a zero looks twice, with another of these, or asks in another way.
 */
export const atOneMoment = (fs: Procfs): Procfs => ({ ...fs, tables: new Map() });

/** The moment that a caller looks at already, if any; else one of its own. */
export const withinMoment = (fs: Procfs): Procfs => (fs.tables === undefined ? atOneMoment(fs) : fs);

/**
 * A table: on a crowded host megabytes, of which a few lines matter, so that it is not made into text. Good until the next
 * one is read, unless it is one of a moment.
 */
function readTable(fs: Procfs, path: string): Buffer {
  const known = fs.tables?.get(path);
  if (known !== undefined) return known;
  const table = path.endsWith('/self/net/unix') ? rereadKernelBytes(path) : readKernelBytes(path);
  if (fs.tables === undefined) return table;
  const kept = Buffer.from(table);
  fs.tables.set(path, kept);
  return kept;
}

/** The lines of a table that have some words, a character a byte. */
function linesWith(table: Buffer, words: string): string[] {
  const found: string[] = [];
  for (let at = table.indexOf(words, 0, 'latin1'); at >= 0; at = table.indexOf(words, at, 'latin1')) {
    const end = table.indexOf(LINE_FEED, at);
    const begin = table.lastIndexOf(LINE_FEED, at) + 1;
    found.push(table.toString('latin1', begin, end < 0 ? undefined : end));
    if (end < 0) break;
    at = end;
  }
  return found;
}

const LINE_FEED = 10;

/**
 * The sockets bound to an address, whether or not its file still exists: /proc/net/unix
 * keeps the name a socket was bound to, after a rename and an unlink too.
 *
 * One read is not atomic (the kernel hands out a page at a time and an entry can be passed
 * over when a neighbour goes away meanwhile), so a caller that acts on a zero looks twice.
 *
 * Throws when the table cannot be read.
 */
export function socketsAt(fs: Procfs, address: Address, netOf: number | 'self' = 'self'): SocketView {
  return address.kind === 'unix' ? unixAt(fs, address.path, netOf) : tcpAt(fs, address, netOf);
}

/**
 * A unix path with its folder's links resolved and its last part left alone, as `/var/run/x`
 * and `/run/x` are one socket; as far as the folder exists: what is missing is taken as written.
 */
export function canonicalPath(path: string): string {
  const missing = [basename(path)];
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    try {
      return join(realpathSync(folder), ...missing);
    } catch {
      if (folder === dirname(folder)) return path;
      missing.unshift(basename(folder));
    }
  }
}

/**
 * Those of some sockets, by inode, that listen in this network namespace. Throws when a table cannot be read.
 */
export function listeningAmong(fs: Procfs, inodes: Iterable<number>): number[] {
  const moment = withinMoment(fs);
  const unix = readTable(moment, `${fs.root}/self/net/unix`);
  const found: number[] = [];
  const others: number[] = [];
  for (const inode of inodes) {
    const lines = linesWith(unix, ` ${String(inode)}`).map((line) => line.split(/ +/, 7));
    const own = lines.find((fields) => Number(fields[6]) === inode);
    if (own === undefined) others.push(inode);
    else if ((Number.parseInt(own[3] ?? '0', 16) & ACCEPTS) !== 0) found.push(inode);
  }
  // the TCP tables take the kernel milliseconds even when they are empty
  if (others.length === 0) return found;
  const tables = (['tcp', 'tcp6'] as const).map((table) => tcpTable(moment, table, 'self'));
  const listens = (inode: number): boolean =>
    tables
      .flatMap((text) => linesWith(text, ` ${String(inode)} `))
      .some((line) => {
        const fields = line.trim().split(/\s+/, 10);
        return Number(fields[9]) === inode && Number.parseInt(fields[3] ?? '', 16) === LISTEN;
      });
  return [...found, ...others.filter(listens)];
}

// Num RefCount Protocol Flags Type St Inode Path; see net/unix/af_unix.c, unix_seq_show
const ACCEPTS = 0x10000; // __SO_ACCEPTCON
const CONNECTING = 2; // SS_CONNECTING: in a backlog, no inode yet
const CONNECTED = 3;

function unixAt(fs: Procfs, path: string, netOf: number | 'self'): SocketView {
  const name = Buffer.from(basename(path)).toString('latin1');
  const listeners: number[] = [];
  const held: number[] = [];
  let queued = 0;
  // search for the name first: on a crowded host all but a few of thousands of lines are others'
  for (const line of linesWith(readTable(fs, `${fs.root}/${netOf}/net/unix`), name)) {
    const fields = /^\S+ \S+ \S+ (\S+) \S+ (\S+) +(\d+) (.*)$/.exec(line);
    if (fields === null) continue;
    const [, flags = '', state = '', inode = '', bound = ''] = fields;
    if (!isPath(Buffer.from(bound, 'latin1').toString(), path)) continue;
    if ((Number.parseInt(flags, 16) & ACCEPTS) !== 0) listeners.push(Number(inode));
    else if (Number.parseInt(state, 16) === CONNECTING && inode === '0') queued += 1;
    else if (Number.parseInt(state, 16) === CONNECTED) held.push(Number(inode));
  }
  return { listeners, connections: { accepted: held.length, queued }, held };
}

const isPath = (bound: string, path: string): boolean =>
  bound === path || (basename(bound) === basename(path) && canonicalPath(bound) === path);

// states of net/tcp_states.h: ESTABLISHED, SYN_RECV, CLOSE_WAIT (the client is gone, the script runs on), LISTEN
const ESTABLISHED = 1;
const SYN_RECV = 3;
const CLOSE_WAIT = 8;
const LISTEN = 10;

function tcpAt(
  fs: Procfs,
  { host, port }: { host: string; port: number },
  netOf: number | 'self',
): SocketView {
  const wanted = isWildcard(host) ? null : hexHosts(host);
  const listeners: number[] = [];
  const held: number[] = [];
  let queued = 0;
  for (const table of ['tcp', 'tcp6'] as const) {
    const name = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
    // search for the port first: a busy host has tens of thousands of lines, most of them in TIME_WAIT
    for (const line of linesWith(tcpTable(fs, table, netOf), name)) {
      const fields = line.trim().split(/\s+/);
      const [, own = '', , state = ''] = fields;
      // the remote end of a line has the same form
      const local = `${own} `.endsWith(name) ? own.slice(0, -name.length + 1) : null;
      if (local === null) continue;
      if (wanted !== null && !wanted.includes(local) && !/^0+$/.test(local)) continue;
      const inode = Number(fields[9]);
      const code = Number.parseInt(state, 16);
      if (code === LISTEN) listeners.push(inode);
      else if (code === ESTABLISHED || code === SYN_RECV || code === CLOSE_WAIT) {
        if (inode === 0) queued += 1;
        else held.push(inode);
      }
    }
  }
  return { listeners, connections: { accepted: held.length, queued }, held };
}

function tcpTable(fs: Procfs, table: 'tcp' | 'tcp6', netOf: number | 'self'): Buffer {
  try {
    return readTable(fs, `${fs.root}/${netOf}/net/${table}`);
  } catch (error) {
    if (table === 'tcp6') return Buffer.alloc(0); // a kernel without IPv6 has no such table
    throw error;
  }
}

const isWildcard = (host: string): boolean => host === '*' || host === '0.0.0.0' || host === '::';

/** An address as the tables write it: 32-bit words in the machine's byte order; IPv4 also mapped into IPv6. */
function hexHosts(host: string): string[] {
  const hex = (bytes: readonly number[]): string => {
    let text = '';
    for (let word = 0; word < bytes.length; word += 4) {
      const four = bytes.slice(word, word + 4);
      if (LITTLE_ENDIAN) four.reverse();
      for (const byte of four) text += byte.toString(16).toUpperCase().padStart(2, '0');
    }
    return text;
  };
  if (!host.includes(':')) {
    const four = host.split('.').map(Number);
    return [hex(four), hex([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...four])];
  }
  const [head = '', tail] = host.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const middle = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => 0);
  return [hex([...left, ...middle, ...right].flatMap((group) => [group >> 8, group & 255]))];
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
