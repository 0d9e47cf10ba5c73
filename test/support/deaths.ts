/**
 * kill -9 at every point of a run of the program. The points are not listed: they are the records of
 * its journal, and every change to the world between two of them, as they turn out to be.
 */
import { expect } from 'vitest';
import type { Load, LoadPlan } from '../../src/demo/load.js';
import { cuts } from '../../src/demo/summary.js';
import type { Slot, StepName } from '../../src/event.js';
import type { DeathPoint, Run } from './command.js';
import type { JournalFile } from './checks.js';
import type { Rig } from './rig.js';

/** Every class whose cut a kill could cause, short enough to wait for its end after each of many. */
export const TRAFFIC: LoadPlan = {
  fast: { rate: 40 },
  slow: { every: 200, takes: 300 },
  upload: { every: 300, takes: 300, bytes: 20_000 },
  post: { clients: 1, takes: 5 },
  finish: { every: 400, takes: 300 },
};

/** A deploy's records in their order, as nameOf() names them: the first stands at index 0 and has number 1. */
export const recordsOf = (steps: readonly StepName[]): string[] => [
  'opened',
  ...steps.flatMap((step) => [`intent ${step}`, `evidence ${step}`]),
  'closed',
];

/** A whole deploy's. */
export const DEPLOY = recordsOf(['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop']);
export const numberOf = (record: string): number => DEPLOY.indexOf(record) + 1;

export const nameOf = ({ type, step, revert }: JournalFile['records'][number]): string =>
  [type, revert === true ? 'revert' : '', typeof step === 'string' ? step : ''].filter(Boolean).join(' ');

/** One run of the program that was ended at a point. */
export interface Death {
  readonly run: Run;
  /** What it had just done: its last words. Null: the point is not on its way, it lived. */
  readonly words: string | null;
}

/** Runs the program and ends it at `at`. Throws when it ends in another way. */
export async function deathAt(at: DeathPoint, start: (at: DeathPoint) => Promise<Run>): Promise<Death> {
  const run = await start(at);
  const words = /^died: (.*)$/m.exec(run.stderr)?.[1] ?? null;
  expect(run.signal, run.stderr).toBe(words === null ? null : 'SIGKILL');
  return { run, words };
}

/** Ends runs at every point between record N and the next: one run a point. N = 0: before the first. */
export async function* deaths(
  record: number,
  start: (at: DeathPoint) => Promise<Run>,
): AsyncGenerator<Death> {
  if (record === 0) {
    yield await deathAt({ when: 'next', record }, start);
    return;
  }
  yield await deathAt({ when: 'written', record }, start);
  for (let change = 1; ; change += 1) {
    const death = await deathAt({ when: 'act', record, change }, start);
    yield death;
    if (death.words === 'next' || death.words === null) return;
  }
}

/**
 * Brings things in order: by `recover`, or by the next deploy. Either says what it found open, and `recover` by its
 * exit code whether that was gone on with or undone.
 */
export async function mend(rig: Rig, by: 'recover' | 'deploy'): Promise<Run> {
  const open = openJournals(rig);
  const run = await rig.run([by, rig.site().name]);
  const undone = by === 'recover' && run.result['outcome'] === 'reverted';
  expect(run.signal ?? run.exit, `${run.stdout}${run.stderr}`).toBe(undone ? 1 : 0);
  const told = run.events.filter(({ warning }) => reasonOf(warning) === 'recovering');
  // the end of one may be the end of another, too
  expect(told.length > 0, `${told.length} of ${open} told`).toBe(open > 0);
  return run;
}

/** No request was cut so far; what nginx's own reloads hit is counted apart. */
export function expectNoCut(rig: Rig, load: Load, what = 'so far'): void {
  const lost = cuts(load.records, rig.site().switch, rig.sandbox.account());
  expect(lost, what).toEqual([]);
}

/** How many deploys have a first record and no last one. */
export const openJournals = (rig: Rig): number =>
  rig.journals().filter(({ records }) => records.length > 0 && records.at(-1)?.type !== 'closed').length;

export const reasonOf = (of: unknown): unknown => (of as { reason?: unknown } | undefined)?.reason;

/** One slot runs, it is the one that nginx names, and nothing is left of what died. Gives its name. */
export async function expectClean(rig: Rig, slot?: string): Promise<Slot> {
  const serving = (await rig.answering()) as Slot;
  if (slot !== undefined) expect(serving).toBe(slot);
  expect(rig.isListening(serving)).toBe(true);
  expect(await rig.disorder()).toEqual([]);
  return serving;
}
