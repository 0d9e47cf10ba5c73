/** What a deploy tells before it acts. */
import type { App } from '../context.js';
import type { Situation, Steps } from '../deploy/plan.js';
import type { SlotView } from '../drivers.js';
import { SLOTS } from '../event.js';
import type { Plan, Slot, Warning } from '../event.js';

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
  const cleared = decision.clear === null ? [] : [stopOf(app, to)];
  const left = from === null ? [] : [stopOf(app, from)];
  return {
    command: situation.command,
    from,
    to,
    switch: app.drivers.proxy.kind,
    steps,
    // where nothing is left the files name the slot already
    changes: switches && from !== null ? proxy.changes : [],
    commands: [
      ...cleared.flatMap(({ commands }) => commands),
      ...starts,
      ...(switches ? proxy.commands : []),
      ...left.flatMap(({ commands }) => commands),
    ],
    signals: [
      ...cleared.flatMap(({ signals }) => signals),
      ...(switches ? proxy.signals : []),
      ...left.flatMap(({ signals }) => signals),
    ],
    dryRun,
  };
}

/** How a pool's stop begins: with a command of its manager's, or a signal. */
function stopOf(app: App, slot: Slot): Pick<Plan, 'commands' | 'signals'> {
  const stop = app.drivers.pool.stopBegins(slot);
  return 'command' in stop
    ? { commands: [stop.command], signals: [] }
    : { commands: [], signals: [{ ...stop, to: `the ${slot} pool` }] };
}
