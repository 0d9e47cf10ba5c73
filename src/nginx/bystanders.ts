/**
 * Whom a stop would hurt beside the places that are switched: sites of another pool of the same master,
 * and places that go on naming the slot that was left. PURE.
 */
import { SLOTS } from '../event.js';
import type { OtherPool, Place, Slot } from '../event.js';
import { canonical } from './address.js';
import type { Resolver, SlotAddress } from './address.js';
import { triesNext } from './backup.js';
import type { Directive } from './parser.js';
import type { Reference } from './references.js';
import { leadsTo, sites } from './sites.js';
import type { Tree } from './tree.js';

/** Where the other pools of each slot's master listen. */
export type OtherAddresses = Readonly<Record<Slot, readonly SlotAddress[]>>;
export const NO_OTHERS: OtherAddresses = { blue: [], green: [] };

/**
 * Every place that sends requests to another pool of either slot's master, by its name or by a link that
 * leads there. A server that is `down` is never asked.
 */
export function otherPoolsNamed(
  tree: Tree,
  resolve: Resolver,
  others: OtherAddresses = NO_OTHERS,
): readonly OtherPool[] {
  const all = SLOTS.flatMap((slot) => others[slot].map((address) => ({ slot, address })));
  const found = new Map<string, OtherPool>();
  if (all.length === 0) return [];
  for (const { target, place, role } of sites(tree)) {
    if (role === 'down') continue;
    for (const { slot, address } of all) {
      if (!leadsTo(target, address, resolve)) continue;
      found.set(`${slot} ${spot(place)}`, { place, slot, address: canonical(address) });
    }
  }
  return [...found.values()];
}

/**
 * The places that ask a slot first and have nobody else to ask when it is gone, `exchanged` excepted: what `only`
 * leaves out, and links of somebody else's that lead to it.
 */
export function leftBehind(
  tree: Tree,
  left: SlotAddress,
  exchanged: readonly Reference[],
  resolve: Resolver,
): readonly Place[] {
  const ours = new Set(exchanged.map(wordOf));
  const found = new Map<string, { readonly place: Place; readonly upstream: Directive | null }>();
  const manned = new Set<Directive>();
  for (const site of sites(tree)) {
    const { target, place, role, upstream } = site;
    if (role === 'down') continue;
    if (!leadsTo(target, left, resolve)) {
      if (upstream !== null) manned.add(upstream);
    } else if (role === 'primary' && !ours.has(wordOf(site))) {
      found.set(spot(place), { place, upstream });
    }
  }
  // a server that cannot be reached is nobody's loss where nginx goes on to the next one
  const next = triesNext(tree);
  return [...found.values()].flatMap(({ place, upstream }) =>
    next && upstream !== null && manned.has(upstream) ? [] : [place],
  );
}

/** One word in one real file, by whatever path nginx comes to it. */
const wordOf = ({ file, token }: Pick<Reference, 'file' | 'token'>): string =>
  `${file.real} ${String(token.offset)}`;

const spot = ({ file, line, column }: Place): string => `${file} ${String(line)} ${String(column)}`;
