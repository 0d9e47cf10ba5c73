/** A pidfile or a socket's file that a gone life left, or that says what is not so. */
import type { SlotView } from '../drivers.js';
import type { PidfileState, Warning } from '../event.js';
import type { Check, Verdict } from './subject.js';
import { viewsOf } from './subject.js';

export const leftovers: Check = (subject) =>
  viewsOf(subject).flatMap((view) => view.warnings.flatMap((warning) => judge(view, warning)));

function judge({ life, state }: SlotView, warning: Warning): readonly Verdict[] {
  if (warning.reason === 'socket-file-stale') return [{ severity: 'warning', warning, fixable: true }];
  if (warning.reason !== 'pidfile') return [];
  // whoever holds the address is a finding of its own
  if (state === 'foreign' && warning.state === 'missing') return [];
  const swept = life === null && state !== 'foreign' && SWEPT.has(warning.state);
  return [{ severity: 'warning', warning, ...(swept ? { fixable: true } : {}) }];
}

/** What sweep() removes: it names nobody. A living master of another configuration goes by its own. */
const SWEPT: ReadonlySet<PidfileState> = new Set<PidfileState>([
  'empty',
  'garbage',
  'several-lines',
  'dead',
  'reused',
  'init',
]);
