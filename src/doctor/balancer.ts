/**
 * `backup` needs round robin. nginx refuses it after ip_hash, hash or random; where one of them stands
 * below the servers it accepts it, and still means it (ngx_http_upstream_module).
 */
import { SLOTS } from '../event.js';
import type { Place } from '../event.js';
import { names, sites } from '../nginx/sites.js';
import { placeOf, walk } from '../nginx/tree.js';
import type { Check, Verdict } from './subject.js';

const BALANCERS = new Set(['ip_hash', 'hash', 'random']);

export const balancer: Check = ({ nginx, slots }) => {
  if (nginx === null || slots === null) return [];
  const { resolver, tree } = nginx;
  if (resolver === null) return [];
  const pairs = new Map<object, Place[]>();
  for (const { upstream, target, role, place } of sites(tree)) {
    if (upstream === null || role !== 'backup') continue;
    if (!SLOTS.some((slot) => names(target, slots[slot].address, resolver))) continue;
    pairs.set(upstream, [...(pairs.get(upstream) ?? []), place]);
  }
  const found: Verdict[] = [];
  for (const visit of walk(tree)) {
    const { name } = visit.directive;
    const backups = visit.parent === null ? undefined : pairs.get(visit.parent.block);
    if (backups === undefined || !BALANCERS.has(name)) continue;
    const places = [placeOf(visit), ...backups];
    found.push({ severity: 'error', observation: { reason: 'backup-balancer', balancer: name, places } });
  }
  return found;
};
