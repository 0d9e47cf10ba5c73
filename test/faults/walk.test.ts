/**
 * A random walk over faults, steps and switches, under load: whatever happens to a deploy, what it says of the site
 * is so, nothing is cut but by the fault itself, and one `recover` leaves one healthy pool and nothing else.
 *
 * WALK_RUNS says how many walks (`npm run walk`: 500), WALK_SEED which; a walk that fails names its seed and, in the
 * long form, is made as short as it can be. A whole long run writes bench/results/walk.txt.
 */
import fc from 'fast-check';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { otherSlot, type Slot, type StepName, type SwitchKind } from '../../src/event.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { Load, LoadRecord } from '../../src/demo/load.js';
import { cuts } from '../../src/demo/summary.js';
import { COMING_BACK } from '../support/checks.js';
import { expectClean, openJournals, TRAFFIC } from '../support/deaths.js';
import { preloaded } from '../support/preload.js';
import type { Command, Line, Run } from '../support/command.js';
import { clockOf } from '../support/moments.js';
import { withRig, type Rig } from '../support/rig.js';

const RUNS = Number(process.env['WALK_RUNS'] ?? '16');
const LONG = process.env['WALK_RUNS'] !== undefined;
const SEED = Number(process.env['WALK_SEED'] ?? (LONG ? Date.now() % 2 ** 31 : 4));

// ---------------------------------------------------------------- what can happen

/** To swap-pool itself, at a point of its journal, or at a call that changes a file. */
const tool = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ kind: 'none' } as const) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('killed' as const),
      record: fc.integer({ min: 1, max: 16 }),
      change: fc.integer({ min: 0, max: 6 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('signalled' as const),
      record: fc.integer({ min: 1, max: 16 }),
      names: fc.constantFrom('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGINT,SIGTERM'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('disk' as const),
      code: fc.constantFrom('ENOSPC', 'EROFS', 'EIO', 'EACCES'),
      call: fc.integer({ min: 1, max: 60 }),
      once: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('clock' as const),
      offset: fc.constantFrom('~86400000', '~-86400000'),
    }),
  },
);

/** To the world around it, when a step begins. */
const STEPS: readonly StepName[] = ['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop'];
/** Those in which the old pool serves nobody who comes. */
const AFTER: readonly StepName[] = ['drain', 'retire', 'stop'];
const world = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: 'none' } as const) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('broken' as const),
      how: fc.constantFrom('status', 'body', 'exit', 'verify'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('new-dies' as const), step: fc.constantFrom(...STEPS) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('old-dies' as const), step: fc.constantFrom(...AFTER) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'held' } as const) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('reloads' as const, 'edits' as const, 'rivals' as const),
      step: fc.constantFrom(...STEPS),
    }),
  },
);

const walk = fc.record({
  by: fc.constantFrom<SwitchKind>('rewrite', 'symlink'),
  rounds: fc.array(fc.record({ command: fc.constantFrom('deploy', 'deploy', 'rollback'), tool, world }), {
    minLength: 1,
    maxLength: 2,
  }),
});
type Round = (typeof walk extends fc.Arbitrary<infer W> ? W : never)['rounds'][number];

// ---------------------------------------------------------------- how it happens

it(`${RUNS} walks, seed ${SEED}`, { timeout: 6 * 3_600_000 }, async () => {
  const began = performance.now();
  await fc.assert(
    fc.asyncProperty(walk, async ({ by, rounds }) => {
      const site = { workers: 12, fpmGlobal: 'process_control_timeout = 1s', yaml: 'drain: { timeout: 2s }' };
      await withRig({ switch: by, site, prepare: impatient }, async (rig) => {
        // a name that could be neither used nor taken away is the next switch's to remove
        rig.allow.strays.push(/\/\.[^/]*\.swap-pool-(retired|[0-9a-f]{12})$/);
        // a reload by hand is none of a deploy's, and what it does to kept connections is nginx's own doing
        rig.allow.reloads = true;
        await rig.deployed();
        const load = await rig.load(TRAFFIC);
        for (const round of rounds) await take(rig, load, round);
      });
    }),
    { numRuns: RUNS, seed: SEED, endOnFailure: !LONG },
  );
  if (LONG && RUNS >= 500) writeFileSync('bench/results/walk.txt', summary(performance.now() - began));
});

/** What was done, and how often it ended how. */
const seen = new Map<string, number>();
const note = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);

const summary = (ms: number): string =>
  [
    `WALK_SEED=${SEED} npm run walk: no request cut but by a fault itself, and one recover left all clean`,
    `node ${process.version}, ${new Date().toISOString().slice(0, 10)}`,
    '',
    ...[...seen].sort().map(([what, times]) => `${what.padEnd(32)}${times}`),
    `${'in all'.padEnd(32)}${RUNS} walks, ${Math.round(ms / 60_000)} min`,
    '',
  ].join('\n');

/** A standby that does not answer is given up soon. */
const impatient = (sandbox: Sandbox): void => {
  const { config } = sandbox.site();
  const text = readFileSync(config, 'utf8');
  writeFileSync(config, text.replace(/^probe:$/m, 'probe:\n  timeout: 1s\n  interval: 100ms'));
};

async function take(rig: Rig, load: Load, round: Round): Promise<void> {
  const from = await expectClean(rig);
  const to = otherSlot(from);
  const { kind } = round.world;
  if (round.world.kind === 'broken') {
    if (round.world.how === 'verify') rig.breakVerify(to);
    else rig.breakSlot(to, round.world.how);
  }
  const held = kind === 'held' || kind === 'new-dies' || kind === 'old-dies' ? await rig.occupy() : null;
  const command = rig.spawn([round.command, 'demo'], options(round));
  const killed = await meddle(rig, command, round, from);
  const run = await command.end;
  const text = `${run.stdout}${run.stderr}`;
  note(`to swap-pool: ${round.tool.kind}`);
  note(`to the world: ${kind}`);
  note(`exit ${String(run.exit ?? run.signal)}`);

  // what the exit code says of the site is so, before anybody has mended anything
  const serving = await rig.answering().catch(String);
  if (run.exit !== null) expect(run.exit, text).not.toBe(70);
  const { outcome } = run.result;
  const swapped = outcome === 'done' || outcome === 'draining';
  // once the new pool was sent requests, its death is an outage until somebody goes back, or starts it again
  const back = run.events.find(isSwitchedBack);
  const unswitched = outcome === 'reverted' && back === undefined;
  const outage =
    kind === 'new-dies' && killed !== null && killed >= began(round, run, 'switch') && !unswitched;
  if (!outage || back !== undefined) expect(serving, text).toMatch(/^(blue|green)$/);
  if (run.exit !== null && run.exit !== 4 && !leftAtOnce(round) && (!outage || !swapped))
    expect(serving, text).toBe(swapped ? to : from);
  // the last look at the new pool is right before the old one is told to go
  if (outage && outcome === 'done') expect(killed, text).toBeGreaterThanOrEqual(began(round, run, 'stop'));

  rig.breakSlot(to, null);
  rig.breakVerify(to, false);
  await held?.release();
  const mended = await rig.run(['recover', 'demo']);
  expect(mended.exit, `${text}\n--- recover\n${mended.stdout}${mended.stderr}`).toBeOneOf([0, 1]);
  expect(openJournals(rig), text).toBe(0);
  if (outage && outcome === 'done') expect((await rig.run(['start', 'demo'])).exit, text).toBe(0);
  const struck = kind === 'old-dies' || outage;
  if (killed !== null && struck) {
    if (outage) rig.allow.log.push(COMING_BACK);
    const gone = back === undefined || isShifted(round) ? performance.now() : clockOf(back) + 1;
    excuse(rig, killed, outage ? gone : killed);
  }
  await expectClean(rig);
  const lost = cuts(load.records, 'rewrite', rig.sandbox.account()).filter((one) => !rig.allow.cut(one));
  expect(lost, text).toEqual([]);
}

/** Cuts by a death are of what the pool held then; and of what came to it until nobody was sent there any more. */
function excuse(rig: Rig, killed: number, until: number): void {
  const { cut } = rig.allow;
  // a pool that is killed takes the work with it, too, whose answer was given before
  const ends = ({ class: kind, start, ms }: LoadRecord): number =>
    start + ms + (kind === 'finish' ? (TRAFFIC.finish?.takes ?? 0) : 0);
  rig.allow.cut = (one) => cut(one) || (one.start <= until && ends(one) >= killed);
}

const isSwitchedBack = ({ type, step, revert }: Line): boolean =>
  type === 'step-done' && step === 'switch' && revert === true;

/** When a step began, on the clock that requests are recorded on; never, where it did not. */
const began = (round: Round, { events }: Run, step: StepName): number => {
  const line = events.find((one) => one.type === 'step-started' && one['step'] === step && !one['revert']);
  if (line === undefined) return Infinity;
  // whose clock was set knows no times: there the order has to do
  return isShifted(round) ? 0 : clockOf(line);
};

const isShifted = ({ tool: of }: Round): boolean => of.kind === 'clock';

/** A second signal leaves at once, whatever is under way. */
const leftAtOnce = ({ tool: of }: Round): boolean => of.kind === 'signalled' && of.names.includes(',');

function options({ tool: { kind, ...of } }: Round): Parameters<Rig['spawn']>[1] {
  const at = of as Record<string, unknown>;
  switch (kind) {
    case 'none':
      return {};
    case 'killed':
      return at['change'] === 0
        ? { dieAt: { when: 'written', record: Number(at['record']) } }
        : { dieAt: { when: 'act', record: Number(at['record']), change: Number(at['change']) } };
    case 'signalled':
      return preloaded('signal-at', { RIG_SIGNALS: `${String(at['record'])}:${String(at['names'])}` });
    case 'disk':
      return preloaded('fail-files', {
        RIG_FAIL: `${String(at['code'])}:${String(at['call'])}${at['once'] === true ? ':once' : ''}`,
      });
    case 'clock':
      return preloaded('shift-clock', { RIG_CLOCK: String(at['offset']) });
  }
}

/**
 * Does what happens to the world once the step has begun; nothing where the program ends before. When a pool was
 * killed, on the clock that requests are recorded on; null: none was.
 */
async function meddle(
  rig: Rig,
  command: Command,
  { world: fault }: Round,
  from: Slot,
): Promise<number | null> {
  const reached = (step: StepName): Promise<boolean> =>
    command.untilStep(step).then(
      () => true,
      () => false,
    );
  switch (fault.kind) {
    case 'none':
    case 'broken':
    case 'held':
      return null;
    case 'old-dies':
      return (await reached(fault.step)) ? killAll(rig, from) : null;
    case 'new-dies':
      return (await reached(fault.step)) ? killAll(rig, otherSlot(from)) : null;
    case 'reloads':
      if (await reached(fault.step)) await rig.signalNginx('SIGHUP');
      return null;
    case 'edits':
      if (await reached(fault.step)) appendFileSync(rig.site().upstream, '# mine\n');
      return null;
    case 'rivals':
      if (await reached(fault.step))
        await Promise.all([rig.run(['recover', 'demo']), rig.deploy(['--dry-run'])]);
      return null;
  }
}

/** Master and workers at once; null: the pool is gone, or not there yet. */
function killAll(rig: Rig, slot: Slot): number | null {
  const master = rig.sandbox.poolMaster(slot);
  if (master === null) return null;
  process.kill(-master, 'SIGKILL');
  return performance.now();
}
