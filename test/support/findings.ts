/** What `doctor` has found, as a script reads it. */
import type { Severity } from '../../src/event.js';
import type { Run } from './command.js';

export interface Seen {
  readonly severity: Severity;
  readonly reason: string;
  readonly app: string | null;
  readonly message: string;
  readonly hint: string;
  readonly fixable: boolean;
  readonly evidence: Readonly<Record<string, unknown>>;
}

export const findings = (run: Run): readonly Seen[] => run.result['findings'] as readonly Seen[];

/** What is wrong, advice left out. */
export const wrong = (run: Run): string[] =>
  findings(run)
    .filter(({ severity }) => severity !== 'advice')
    .map(({ severity, reason }) => `${severity} ${reason}`);

/** The one finding of a reason; throws when there is none, or more than one. */
export function only(run: Run, reason: string): Seen {
  const [first, ...more] = findings(run).filter((one) => one.reason === reason);
  if (first === undefined || more.length > 0) throw new Error(`not one ${reason}: ${run.stdout}`);
  return first;
}
