/** What a connection to one of nginx's addresses has to say, by the `listen` directives that name it. PURE. */
import { parseIp, parseTarget } from './address.js';
import type { SlotAddress } from './address.js';
import { toUtf8 } from './spelling.js';
import { walk } from './tree.js';
import type { Tree } from './tree.js';

/** How nginx is spoken to at an address. */
export interface Manner {
  /** `http` is asked for something; whatever else it is (stream, mail, unknown) is left after a word at most. */
  readonly protocol: 'http' | 'other';
  readonly tls: boolean;
  readonly proxyProtocol: boolean;
}

interface Listen extends Manner {
  /** null: a unix socket's path, or a port alone. */
  readonly host: string | null;
  readonly first: number;
  readonly last: number;
  readonly path: string | null;
}

/** Of an address of which nothing is known. */
export const UNKNOWN: Manner = { protocol: 'other', tls: false, proxyProtocol: false };

/** Makes a teller of manners; null: no `listen` names the address. */
export function mannersOf(tree: Tree): (address: SlotAddress) => Manner | null {
  const all = listens(tree);
  return (address) => {
    const there = all.filter((each) =>
      address.kind === 'unix'
        ? each.path !== null && lastPart(each.path) === lastPart(address.path)
        : each.path === null && each.first <= address.port && address.port <= each.last,
    );
    // nginx binds `*:80` alone where a narrower one stands beside it, and a name stands for its addresses
    const exact = address.kind === 'tcp' ? there.filter(({ host }) => isHost(host, address.host)) : there;
    const meant = exact.length > 0 ? exact : there;
    if (meant.length === 0) return null;
    return {
      protocol: meant.every(({ protocol }) => protocol === 'http') ? 'http' : 'other',
      // a parameter counts for the address, whichever server's `listen` has it
      tls: meant.some(({ tls }) => tls),
      proxyProtocol: meant.some(({ proxyProtocol }) => proxyProtocol),
    };
  };
}

function listens(tree: Tree): readonly Listen[] {
  const found: Listen[] = [];
  for (const visit of walk(tree)) {
    const { name, args, block } = visit.directive;
    if (name !== 'listen' || block !== null || visit.parent?.block.name !== 'server') continue;
    const outer = visit.parent.parent?.block;
    const [address, ...rest] = args.map(({ value }) => toUtf8(value) ?? value);
    // QUIC and UDP take no connections
    if (address === undefined || rest.includes('quic') || rest.includes('udp')) continue;
    found.push({
      ...spotOf(address),
      protocol: outer?.name === 'http' ? 'http' : 'other',
      tls: rest.includes('ssl'),
      proxyProtocol: rest.includes('proxy_protocol'),
    });
  }
  return found;
}

function spotOf(address: string): Pick<Listen, 'host' | 'first' | 'last' | 'path'> {
  // a port, or several (nginx 1.15.10)
  const ports = /^(?:(.*):)?(\d+)(?:-(\d+))?$/.exec(address);
  if (ports !== null) {
    const [, host, first = '', last = first] = ports;
    return { host: host ?? null, first: Number(first), last: Number(last), path: null };
  }
  const target = parseTarget(address);
  if (target?.kind === 'unix') return { host: null, first: 0, last: 0, path: target.path };
  return { host: target?.host ?? address, first: DEFAULT_PORT, last: DEFAULT_PORT, path: null };
}

/** The kernel knows a socket by its folder without links, the file may name it with them. */
const lastPart = (path: string): string => path.slice(path.lastIndexOf('/'));

/** Of a `listen` without a port. */
const DEFAULT_PORT = 80;

/** Whether a `listen` is for this very address of the kernel's; a port alone is for every IPv4 one. */
function isHost(host: string | null, address: string): boolean {
  if (host === null || host === '*') return address === '0.0.0.0';
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return bare === address || (parseIp(bare) !== null && parseIp(bare) === parseIp(address));
}
