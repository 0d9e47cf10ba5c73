/**
 * A deploy as a user would call it: the program itself, in a process of its own, asked for
 * JSON. So the demo shows the real thing, from its command line to its exit code.
 */
import type { Event, Failure, Outcome, Slot } from '../event.js';
import { now } from '../system/clock.js';
import { run } from '../system/exec.js';
import type { Sandbox } from './sandbox.js';

/** How a deploy ended. */
export interface DeployEnd {
  readonly outcome: Outcome | null;
  readonly from: Slot | null;
  readonly to: Slot | null;
  readonly ms: number;
  /** null: done. */
  readonly failure: Failure | null;
}

/** Deploys an app of a sandbox; `told` hears what happens on the way. */
export type Deploy = (asked: {
  readonly sandbox: Sandbox;
  readonly app: string;
  readonly signal: AbortSignal;
  readonly told: (event: Event) => void;
}) => Promise<DeployEnd>;

/** Longer than any deploy of the demo can take. */
const LONGEST_MS = 60_000;

/** Deploys by running `program`, swap-pool's bundle, with this node. */
export const spawnDeploy =
  (program: string): Deploy =>
  async ({ sandbox, app, signal, told }) => {
    const began = now();
    const command = [process.execPath, program, 'deploy', app, '--json', '--quiet'];
    const onLine = (line: string): void => {
      const event = eventOf(line);
      if (event !== null) told(event);
    };
    const ran = await run(command, { env: sandbox.env, signal, timeout: LONGEST_MS, onLine });
    return readDeploy(ran.stdout, {
      ms: now() - began,
      otherwise: `${command.join(' ')}: ${ran.failure ?? `exit ${ran.status ?? ''}`}\n${ran.stderr}`,
    });
  };

/**
 * What one line of a deploy's JSON tells the demo's audience; null for its result and its
 * failure, which are the demo's own to tell, and for what is no line of it.
 */
export function eventOf(line: string): Event | null {
  const parsed = parse(line);
  if (parsed === null || parsed.type === 'result' || parsed.type === 'failure') return null;
  // the demo's lines are about the demo, not about one deploy of it
  const { deploy: _, ...event } = parsed;
  return event;
}

/** How a deploy ended, by the lines of its JSON. `otherwise` says what happened when there is no result. */
export function readDeploy(
  output: string,
  { ms, otherwise }: { readonly ms: number; readonly otherwise: string },
): DeployEnd {
  let failure: Failure | null = null;
  let end: DeployEnd | null = null;
  for (const line of output.split('\n').filter(Boolean)) {
    const parsed = parse(line);
    if (parsed === null) continue;
    if (parsed.type === 'result') {
      const { outcome = null, from = null, to = null } = parsed;
      end = { outcome, from, to, ms: parsed.ms?.total ?? ms, failure: null };
    } else if (parsed.type === 'failure') {
      failure = parsed.failure;
    }
  }
  if (end?.outcome === 'done') return end;
  return {
    ...(end ?? { outcome: null, from: null, to: null, ms }),
    failure: failure ?? { reason: 'bug', detail: otherwise },
  };
}

/** A line of JSON: events as they are, the result's keys beside `type`. */
type Line =
  | Exclude<Event, { type: 'result' }>
  | {
      readonly type: 'result';
      readonly outcome?: Outcome;
      readonly from?: Slot | null;
      readonly to?: Slot;
      readonly ms?: { readonly total?: number };
    };

function parse(line: string): Line | null {
  try {
    return JSON.parse(line) as Line;
  } catch {
    return null;
  }
}
