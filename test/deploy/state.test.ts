import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { course, durations, mayHaveSwitched, pastPivot, replay, standsAt } from '../../src/deploy/state.js';
import type { Closed, Entry, Evidence, Intent, Opened } from '../../src/deploy/state.js';
import type { StepName } from '../../src/event.js';

const time = '2026-01-01T00:00:00.000Z';
const SWAP: readonly StepName[] = ['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop'];

const opened = (steps = SWAP): Opened => ({
  type: 'opened',
  schema: 1,
  time,
  deploy: '000001-20260101T000000Z',
  app: 'shop',
  command: 'deploy',
  who: 'root',
  runner: { boot: 'b', pid: 10, start: 1 },
  from: 'blue',
  to: 'green',
  switch: 'rewrite',
  steps,
  leaving: { master: { boot: 'b', pid: 20, start: 2 }, workers: [] },
  arriving: null,
  supersedes: null,
  fingerprint: null,
  proof: null,
});
const intent = (step: StepName, revert = false): Intent => ({ type: 'intent', time, step, revert });
const evidence = (step: StepName, revert = false): Evidence => ({
  type: 'evidence',
  time,
  step,
  revert,
  ms: 1,
});
const closed: Closed = { type: 'closed', time, outcome: 'done', reason: null, ms: {}, cut: 0, proof: null };

/** The records of a deploy that goes through, in order. */
const whole = (steps = SWAP): Entry[] => [
  opened(steps),
  ...steps.flatMap((step) => [intent(step), evidence(step)]),
  closed,
];

const courseOf = (entries: readonly Entry[]): string => {
  const state = replay(entries);
  return state === null ? 'untouched' : course(state);
};

describe('what a deploy took', () => {
  const until = (ms: number): string => new Date(Date.parse(time) + ms).toISOString();

  test('is its wall time, with what lies between the steps', () => {
    expect(durations(opened(), { probe: 10.4, start: 20.4 }, until(100))).toEqual({
      start: 20,
      probe: 10,
      total: 100,
    });
    expect(durations(opened(['start']), {}, until(0))).toEqual({ total: 0 });
  });

  test('is that of its steps where the clock was set back', () => {
    expect(durations(opened(), { start: 20, probe: 10 }, until(-5000)).total).toBe(30);
    expect(durations(opened(), { start: 20 }, 'no time').total).toBe(20);
  });

  test('is taken up again by who ends it', () => {
    const state = replay(whole().slice(0, 7));
    expect(state?.phase === 'closed' ? null : state?.ms).toEqual({ start: 1, probe: 1, switch: 1 });
    const undone = replay([...whole().slice(0, 7), intent('switch', true), evidence('switch', true)]);
    expect(undone?.phase === 'closed' ? null : undone?.ms).toEqual({ start: 1, probe: 1, switch: 1 });
  });
});

describe('where a journal that breaks off leaves a deploy', () => {
  test.each([
    [0, 'untouched'],
    [1, 'revert'], // opened
    [2, 'revert'], // start intended
    [3, 'revert'],
    [4, 'revert'], // probe intended
    [5, 'revert'],
    [6, 'observe'], // switch intended: only the world knows
    [7, 'prove'],
    [8, 'prove'], // verify intended
    [9, 'forward'], // the pivot
    [10, 'forward'],
    [11, 'forward'],
    [12, 'forward'],
    [13, 'forward'],
    [14, 'forward'],
    [15, 'forward'],
    [16, 'nothing'],
  ])('after %i records the course is %s', (count, expected) => {
    expect(courseOf(whole().slice(0, count))).toBe(expected);
  });

  test('a start that brings up what should serve pivots at its last step', () => {
    const entries = whole(['start', 'probe']);
    expect(courseOf(entries.slice(0, 4))).toBe('revert');
    expect(courseOf(entries.slice(0, 5))).toBe('forward');
  });

  test('a revert that broke off is a revert, whichever step it stood at', () => {
    const entries = [...whole().slice(0, 8), intent('switch', true)];
    expect(courseOf(entries)).toBe('revert');
    expect(courseOf([...entries, evidence('switch', true), intent('start', true)])).toBe('revert');
  });
});

describe('what each record adds', () => {
  const life = (pid: number) => ({ master: { boot: 'b', pid, start: 3 }, workers: [] });
  const before = { workers: [], hash: 'h', named: 'blue' as const };
  const older = (pid: number) => ({ boot: 'b', pid, start: 4 });
  const switched = (pid: number) => ({
    files: ['f'],
    proof: { hash: 'h', workers: [] },
    older: [older(pid)],
  });
  const after = (...entries: readonly Entry[]) => {
    const state = replay([opened(), ...entries]);
    if (state === null || state.phase === 'closed') throw new Error('no open deploy');
    return state;
  };

  test('at first nothing is known but the plan', () => {
    expect(replay([opened()])).toEqual({
      phase: 'planned',
      opened: opened(),
      arriving: null,
      before: null,
      switched: null,
      unswitched: null,
      cut: 0,
      ms: {},
      drained: null,
      since: time,
      cutting: false,
    });
    expect(replay([{ ...opened(), arriving: life(7) }])).toMatchObject({ arriving: life(7) });
  });

  test('a start: the pool that arrives, and no later step takes it away', () => {
    const entries = [intent('start'), { ...evidence('start'), life: life(30) }] as const;
    expect(after(...entries)).toMatchObject({ phase: 'done', step: 'start', arriving: life(30) });
    expect(after(...entries, intent('probe'), evidence('probe')).arriving).toEqual(life(30));
  });

  test('a switch: the world before it, and what the proxy follows since', () => {
    const begun = after({ ...intent('switch'), before });
    expect(begun).toMatchObject({ phase: 'acting', step: 'switch', before, switched: null });
    const done = after({ ...intent('switch'), before }, { ...evidence('switch'), switched: switched(40) });
    expect(done).toMatchObject({ phase: 'done', switched: switched(40), before });
    const later = after(
      { ...intent('switch'), before },
      { ...evidence('switch'), switched: switched(40) },
      intent('verify'),
      evidence('verify'),
    );
    expect(later).toMatchObject({ before, switched: switched(40), unswitched: null });
  });

  test('older workers join those of the switch, and are nobody’s where there was none', () => {
    const more = { type: 'older', time, older: [older(41)] } as const;
    const done = [intent('switch'), { ...evidence('switch'), switched: switched(40) }] as const;
    expect(after(...done, more)).toEqual({
      ...after(...done),
      switched: { ...switched(40), older: [older(40), older(41)] },
    });
    expect(after(intent('start'), more)).toEqual(after(intent('start')));
  });

  test('a reverted switch: whom the proxy left behind; a reverted start leaves that as it is', () => {
    const done = [intent('switch'), { ...evidence('switch'), switched: switched(40) }] as const;
    const begun = after(...done, intent('switch', true));
    expect(begun).toMatchObject({
      phase: 'reverting',
      step: 'switch',
      finished: false,
      switched: switched(40),
    });
    const undone = [
      ...done,
      intent('switch', true),
      { ...evidence('switch', true), switched: switched(42) },
    ] as const;
    expect(after(...undone)).toMatchObject({
      phase: 'reverting',
      step: 'switch',
      finished: true,
      switched: null,
      unswitched: switched(42),
    });
    expect(after(...done, intent('switch', true), evidence('switch', true)).unswitched).toBeNull();
    const down = after(...undone, intent('start', true), {
      ...evidence('start', true),
      switched: switched(43),
    });
    expect(down).toMatchObject({ step: 'start', finished: true, switched: null, unswitched: switched(42) });
    const other = after(...done, intent('start', true), evidence('start', true));
    expect(other).toMatchObject({ switched: switched(40), unswitched: null });
  });

  test('what was cut is added up, forth and back; what was held and that it is being cut stay', () => {
    const held = { accepted: 3, queued: 1 };
    const drained = [
      intent('drain'),
      { ...evidence('drain'), connections: held, cutting: true, cut: 2 },
    ] as const;
    expect(after(...drained)).toMatchObject({ drained: held, cutting: true, cut: 2 });
    const stopped = after(...drained, intent('stop'), { ...evidence('stop'), cut: 5 });
    expect(stopped).toMatchObject({ drained: held, cutting: true, cut: 7, ms: { drain: 1, stop: 1 } });
    expect(after(...drained, intent('start', true), { ...evidence('start', true), cut: 4 }).cut).toBe(6);
    expect(after(...drained, intent('start', true), evidence('start', true)).cut).toBe(2);
    expect(after(...drained, intent('retire'), evidence('retire')).cut).toBe(2);
  });

  test('when the last intent was written', () => {
    const later = '2026-01-01T00:00:05.000Z';
    expect(after({ ...intent('start'), time: later }).since).toBe(later);
    expect(after({ ...intent('start', true), time: later }).since).toBe(later);
  });

  test('that it is stranded or kept changes nothing', () => {
    const drained = [intent('drain'), evidence('drain')] as const;
    for (const entry of [
      { type: 'stranded', time, failure: { reason: 'stranded', detail: '', cause: null } },
      { type: 'kept', time, reason: 'interrupted' },
    ] as const) {
      expect(after(...drained, entry)).toEqual(after(...drained));
    }
  });

  test('where it stands: nowhere before its first step and after its end', () => {
    const at = (entries: readonly Entry[]) => {
      const state = replay(entries);
      return state === null ? undefined : standsAt(state);
    };
    expect(at([opened()])).toBeNull();
    expect(at([opened(), intent('start')])).toBe('start');
    expect(at(whole().slice(0, 7))).toBe('switch');
    expect(at([opened(), intent('start'), intent('start', true)])).toBe('start');
    expect(at(whole())).toBeNull();
  });

  test('a plan that ends with its switch has its pivot there', () => {
    const entries = whole(['start', 'probe', 'switch']);
    expect(courseOf(entries.slice(0, 6))).toBe('observe');
    expect(courseOf(entries.slice(0, 7))).toBe('forward');
    const state = replay(entries.slice(0, 6));
    expect(state === null ? null : pastPivot(state)).toBe(false);
  });
});

describe('a switch of our own', () => {
  test.each([
    ['nothing was begun', whole().slice(0, 1), false],
    ['it started', whole().slice(0, 3), false],
    ['it was probed', whole().slice(0, 5), false],
    ['the switch was intended', whole().slice(0, 6), true],
    ['the switch was proven', whole().slice(0, 7), true],
    ['the switch is being undone', [...whole().slice(0, 8), intent('switch', true)], true],
    [
      'the switch was undone',
      [...whole().slice(0, 8), intent('switch', true), evidence('switch', true)],
      false,
    ],
    ['the start is being undone', [...whole().slice(0, 4), intent('start', true)], false],
    ['it is over', whole(), false],
  ] as const)('when %s', (_, entries, expected) => {
    const state = replay(entries);
    expect(state === null ? null : mayHaveSwitched(state)).toBe(expected);
  });
});

describe('a pool that this deploy was not seen to start', () => {
  const life = { master: { boot: 'b', pid: 30, start: 3 }, workers: [] };

  test('is the one that arrives from now on, and nobody knows what it runs', () => {
    const entries = [{ ...opened(), fingerprint: 'known' }, ...whole().slice(1, 7)];
    const before = replay(entries);
    const state = replay([...entries, { type: 'adopted', time, life }]);
    expect(state).toEqual({
      ...before,
      arriving: life,
      opened: { ...opened(), fingerprint: null },
    });
    const ended = replay([...entries, { type: 'adopted', time, life }, ...whole().slice(7)]);
    expect(ended).toMatchObject({ phase: 'closed', opened: { fingerprint: null } });
  });
});

describe('laws', () => {
  const entry = fc.oneof(
    fc.constantFrom(...SWAP).chain((step) => fc.boolean().map((revert) => intent(step, revert))),
    fc.constantFrom(...SWAP).chain((step) => fc.boolean().map((revert) => evidence(step, revert))),
    fc.constant<Entry>({ type: 'kept', time, reason: 'interrupted' }),
    fc.constant<Entry>({ type: 'older', time, older: [] }),
    fc.constant<Entry>({ type: 'adopted', time, life: { master: null, workers: [] } }),
    fc.constant<Entry>(closed),
    fc.constant<Entry>(opened()),
  );

  test('any sequence of records has a state and a course, and replaying it again gives the same', () => {
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const first = replay(entries);
        expect(replay(entries)).toEqual(first);
        if (first !== null) {
          course(first);
          mayHaveSwitched(first);
          standsAt(first);
        }
      }),
    );
  });

  test('nothing that comes after the closing record changes anything', () => {
    fc.assert(
      fc.property(fc.array(entry), (more) => {
        const state = replay([...whole(), ...more]);
        expect(state?.phase).toBe('closed');
      }),
    );
  });

  test('past the pivot a deploy never goes back, however often its later steps are repeated', () => {
    const later = fc.constantFrom<StepName>('drain', 'retire', 'stop');
    fc.assert(
      fc.property(fc.array(later.chain((step) => fc.constantFrom(intent(step), evidence(step)))), (more) => {
        const state = replay([...whole().slice(0, 9), ...more]);
        expect(state === null ? false : pastPivot(state)).toBe(true);
      }),
    );
  });
});
