/** Whether anybody answers for the site, and whether everybody who runs can be reached. */
import type { SlotView } from '../drivers.js';
import { otherSlot } from '../event.js';
import type { Check, Verdict } from './subject.js';
import { viewsOf } from './subject.js';

export const served: Check = (subject) => {
  const { active, led, views, silent, inBetween } = subject;
  const found: Verdict[] = [];
  for (const view of viewsOf(subject)) {
    const nameless = namelessness(view);
    if (nameless !== null && !(inBetween && nameless.retired)) {
      found.push({ severity: 'error', observation: nameless });
      continue;
    }
    const failure = silent[view.slot];
    if (failure !== undefined) found.push({ severity: view.slot === active ? 'error' : 'warning', failure });
  }
  const serving = active === null ? undefined : views[active];
  // what was not read says nothing of who serves: that it was not is a finding of its own
  if (serving === undefined || led === 'unknown') return found;
  const { slot, address, life, state } = serving;
  const doubtful = led === 'doubtful' ? ({ doubtful: true } as const) : {};
  if (life === null && state !== 'foreign') {
    found.push({ severity: 'error', observation: { reason: 'not-served', slot, address, ...doubtful } });
  }
  const standby = views[otherSlot(slot)];
  if (standby?.state === 'running' && led === 'known' && !inBetween) {
    const pid = standby.life?.master?.pid ?? null;
    found.push({ severity: 'warning', warning: { reason: 'standby-running', slot: standby.slot, pid } });
  }
  return found;
};

function namelessness({ slot, address, life, retired, lost }: SlotView) {
  if (life === null || (!retired && !lost)) return null;
  const pid = life.master?.pid ?? null;
  return { reason: 'socket-nameless', slot, address, pid, retired } as const;
}
