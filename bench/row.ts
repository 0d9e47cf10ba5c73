/**
 * One row of the table: a contender under the mix, deployed again and again, and everything that was seen of it.
 */
import { exists } from '../src/system/files.js';
import type { LoadRecord } from '../src/demo/load.js';
import type { Account } from '../src/demo/summary.js';
import { SLOTS, type Slot } from '../src/event.js';
import { every, now, waitUntil } from '../src/system/clock.js';
import { children, proportionalBytes } from '../src/system/proc.js';
import { socketsAt } from '../src/system/sockets.js';
import type { Bench, Contender, Stage } from './contender.js';
import { BURST, MIX, type Timing } from './mix.js';
import type { SenderEnd } from './record.js';
import { Recorder } from './recorder.js';
import { APP, fs, pause, socketOf } from './stage.js';

/** All times are on the clock of now(). */
export interface Deploy {
  readonly start: number;
  readonly end: number;
  readonly marks: readonly { readonly what: string; readonly at: number }[];
}

export interface Sample {
  readonly at: number;
  /** Connections that a slot's pool holds or that queue for it. */
  readonly inFlight: Readonly<Record<Slot, number>>;
}

/** What a row is made of. */
export interface Seen {
  readonly records: readonly LoadRecord[];
  readonly account: Account | null;
  readonly sender: SenderEnd;
  readonly deploys: readonly Deploy[];
  /** From the moment on when the mix was whole, to the last tail's end. */
  readonly from: number;
  readonly to: number;
  /** A burst and its consequences: [from, to]. */
  readonly bursts: readonly (readonly [number, number])[];
  readonly samples: readonly Sample[];
  /** Bytes of everything that serves: before the first deploy, and the most during it. */
  readonly memory: { readonly before: number; readonly peak: number };
  /** Ids of the work after the answer that was done to its end. */
  readonly finished: ReadonlySet<string>;
}

export interface RowOptions {
  readonly deploys: number;
  readonly timing: Timing;
}

/** How often the sockets are looked at, and the memory (during the first deploy alone: it costs). */
const LOOK_MS = 100;
const MEMORY_MS = 250;
/** Twice what that work takes. */
const AFTER_ANSWER_MS = 6_000;
/** No row lasts longer, or sends more. */
const LONGEST_MS = 15 * 60_000;
const MOST = 1_000_000;

/** Which of the programs that a contender needs are missing. */
export const missing = ({ needs = [] }: Contender): readonly string[] =>
  needs.filter((path) => !exists(path));

export async function play(contender: Contender, bench: Bench, options: RowOptions): Promise<Seen> {
  const stage = await contender.open(bench);
  let left: readonly string[];
  let seen: Seen;
  try {
    seen = await playOn(stage, bench.sender, options);
  } finally {
    left = await stage.sandbox.close();
  }
  if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
  return seen;
}

async function playOn(stage: Stage, sender: string, { deploys: wanted, timing }: RowOptions): Promise<Seen> {
  const { sandbox } = stage;
  const recorder = await Recorder.start(sender, {
    port: stage.port,
    host: `${APP}.test`,
    plan: MIX,
    timeoutMs: 30_000,
    most: MOST,
    longestMs: LONGEST_MS,
    file: sandbox.path('records'),
  });
  const samples: Sample[] = [];
  const stopLooking = every(LOOK_MS, () => {
    samples.push({ at: now(), inFlight: { blue: held(stage, 'blue'), green: held(stage, 'green') } });
  });
  try {
    await pause(timing.warmUp);
    const from = now();
    const deploys: Deploy[] = [];
    const bursts: [number, number][] = [];
    const before = memory(stage, recorder.pid);
    let peak = 0;
    while (deploys.length < wanted) {
      await pause(timing.steady);
      const stopWeighing =
        deploys.length > 0
          ? (): void => undefined
          : every(MEMORY_MS, () => {
              peak = Math.max(peak, memory(stage, recorder.pid));
            });
      deploys.push(await deployOnce(stage));
      stopWeighing();
      await pause(timing.tail);
      const burst = now();
      recorder.burst(BURST);
      await pause(timing.afterBurst);
      bursts.push([burst, now()]);
    }
    const to = now();
    const { records, end } = await recorder.stop();
    const answered = records.filter((one) => one.class === 'finish' && one.cut === null);
    const finished = await traces(stage, answered.length);
    return {
      records,
      account: stage.account(),
      sender: end,
      deploys,
      from,
      to,
      bursts,
      samples,
      memory: { before, peak: Math.max(before, peak) },
      finished,
    };
  } finally {
    stopLooking();
    recorder.abandon();
  }
}

/** What work after the answer has left behind, once all of it is there, or it will not be any more. */
async function traces({ sandbox }: Stage, expected: number): Promise<ReadonlySet<string>> {
  const read = (): ReadonlySet<string> => new Set(sandbox.finished());
  await waitUntil(() => (read().size >= expected ? true : undefined), { deadline: AFTER_ANSWER_MS });
  return read();
}

async function deployOnce(stage: Stage): Promise<Deploy> {
  const marks: { what: string; at: number }[] = [];
  const start = now();
  await stage.deploy((what) => marks.push({ what, at: now() }));
  return { start, end: now(), marks };
}

function held({ sandbox }: Stage, slot: Slot): number {
  const { accepted, queued } = socketsAt(fs, { kind: 'unix', path: socketOf(sandbox, slot) }).connections;
  return accepted + queued;
}

/** Of all that serves, and of whatever deploys: each process's share (Pss), the load sender's left out. */
function memory(stage: Stage, sender: number): number {
  const { sandbox } = stage;
  const roots = [
    sandbox.nginxMaster(),
    ...SLOTS.map((slot) => sandbox.poolMaster(slot)),
    ...(stage.pids?.() ?? []),
    ...children(fs, process.pid).filter((pid) => pid !== sender),
  ];
  const found = new Set(roots.filter((pid) => pid !== null));
  for (const pid of found) for (const child of children(fs, pid)) found.add(child);
  return [...found].reduce((sum, pid) => sum + proportionalBytes(fs, pid), 0);
}
