/**
 * The show behind `swap-pool demo`: a site of its own, live load, deploys both ways with both
 * switches, and then the count of what was cut.
 */
import { rmdirSync } from 'node:fs';
import type { Interruption } from '../deploy/deploy.js';
import {
  fail,
  ok,
  type DemoReport,
  type DemoRow,
  type Event,
  type Failure,
  type Result,
  type SwitchKind,
} from '../event.js';
import { now, waitUntil } from '../system/clock.js';
import { exists } from '../system/files.js';
import { places } from '../system/places.js';
import { Load, type LoadPlan } from './load.js';
import { findPrograms, type Programs } from './programs.js';
import { Sandbox } from './sandbox.js';
import type { Deploy } from './spawn-deploy.js';
import { summarize, type LoadRun } from './summary.js';

export interface DemoOptions {
  readonly emit: (event: Event) => void;
  readonly interruption: Interruption;
  readonly deploy: Deploy;
  /** The folder of the package's templates. */
  readonly templates: string;
}

/** The report is there whenever the show came to its end, a failure too when something was cut. */
export interface DemoEnd {
  readonly report: DemoReport | null;
  readonly failure: Failure | null;
}

/**
 * Runs the demo. It takes about half a minute and leaves nothing behind, however it ends.
 * Fails with `demo-needs`, `interrupted`, `demo-cut`, or what ended a deploy.
 */
export async function runDemo(options: DemoOptions): Promise<DemoEnd> {
  const programs = findPrograms();
  if (!programs.ok) return { report: null, failure: programs.failure };
  await Sandbox.removeDead(programs.value);
  const { locks } = places({}, process.getuid?.() ?? -1);
  const hadLocks = exists(locks);
  const runs: Run[] = [];
  try {
    for (const by of ['rewrite', 'symlink'] as const) {
      const played = await play(by, programs.value, options);
      if (!played.ok) return { report: null, failure: interruptionOf(options) ?? played.failure };
      runs.push(played.value);
    }
  } finally {
    if (!hadLocks) removeIfEmpty(locks);
  }
  const report = { rows: runs.flatMap(({ rows }) => rows), ...summarize(runs) };
  const { cut, requests } = report;
  return { report, failure: cut === 0 ? null : { reason: 'demo-cut', cut, requests } };
}

interface Run extends LoadRun {
  readonly rows: readonly DemoRow[];
}

const APP = 'demo';

/** What the two small cores of a laptop carry beside nginx and two pools. */
const PLAN: LoadPlan = {
  fast: { rate: 80 },
  slow: { every: 750, takes: 3_000 },
  upload: { every: 750, takes: 2_000, bytes: 200_000 },
  idle: { clients: 8, every: 300, delay: 25 },
};
const WORKERS = 10;

async function play(by: SwitchKind, programs: Programs, options: DemoOptions): Promise<Result<Run>> {
  const opened = await Sandbox.open({
    templates: options.templates,
    programs,
    sites: [{ name: APP, switch: by, workers: WORKERS }],
  });
  if (!opened.ok) return opened;
  const sandbox = opened.value;
  let played: Result<Run>;
  let left: readonly string[];
  try {
    played = await playIn(sandbox, by, options);
  } finally {
    left = await sandbox.close();
  }
  return left.length === 0 ? played : fail({ reason: 'bug', detail: `left behind: ${left.join('; ')}` });
}

async function playIn(sandbox: Sandbox, by: SwitchKind, options: DemoOptions): Promise<Result<Run>> {
  // With nothing serving, a deploy is a start: both slots are then one deploy away. What it warns
  // of, that nothing serves and that nginx is as young as its files, is how a sandbox begins.
  const emit = (event: Event): void => {
    if (event.type !== 'warning') options.emit(event);
  };
  const first = await deployOnce(sandbox, { ...options, emit });
  if (!first.ok) return first;
  const load = await Load.start({ port: sandbox.site().port, host: `${APP}.test`, plan: PLAN });
  try {
    const rows: DemoRow[] = [];
    for (let round = 0; round < 2; round += 1) {
      const busy = await untilBusy(load, options);
      if (!busy.ok) return busy;
      const row = await deployOnce(sandbox, options);
      if (!row.ok) return row;
      rows.push({ switch: by, ...row.value });
      const moved = await untilAnswered(load, row.value.to, options);
      if (!moved.ok) return moved;
    }
    const records = await load.stop();
    return ok({ by, rows, records, account: sandbox.account() });
  } finally {
    load.abandon();
  }
}

async function deployOnce(
  sandbox: Sandbox,
  { deploy, emit, interruption }: DemoOptions,
): Promise<Result<Omit<DemoRow, 'switch'>>> {
  const end = await deploy({ sandbox, app: APP, signal: interruption.signal, told: emit });
  if (end.failure !== null) return fail(end.failure);
  if (end.to === null) return fail({ reason: 'bug', detail: 'a deploy that names no slot' });
  return ok({ from: end.from ?? end.to, to: end.to, deployMs: end.ms });
}

/** A deploy is worth showing when it has something to wait for. */
const untilBusy = (load: Load, options: DemoOptions): Promise<Result<void>> =>
  until(options, 'no request under way', () => load.underWay('slow') > 0 && load.underWay('upload') > 0);

/** A deploy that moved nobody would cut nobody either. */
function untilAnswered(load: Load, slot: DemoRow['to'], options: DemoOptions): Promise<Result<void>> {
  const since = now();
  return until(options, `no answer from ${slot}`, () =>
    load.records.some((record) => record.start > since && record.by?.startsWith(`${slot}/`) === true),
  );
}

async function until(
  { interruption }: DemoOptions,
  otherwise: string,
  what: () => boolean,
): Promise<Result<void>> {
  const seen = await waitUntil(() => (what() ? true : undefined), {
    deadline: 10_000,
    signal: interruption.signal,
  });
  return seen.kind === 'seen' ? ok(undefined) : fail({ reason: 'bug', detail: `demo: ${otherwise}` });
}

/** Whatever an interrupted demo stumbled over, the interruption is why it ended. */
const interruptionOf = ({ interruption: { requested } }: DemoOptions): Failure | null =>
  requested === null ? null : { reason: 'interrupted', signal: requested, demo: true };

/** The folder of the locks, if we were the first to need it and nobody else does by now. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // not empty, or never made
  }
}
