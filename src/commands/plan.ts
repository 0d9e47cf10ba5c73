/** What a deploy tells before it acts. */
import type { App } from '../context.js';
import type { Situation, Steps } from '../deploy/plan.js';
import type { SlotView } from '../drivers.js';
import { SLOTS } from '../event.js';
import type { Plan, Warning } from '../event.js';

export function warn(app: App, situation: Situation, decision: Steps): void {
  for (const warning of warningsOf(app, situation, decision)) app.emit({ type: 'warning', warning });
}

function warningsOf(app: App, { proxy, slots, command }: Situation, decision: Steps): readonly Warning[] {
  const { from, to } = decision;
  const leaving: SlotView | null = from === null ? null : slots[from];
  const own: Warning[] = [];
  if (command === 'rollback' && decision.arriving === null) own.push({ reason: 'rollback-runs-now' });
  if (proxy.unused.length > 0) own.push({ reason: 'reference-unused', places: proxy.unused });
  if (proxy.differing.length > 0) own.push({ reason: 'running-differs', files: proxy.differing });
  if (command === 'deploy' && from === null) own.push({ reason: 'nothing-serves', slot: to });
  if (from === null && proxy.otherPools.length > 0) {
    own.push({ reason: 'master-shared', places: proxy.otherPools });
  }
  if (from !== null && proxy.leftBehind.length > 0) {
    own.push({ reason: 'left-behind', slot: from, places: proxy.leftBehind });
  }
  if (decision.clear !== null) {
    own.push({ reason: 'standby-running', slot: to, pid: decision.clear.master?.pid ?? null });
  }
  return [
    ...proxy.warnings,
    ...SLOTS.flatMap((slot) => slots[slot].warnings),
    ...app.drivers.pool.warnings(leaving, to),
    ...own,
  ];
}

export function planOf(app: App, situation: Situation, decision: Steps, dryRun: boolean): Plan {
  const { proxy } = situation;
  const { from, to, steps } = decision;
  const starts = steps.includes('start') ? [app.drivers.pool.startCommand(to)] : [];
  const switches = steps.includes('switch');
  const stop = from === null ? null : app.drivers.pool.stopBegins(from);
  const signal = stop !== null && 'signal' in stop ? [{ ...stop, to: `the ${from ?? ''} pool` }] : [];
  const stops = stop !== null && 'command' in stop ? [stop.command] : [];
  return {
    command: situation.command,
    from,
    to,
    switch: app.drivers.proxy.kind,
    steps,
    // where nothing is left the files name the slot already
    changes: switches && from !== null ? proxy.changes : [],
    commands: [...starts, ...(switches ? proxy.commands : []), ...stops],
    signals: [...(switches ? proxy.signals : []), ...signal],
    dryRun,
  };
}
