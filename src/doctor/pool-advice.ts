/** What the pools' own advice and the proxy's survey warn of before every deploy. */
import { SLOTS } from '../event.js';
import type { Severity, Warning, WarningReason } from '../event.js';
import type { Check } from './subject.js';

/** Everything that a deploy would warn of, that no other check says better. */
export const deployWarnings: Check = ({ pools, proxy, views, active, slots }) => {
  const found: Warning[] = [];
  for (const slot of slots === null ? [] : SLOTS) {
    // only what is started next can have too few workers or too little memory
    const from = active === null || slot === active ? null : (views[active] ?? null);
    found.push(...(pools?.warnings(from, slot) ?? []));
  }
  found.push(...(proxy?.warnings ?? []));
  if (proxy !== null && proxy.otherPools.length > 0) {
    found.push({ reason: 'master-shared', places: proxy.otherPools });
  }
  if (proxy !== null && proxy.unused.length > 0) {
    found.push({ reason: 'reference-unused', places: proxy.unused });
  }
  const named = proxy?.active ?? null;
  if (named !== null && proxy !== null && proxy.leftBehind.length > 0) {
    found.push({ reason: 'left-behind', slot: named, places: proxy.leftBehind });
  }
  const once = new Map(found.map((warning) => [JSON.stringify(warning), warning]));
  return [...once.values()].map((warning) => ({ severity: SEVERITY[warning.reason] ?? 'warning', warning }));
};

const SEVERITY: Readonly<Partial<Record<WarningReason, Severity>>> = {
  // a deploy is refused for it
  'master-shared': 'error',
  // nobody is sent to the pool
  'reference-unused': 'error',
  'no-status': 'advice',
  'variable-reference': 'advice',
};
