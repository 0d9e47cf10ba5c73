/**
 * Addresses as nginx reads them in `fastcgi_pass` and in an upstream's `server`
 * (ngx_parse_url), and when two of them mean the same socket.
 */

/** Where one slot's pool listens. `path`: its folder without links, and its own name as it is. */
export type SlotAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** What a value names. `port`: null when it gives none. Indices count in the value. */
export type Target =
  | { readonly kind: 'unix'; readonly path: string; readonly pathAt: number }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number | null; readonly portAt: number };

/** How names become what the kernel knows; answers are looked up before, so that this room stays pure. */
export interface Resolver {
  /** A folder's real path, all links resolved; null when there is no such folder. */
  readonly realpath: (folder: string) => string | null;
  /** Where a link leads, one step and as an absolute path; null for what is no link. */
  readonly link: (path: string) => string | null;
  /** A host name's IP addresses as nginx's getaddrinfo gives them; empty when unknown. */
  readonly lookup: (host: string) => readonly string[];
  /** The IP addresses of this host's interfaces. Loopback is known without them. */
  localAddresses(): readonly string[];
}

/** Reads a value; null when nginx would refuse it or when it is surely no socket of ours. */
export function parseTarget(value: string): Target | null {
  if (/^unix:/i.test(value)) {
    const path = value.slice(5).replace(/\0[^]*$/, '');
    return path.startsWith('/') ? { kind: 'unix', path, pathAt: 5 } : null;
  }
  const parts = /^(?:\[([^\]]*)\]|([^:/?[\]]+))(?::(\d{1,20}))?$/.exec(value);
  const host = parts?.[1] ?? parts?.[2];
  if (host === undefined) return null;
  if (parts?.[1] !== undefined && parseIp(host) === null) return null;
  const digits = parts?.[3];
  const port = digits === undefined ? null : Number(digits);
  if (port !== null && (port < 1 || port > 65535)) return null;
  return { kind: 'tcp', host, port, portAt: value.length - (digits?.length ?? 0) };
}

/** An IP address in one spelling (an IPv4-mapped one as IPv4); null for anything else. */
export function parseIp(text: string): string | null {
  if (!text.includes(':')) {
    const octets = text.split('.').map((octet) => (/^\d{1,10}$/.test(octet) ? Number(octet) : 256));
    return octets.length === 4 && octets.every((octet) => octet < 256) ? octets.join('.') : null;
  }
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const embedded = tail === null ? null : parseIp(tail[2] ?? '');
  if (tail !== null && embedded === null) return null;
  const [a = 0, b = 0, c = 0, d = 0] = (embedded ?? '').split('.').map(Number);
  const hex =
    tail === null ? text : `${tail[1] ?? ''}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  const halves = hex.split('::');
  if (halves.length > 2) return null;
  const [head = [], end = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const zeros = 8 - head.length - end.length;
  if (halves.length === 2 ? zeros < 1 : zeros !== 0) return null;
  const groups = [...head, ...Array<string>(zeros).fill('0'), ...end];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  const numbers = groups.map((group) => parseInt(group, 16));
  const [g = 0, h = 0] = numbers.slice(6);
  if (numbers.slice(0, 5).every((n) => n === 0) && numbers[5] === 0xffff) {
    return [g >> 8, g & 255, h >> 8, h & 255].join('.');
  }
  return numbers.map((n) => n.toString(16)).join(':');
}

/**
 * The IP addresses that nginx would connect to. The kernel takes a connect to
 * "any address" as one to loopback of the same family.
 */
export function connectsTo(host: string, resolver: Resolver): readonly string[] {
  const ip = parseIp(host.replace(/^\[|\]$/g, ''));
  const all = ip === null ? resolver.lookup(host).map(parseIp) : [ip];
  return all.flatMap((each) =>
    each === null ? [] : each === ANY4 ? LOOPBACK4 : each === ANY6 ? LOOPBACK6 : each,
  );
}

/** Whether a connect to `ip` arrives at a pool that listens on `host`, the port being right. */
export function reaches(ip: string, host: string, resolver: Resolver): boolean {
  const listens = wildcard(host);
  if (listens === null) return connectsTo(host, resolver).includes(ip);
  if (listens === ANY4 && ip.includes(':')) return false;
  return (
    ip.startsWith('127.') ||
    ip === LOOPBACK6 ||
    resolver.localAddresses().some((each) => parseIp(each) === ip)
  );
}

/** Whether two pools listen on the same addresses, so that their port alone tells them apart. */
export function sameHost(a: string, b: string, resolver: Resolver): boolean {
  const [anyA, anyB] = [wildcard(a), wildcard(b)];
  if (anyA !== null || anyB !== null) return anyA === anyB;
  const [inA, inB] = [connectsTo(a, resolver), connectsTo(b, resolver)];
  return a === b || (inA.length > 0 && inA.length === inB.length && inA.every((ip) => inB.includes(ip)));
}

/** How we write a slot's address in nginx's configuration. A pool on every address is asked over loopback. */
export function canonical(address: SlotAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const host = wildcard(address.host) === null ? address.host.replace(/^\[|\]$/g, '') : LOOPBACK4;
  return `${host.includes(':') ? `[${host}]` : host}:${String(address.port)}`;
}

/** A path with its folder's links resolved and its last part as it is: nginx connects to that name, link or not. */
export function realSocketPath(path: string, resolver: Pick<Resolver, 'realpath'>): string {
  const cut = path.lastIndexOf('/');
  return join(realFolder(path.slice(0, cut), resolver), path.slice(cut + 1));
}

/** A folder without links; as far as it exists: what is missing is taken as written. */
export function realFolder(folder: string, resolver: Pick<Resolver, 'realpath'>): string {
  const missing: string[] = [];
  for (let at = folder.replace(/\/+$/, ''); at !== '';) {
    const real = resolver.realpath(at);
    if (real !== null) return missing.reduce(join, real);
    const cut = at.lastIndexOf('/');
    missing.unshift(at.slice(cut + 1));
    at = at.slice(0, Math.max(cut, 0)).replace(/\/+$/, '');
  }
  return missing.reduce(join, '/');
}

const ANY4 = '0.0.0.0';
const ANY6 = '0:0:0:0:0:0:0:0';
const LOOPBACK4 = '127.0.0.1';
const LOOPBACK6 = '0:0:0:0:0:0:0:1';

/** The "any address" a listen host means; null for a host of its own. FPM's bare port listens on both families. */
function wildcard(host: string): string | null {
  if (host === '' || host === '*') return ANY6;
  const ip = parseIp(host.replace(/^\[|\]$/g, ''));
  return ip === ANY4 || ip === ANY6 ? ip : null;
}

function join(folder: string, name: string): string {
  if (name === '' || name === '.') return folder;
  if (name === '..') return folder.slice(0, folder.lastIndexOf('/')) || '/';
  return folder === '/' ? `/${name}` : `${folder}/${name}`;
}
