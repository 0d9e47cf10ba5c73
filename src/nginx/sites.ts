/** The places of nginx's configuration that take a FastCGI server's address, and whom they mean. PURE. */
import type { Place } from '../event.js';
import { connectsTo, parseTarget, reaches, realSocketPath } from './address.js';
import type { Resolver, SlotAddress, Target } from './address.js';
import type { Token } from './lexer.js';
import type { Directive } from './parser.js';
import { toUtf8 } from './spelling.js';
import { placeOf, walk } from './tree.js';
import type { ConfigFile, Tree } from './tree.js';

/** What an upstream does with a server: ask it first, when the first ones fail, never. */
export type Role = 'primary' | 'backup' | 'down';

/** A place that takes an address, whatever it names. */
export interface Site {
  readonly file: ConfigFile;
  readonly place: Place;
  /** The word with the address. */
  readonly token: Token;
  readonly target: Target | null;
  readonly variable: boolean;
  /** The upstream it stands in; null: `fastcgi_pass` names the server itself. */
  readonly upstream: Directive | null;
  readonly role: Role;
  readonly maxFailsZero: boolean;
}

/** Every `fastcgi_pass` and every upstream `server`, in nginx's order. A file that is included twice gives its own twice. */
export function* sites(tree: Tree): Generator<Site> {
  for (const visit of walk(tree)) {
    const { file, directive } = visit;
    const upstream = visit.parent?.block ?? null;
    const direct = directive.name === 'fastcgi_pass';
    if (!direct && (directive.name !== 'server' || upstream?.name !== 'upstream')) continue;
    const [token, ...options] = directive.args;
    if (token === undefined || directive.block !== null) continue;
    const target = parseTarget(token.value);
    const place = placeOf(visit, token);
    if (direct) {
      // Without a port it is an upstream's name; a variable is one even within an address.
      const variable = token.value.includes('$');
      const named = variable || (target?.kind === 'tcp' && target.port === null) ? null : target;
      const rest = { variable, upstream: null, role: 'primary', maxFailsZero: false } as const;
      yield { file, place, token, target: named, ...rest };
      continue;
    }
    const words = options.map((option) => option.value);
    const role = words.includes('down') ? 'down' : words.includes('backup') ? 'backup' : 'primary';
    const maxFailsZero = words.some((word) => /^max_fails=0+$/.test(word));
    const withPort = target?.kind === 'tcp' ? { ...target, port: target.port ?? DEFAULT_PORT } : target;
    yield { file, place, token, target: withPort, variable: false, upstream, role, maxFailsZero };
  }
}

/** Whether a target is this very address: folders' links resolved, TCP as the sockets nginx would connect to. */
export function names(target: Target | null, address: SlotAddress, resolve: Resolver): boolean {
  if (target?.kind === 'unix' && address.kind === 'unix') {
    const path = toUtf8(target.path);
    const name = address.path.slice(address.path.lastIndexOf('/'));
    return path?.endsWith(name) === true && realSocketPath(path, resolve) === address.path;
  }
  if (target?.kind !== 'tcp' || address.kind !== 'tcp' || target.port !== address.port) return false;
  return connectsTo(target.host, resolve).some((ip) => reaches(ip, address.host, resolve));
}

/** Whether a connect to a target arrives at this address now: it names it, or a link that leads there. */
export function leadsTo(target: Target | null, address: SlotAddress, resolve: Resolver): boolean {
  if (address.kind === 'tcp') return names(target, address, resolve);
  return pathsOf(target, resolve).includes(address.path);
}

/** The names that a connect to a unix target goes through: the one that is written, then where each link leads. */
export function pathsOf(target: Target | null, resolve: Resolver): readonly string[] {
  if (target?.kind !== 'unix') return [];
  const found: string[] = [];
  for (let path = toUtf8(target.path); path !== null && found.length <= MOST_LINKS;) {
    const real = realSocketPath(path, resolve);
    found.push(real);
    path = resolve.link(real);
  }
  return found;
}

/** What an upstream's `server` without a port connects to, for FastCGI too. */
const DEFAULT_PORT = 80;
/** The kernel follows no more on the way to one file (MAXSYMLINKS). */
const MOST_LINKS = 40;
