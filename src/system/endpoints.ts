/**
 * What a process's sockets are: which of them listen, and where; which are connections, and from which side.
 * The kernel's tables of this network namespace, read once a call, looked up by inode.
 */
import { readKernelFile } from './kernel-file.js';
import type { Procfs } from './proc.js';
import { canonicalPath } from './sockets.js';
import type { Address } from './sockets.js';

/** A socket that takes connections. */
export interface Listener {
  readonly inode: number;
  readonly address: Address;
}

/** A connection, by the end that a process holds. */
export interface Endpoint {
  readonly inode: number;
  /** Null: an unnamed unix socket, as every client's is. */
  readonly local: Address | null;
  /** 0 for a unix socket. */
  readonly remotePort: number;
}

export interface Endpoints {
  readonly listeners: readonly Listener[];
  readonly connections: readonly Endpoint[];
}

/** Those of `inodes` that listen or are connected. Throws when a table cannot be read. */
export function endpointsOf(fs: Procfs, inodes: ReadonlySet<number>): Endpoints {
  const listeners: Listener[] = [];
  const connections: Endpoint[] = [];
  if (inodes.size === 0) return { listeners, connections };
  for (const line of table(fs, 'unix')) {
    const [, , , flags = '0', , state = '', inode = '', ...path] = line.split(/ +/);
    if (!inodes.has(Number(inode))) continue;
    const named = path.length === 0 ? null : pathOf(path.join(' '));
    if ((Number.parseInt(flags, 16) & ACCEPTS) === 0) {
      if (Number.parseInt(state, 16) !== CONNECTED) continue;
      connections.push({ inode: Number(inode), local: named, remotePort: 0 });
    } else if (named !== null) listeners.push({ inode: Number(inode), address: named });
  }
  for (const name of ['tcp', 'tcp6'] as const) {
    for (const line of table(fs, name)) {
      // a busy host has tens of thousands of lines, nearly all of them in TIME_WAIT: their state is looked at first
      const at = line.indexOf(':') + STATE_AFTER[name];
      if (!OURS.has(line.slice(at, at + 2))) continue;
      const fields = line.trim().split(/\s+/, 10);
      const inode = Number(fields[9]);
      if (!inodes.has(inode)) continue;
      const local = tcpAddress(fields[1] ?? '');
      const state = Number.parseInt(fields[3] ?? '', 16);
      if (state === LISTEN) listeners.push({ inode, address: local });
      else if (state === ESTABLISHED || state === CLOSE_WAIT) {
        connections.push({ inode, local, remotePort: portOf(fields[2] ?? '') });
      }
    }
  }
  return { listeners, connections };
}

/** Whether a connection came in at a listener: its own end bears the listener's address. */
export function cameIn({ local }: Endpoint, listeners: readonly Listener[]): boolean {
  return listeners.some(({ address }) => {
    if (local === null || address.kind !== local.kind) return false;
    if (address.kind === 'unix') return local.kind === 'unix' && local.path === address.path;
    if (local.kind !== 'tcp' || local.port !== address.port) return false;
    return ANY.has(address.host) || local.host === address.host || local.host === `::ffff:${address.host}`;
  });
}

const ANY: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Where to connect in order to reach a listener on this host. */
export function reachable(address: Address): Address {
  if (address.kind === 'unix') return address;
  if (address.host === '0.0.0.0') return { ...address, host: '127.0.0.1' };
  return address.host === '::' ? { ...address, host: '::1' } : address;
}

// net/unix/af_unix.c and net/tcp_states.h
const ACCEPTS = 0x10000;
const CONNECTED = 3;
const ESTABLISHED = 1;
const CLOSE_WAIT = 8;
const LISTEN = 10;

/** From the colon behind a line's number: two addresses, and the blanks. */
const STATE_AFTER = { tcp: 2 + 2 * 14, tcp6: 2 + 2 * 38 } as const;
const OURS: ReadonlySet<string> = new Set(['01', '08', '0A']);

function table(fs: Procfs, name: 'unix' | 'tcp' | 'tcp6'): readonly string[] {
  try {
    return readKernelFile(`${fs.root}/self/net/${name}`).split('\n').slice(1).filter(Boolean);
  } catch (error) {
    if (name === 'tcp6') return []; // a kernel without IPv6 has no such table
    throw error;
  }
}

/** Abstract ones begin with `@` and have no folder. */
function pathOf(bound: string): Address {
  const path = Buffer.from(bound, 'latin1').toString();
  return { kind: 'unix', path: path.startsWith('/') ? canonicalPath(path) : path };
}

const portOf = (hex: string): number => Number.parseInt(hex.slice(hex.indexOf(':') + 1), 16);

/** `0100007F:1F90`, 32-bit words in the machine's byte order. */
export function tcpAddress(hex: string): Address & { readonly kind: 'tcp' } {
  const words = hex.slice(0, hex.indexOf(':')).match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => {
    const four = (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16));
    return LITTLE_ENDIAN ? four.reverse() : four;
  });
  return { kind: 'tcp', host: bytes.length === 4 ? bytes.join('.') : ipv6(bytes), port: portOf(hex) };
}

function ipv6(bytes: readonly number[]): string {
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  if (mapped) return `::ffff:${bytes.slice(12).join('.')}`;
  const groups = Array.from({ length: 8 }, (_, at) =>
    (((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0)).toString(16),
  );
  const zeros = /(?:^|:)0(?::0)+(?=:|$)/.exec(groups.join(':'));
  if (zeros === null) return groups.join(':');
  const text = groups.join(':');
  const head = text.slice(0, zeros.index);
  const rest = text.slice(zeros.index + zeros[0].length).replace(/^:/, '');
  return `${head}::${rest}`;
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
