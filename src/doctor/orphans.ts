/** KILL to an FPM master leaves its workers serving; so does HUP to one that does not reload on it. */
import { otherSlot } from '../event.js';
import type { Check } from './subject.js';
import { viewsOf } from './subject.js';

/** Those of the standby can be ended once they provably serve nobody; those that serve, by a deploy alone. */
export const orphans: Check = (subject) =>
  viewsOf(subject).flatMap((view) => {
    const { slot, address, connections, life } = view;
    if (view.state !== 'orphaned' || life === null) return [];
    const { proxy } = subject;
    const named = proxy?.differing.length === 0 ? proxy.active : null;
    const serves = named === null ? null : named === slot;
    const pids = life.workers.map(({ pid }) => pid);
    const observation = { reason: 'orphans', slot, serves, address, pids, connections } as const;
    const idle = serves === false && subject.views[otherSlot(slot)] !== undefined && !subject.inBetween;
    return [{ severity: 'error', observation, ...(idle ? { fixable: true } : {}) }];
  });
