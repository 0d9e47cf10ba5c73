import { SLOTS, fail, ok, otherSlot } from '../event.js';
import type { Place, Result, Slot } from '../event.js';
import { canonical, parseIp, realFolder, realSocketPath, sameHost } from './address.js';
import type { Resolver, SlotAddress, Target } from './address.js';
import type { Token } from './lexer.js';
import type { Directive } from './parser.js';
import { names, pathsOf, sites } from './sites.js';
import type { Role, Site } from './sites.js';
import { fromUtf8, toUtf8 } from './spelling.js';
import { walk } from './tree.js';
import type { ConfigFile, Tree } from './tree.js';

export type SlotAddresses = Readonly<Record<Slot, SlotAddress>>;

export interface Query {
  readonly addresses: SlotAddresses;
  /** `upstream NAME` or a file of the tree, by its path there or its real one. Empty: everywhere. */
  readonly only: readonly string[];
  readonly resolve: Resolver;
}

/** A spot in nginx's configuration that names a slot. A file that is included twice gives it twice. */
export interface Reference {
  readonly slot: Slot;
  readonly role: Role;
  readonly place: Place;
  readonly file: ConfigFile;
  /** The word with the address. */
  readonly token: Token;
  /** The upstream it stands in; null: `fastcgi_pass` names the slot itself. */
  readonly upstream: Directive | null;
  readonly maxFailsZero: boolean;
  /**
   * How to name the other slot in this user's spelling: the value's bytes from
   * `index` on become `text`. Null when the spelling leaves nothing to keep.
   */
  readonly keeps: { readonly index: number; readonly text: string } | null;
}

export interface Found {
  readonly references: readonly Reference[];
  /** Each `fastcgi_pass` in scope with a variable: whom it asks, nobody can tell before. */
  readonly variables: readonly Place[];
  /** Places that name a slot, and that `only` leaves out. */
  readonly outside: readonly Place[];
}

/**
 * Every `fastcgi_pass` and every upstream `server` in scope that names one of
 * the slots. An upstream counts whether it is used or not. Fails with `only-unknown`.
 */
export function findReferences(tree: Tree, query: Query): Result<Found> {
  const scope = scopeOf(tree, query.only);
  if (!scope.ok) return scope;
  const references: Reference[] = [];
  const variables: Place[] = [];
  const outside: Place[] = [];
  for (const site of sites(tree)) {
    const named = SLOTS.filter((slot) => names(site.target, query.addresses[slot], query.resolve));
    if (!scope.value(site)) {
      if (named.length > 0) outside.push(site.place);
      continue;
    }
    if (site.variable) variables.push(site.place);
    for (const slot of named) {
      const { file, place, token, upstream, maxFailsZero } = site;
      // A host name with addresses of both pools asks both: as ambiguous as two primary servers.
      const role = named.length > 1 ? 'primary' : site.role;
      const keeps = spelling(site.target, token, slot, query);
      references.push({ slot, role, place, file, token, upstream, maxFailsZero, keeps });
    }
  }
  return ok({ references, variables: distinct(variables), outside: distinct(outside) });
}

/**
 * The slot that all primary references name. Fails with `reference-missing`
 * where there is none, `reference-ambiguous` where they name both.
 */
export function activeSlot(found: Found, addresses: SlotAddresses): Result<Slot> {
  const primary = found.references.filter((reference) => reference.role === 'primary');
  const [first] = primary;
  if (first === undefined) {
    const both = SLOTS.map((slot) => canonical(addresses[slot]));
    const { variables, outside } = found;
    const left = outside.length > 0 ? { outside } : {};
    return fail({ reason: 'reference-missing', addresses: both, variables, ...left });
  }
  if (primary.every((reference) => reference.slot === first.slot)) return ok(first.slot);
  const places = new Map(primary.map(({ place, slot }) => [`${slot} ${spot(place)}`, { place, slot }]));
  return fail({ reason: 'reference-ambiguous', places: [...places.values()] });
}

/**
 * The places that name a link which leads to the slots. The whole tree counts,
 * since a slot that is named elsewhere, or by another link that leads to it and not
 * through this one, has a way in that the link does not close.
 * Fails with `link-not-named`, `link-and-slot-named`.
 */
export function findLink(
  tree: Tree,
  link: string,
  { addresses, resolve }: Omit<Query, 'only'>,
): Result<{
  readonly places: readonly Place[];
  readonly namings: readonly Pick<Site, 'place' | 'upstream'>[];
  readonly variables: readonly Place[];
}> {
  const places: Place[] = [];
  const namings: Pick<Site, 'place' | 'upstream'>[] = [];
  const direct: Place[] = [];
  const variables: Place[] = [];
  const own = realSocketPath(link, resolve);
  const slots = SLOTS.flatMap((slot) => (addresses[slot].kind === 'unix' ? [addresses[slot].path] : []));
  for (const { target, place, variable, upstream, role } of sites(tree)) {
    if (variable) variables.push(place);
    const paths = pathsOf(target, resolve);
    if (paths[0] === own) places.push(place);
    if (paths[0] === own && role === 'primary') namings.push({ place, upstream });
    if (!paths.includes(own) && paths.some((path) => slots.includes(path))) direct.push(place);
  }
  if (places.length === 0) return fail({ reason: 'link-not-named', link });
  if (direct.length > 0) return fail({ reason: 'link-and-slot-named', link, places: distinct(direct) });
  return ok({ places: distinct(places), namings, variables: distinct(variables) });
}

/**
 * The host names whose addresses `Resolver.lookup` will be asked for when these addresses are
 * compared with what the tree names: look them up before.
 */
export function hostsNamed(tree: Tree, addresses: readonly SlotAddress[]): readonly string[] {
  const tcp = addresses.filter((address) => address.kind === 'tcp');
  const hosts = tcp.map((address) => address.host.replace(/^\[|\]$/g, ''));
  for (const { target } of sites(tree)) {
    if (target?.kind === 'tcp' && tcp.some((address) => address.port === target.port))
      hosts.push(target.host);
  }
  return [...new Set(hosts)].filter((host) => !['', '*'].includes(host) && parseIp(host) === null);
}

/**
 * Unix: all up to the last folder that both slots share stays as the user wrote
 * it, links and all; TCP with one host: all but the port stays. Both ways back
 * lead to the same bytes, since the part that is replaced has one spelling only.
 */
function spelling(target: Target | null, token: Token, slot: Slot, query: Query): Reference['keeps'] {
  const [own, other] = [query.addresses[slot], query.addresses[otherSlot(slot)]];
  if (target?.kind === 'unix' && own.kind === 'unix' && other.kind === 'unix') {
    const [from, to] = [own.path.split('/'), other.path.split('/')];
    let shared = 0;
    while (shared < Math.min(from.length, to.length) - 1 && from[shared] === to[shared]) shared++;
    const tail = fromUtf8(`/${from.slice(shared).join('/')}`);
    const head = toUtf8(target.path.slice(0, Math.max(0, target.path.length - tail.length)));
    if (!target.path.endsWith(tail) || head === null) return null;
    if (realFolder(head, query.resolve) !== (from.slice(0, shared).join('/') || '/')) return null;
    const index = target.pathAt + target.path.length - tail.length + 1;
    return { index, text: fromUtf8(to.slice(shared).join('/')) };
  }
  if (target?.kind !== 'tcp' || own.kind !== 'tcp' || other.kind !== 'tcp') return null;
  if (!sameHost(own.host, other.host, query.resolve)) return null;
  const digits = token.value.slice(target.portAt);
  // Zeros before the port mean nothing to nginx, but they are the user's.
  const lead = digits === '' ? ':' : (/^0*/.exec(digits)?.[0] ?? '');
  return { index: target.portAt, text: `${lead}${String(other.port)}` };
}

/** Which sites `only` lets in. */
function scopeOf(tree: Tree, only: readonly string[]): Result<(site: Site) => boolean> {
  const upstreams = new Set<string>();
  const files = new Set<string>();
  for (const entry of only) {
    // nginx compares upstreams' names without regard to case.
    const upstream = /^upstream\s+(\S+)\s*$/.exec(entry)?.[1]?.toLowerCase();
    const known =
      upstream === undefined
        ? tree.files.some((file) => file.path === entry || file.real === entry)
        : [...walk(tree)].some(({ directive }) => upstreamName(directive) === upstream);
    if (!known) return fail({ reason: 'only-unknown', only: entry });
    if (upstream === undefined) files.add(entry);
    else upstreams.add(upstream);
  }
  return ok(
    ({ file, upstream }) =>
      only.length === 0 ||
      files.has(file.path) ||
      files.has(file.real) ||
      (upstream !== null && upstreams.has(upstreamName(upstream) ?? '')),
  );
}

function upstreamName(directive: Directive): string | null {
  if (directive.name !== 'upstream' || directive.block === null) return null;
  return toUtf8(directive.args[0]?.value ?? '')?.toLowerCase() ?? null;
}

function distinct(places: readonly Place[]): readonly Place[] {
  return [...new Map(places.map((place) => [spot(place), place])).values()];
}

function spot(place: Place): string {
  return `${place.file} ${String(place.line)} ${String(place.column)}`;
}
