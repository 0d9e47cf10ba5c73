/** The pivot, by what two pools and a proxy are made to say look after look. */
import { describe, expect, it } from 'vitest';
import { verify } from '../../src/deploy/verify.js';
import type { Verifying } from '../../src/deploy/verify.js';
import type { Drivers, PoolActivity, PoolDriver, ProxySwitch } from '../../src/drivers.js';
import { fail, ok } from '../../src/event.js';
import type { ProcessId, Slot, WrongAnswer } from '../../src/event.js';

const id = (pid: number): ProcessId => ({ boot: 'b', pid, start: 1 });
const life = (pid: number): { master: ProcessId; workers: [] } => ({ master: id(pid), workers: [] });

type Looks = (look: number) => Partial<PoolActivity>;

/** The nonces of our requests. */
interface Asked {
  /** Of the request that runs now. */
  readonly running: string | null;
  /** Of the request that was answered last. */
  readonly answered: string | null;
}

interface World {
  /** What the new pool says of itself, by the number of the look and by the nonces it was asked with. */
  readonly arriving?: (look: number, asked: Asked) => Partial<PoolActivity>;
  /** The same of the old one; null: it had died before. */
  readonly leaving?: Looks | null;
  /** What waits for the old pool, by the number of the look. */
  readonly queued?: (look: number) => number;
  readonly oldAlive?: boolean;
  /** The connections that the old pool holds, by the number of the look. */
  readonly accepted?: (look: number) => readonly number[];
  readonly held?: ReturnType<PoolDriver['connections']>;
  readonly retiring?: readonly ProcessId[];
  readonly wayIn?: Awaited<ReturnType<ProxySwitch['wayIn']>>;
  /** For the old pool to become quiet, ms. */
  readonly patience?: number;
  /** With a URL: what its requests are answered, one after the other, the last for all that follow. */
  readonly answers?: readonly (WrongAnswer | null)[];
  /** For all requests together, ms. */
  readonly timeout?: number;
}

interface Looked {
  readonly result: Awaited<ReturnType<typeof verify>>;
  readonly requests: number;
  readonly looks: Readonly<Record<Slot, number>>;
}

/** Blue leaves and green arrives; where nothing is said nobody comes to either. */
async function verified(world: World): Promise<Looked> {
  const { arriving = () => ({}), leaving = () => ({}), queued = () => 0, retiring = [], answers } = world;
  const { accepted: held = () => [] } = world;
  const looks = { blue: 0, green: 0 };
  let requests = 0;
  let asked: Asked = { running: null, answered: null };
  const pool: Partial<PoolDriver> = {
    isAlive: () => ok(world.oldAlive ?? true),
    connections: () => world.held ?? ok({ held: held(looks.blue - 1), queued: queued(looks.blue - 1) }),
    activity: (slot) => {
      const look = looks[slot];
      looks[slot] += 1;
      const said = slot === 'green' ? arriving(look, asked) : leaving?.(look);
      return Promise.resolve({ accepted: 0, switches: 0, idle: 0, uris: [], ...said });
    },
  };
  const proxy: Partial<ProxySwitch> = {
    wayIn: () => Promise.resolve(world.wayIn ?? ok({ open: retiring.length > 0, retiring })),
  };
  const url: Drivers['verify'] = {
    url: 'http://127.0.0.1/health.php',
    host: 'shop.example',
    timeout: world.timeout ?? 60_000,
    prepare: () => undefined,
    request: async (nonce) => {
      asked = { ...asked, running: nonce };
      await Promise.resolve();
      asked = { running: null, answered: nonce };
      const answer = answers?.[Math.min(requests, answers.length - 1)] ?? null;
      requests += 1;
      return answer;
    },
  };
  const drivers = {
    pool,
    proxy,
    verify: answers === undefined ? null : url,
    verifyTimeout: world.patience ?? 60_000,
  } as Drivers;
  const verifying: Verifying = {
    drivers,
    from: 'blue',
    leaving: leaving === null ? null : life(20),
    to: 'green',
    arriving: life(30),
    older: [],
  };
  return { result: await verify(verifying), requests, looks };
}

const by = async (world: World): Promise<unknown> => {
  const { result } = await verified(world);
  return result.ok ? result.value.by : result.failure;
};

describe('without a URL', () => {
  it('a-deploy-without-a-url-believes-the-pools-count', async () => {
    expect(await by({ arriving: (look) => ({ accepted: look < 2 ? 7 : 8 }) })).toBe('count');
  });

  it('what-a-pool-had-counted-before-is-nobodys-request-now', async () => {
    expect(await by({ arriving: () => ({ accepted: 7, switches: 900 }) })).toBe('no-traffic');
  });

  it('a-pool-that-counts-is-not-judged-by-how-busy-its-workers-are', async () => {
    expect(await by({ arriving: (look) => ({ accepted: 7, switches: look }) })).toBe('no-traffic');
  });

  it('a-pool-without-a-status-page-is-judged-by-its-workers', async () => {
    expect(await by({ arriving: (look) => ({ accepted: null, switches: look < 2 ? 5 : 6 }) })).toBe(
      'activity',
    );
    expect(await by({ arriving: () => ({ accepted: null, switches: 5 }) })).toBe('no-traffic');
  });

  it.each<[string, Looks]>([
    ['first', (look) => ({ accepted: look === 0 ? null : 7, switches: look })],
    ['later', (look) => ({ accepted: look === 0 ? 7 : null, switches: look })],
  ])('a-count-that-could-not-be-had-%s-is-compared-with-nothing', async (_, arriving) => {
    expect(await by({ arriving })).toBe('activity');
  });

  it.each<[string, Looks]>([
    ['first', (look) => ({ accepted: null, switches: look === 0 ? null : 5 })],
    ['later', (look) => ({ accepted: null, switches: look === 0 ? 0 : null })],
  ])('a-pool-that-tells-nothing-%s-is-not-said-to-serve', async (_, arriving) => {
    expect(await by({ arriving })).toBe('no-traffic');
  });
});

describe('with a URL', () => {
  const unseen = { accepted: null, switches: null };

  it('the-new-pool-is-believed-when-it-reports-our-request', async () => {
    const arriving: World['arriving'] = (_, { answered }) => ({
      uris: ['/', `/?swap-pool=${answered ?? ''}`],
    });
    const { result, requests } = await verified({ answers: [null], arriving });
    expect(result).toEqual(ok({ by: 'nonce' }));
    expect(requests).toBe(1);
  });

  it('a-request-that-a-busy-worker-forgets-is-seen-while-it-runs', async () => {
    const arriving: World['arriving'] = (_, { running }) => ({ uris: ['/', `/?swap-pool=${running ?? ''}`] });
    const { result, requests } = await verified({ answers: [null], arriving });
    expect(result).toEqual(ok({ by: 'nonce' }));
    expect(requests).toBe(2);
  });

  it('somebody-who-answers-well-proves-nothing-when-the-new-pool-has-not-seen-it', async () => {
    const arriving: Looks = () => ({ ...unseen, uris: ['/health.php?swap-pool=0011223344556677'] });
    const { result, requests } = await verified({ answers: [null], arriving, timeout: 60 });
    expect(result).toEqual(
      fail({ reason: 'verify-not-seen', slot: 'green', url: 'http://127.0.0.1/health.php' }),
    );
    expect(requests).toBeGreaterThan(1);
  });

  it('a-count-that-stands-still-is-no-substitute-for-the-nonce', async () => {
    expect(await by({ answers: [null], arriving: () => ({ accepted: 7 }), timeout: 60 })).toMatchObject({
      reason: 'verify-not-seen',
    });
  });

  it.each<[string, Looks]>([
    ['count', (look) => ({ accepted: look })],
    ['activity', (look) => ({ accepted: null, switches: look })],
  ])('an-application-that-drops-the-query-is-judged-by-its-%s-after-five-answers', async (seen, arriving) => {
    const { result, requests } = await verified({ answers: [null], arriving });
    expect(result).toEqual(ok({ by: seen }));
    expect(requests).toBe(5);
  });

  const wrong: WrongAnswer = { kind: 'refused' };
  const failure = { reason: 'verify-failed', url: 'http://127.0.0.1/health.php', host: 'shop.example' };

  it('the-third-wrong-answer-in-a-row-fails', async () => {
    const { result, requests } = await verified({ answers: [wrong] });
    expect(result).toEqual({ ok: false, failure: { ...failure, answer: wrong } });
    expect(requests).toBe(3);
  });

  it('wrong-answers-that-are-not-in-a-row-are-forgiven', async () => {
    const answers = [wrong, wrong, null, wrong, wrong, null, null, null, null];
    const { result, requests } = await verified({ answers, arriving: (look) => ({ accepted: look }) });
    expect(result).toEqual(ok({ by: 'count' }));
    expect(requests).toBe(9);
  });

  it('a-time-that-is-over-tells-the-wrong-answer-there-was', async () => {
    const { result, requests } = await verified({ answers: [wrong], timeout: 0 });
    expect(result).toEqual({ ok: false, failure: { ...failure, answer: wrong } });
    expect(requests).toBe(1);
  });
});

describe('the old pool', () => {
  it('that-goes-on-getting-new-requests-is-still-used', async () => {
    const { result } = await verified({ leaving: (look) => ({ accepted: 10 + look }), patience: 60 });
    expect(result).toMatchObject({ ok: false, failure: { reason: 'old-pool-still-used', slot: 'blue' } });
    expect(result).toMatchObject({ failure: { requests: expect.any(Number) as number } });
    if (!result.ok && result.failure.reason === 'old-pool-still-used')
      expect(result.failure.requests).toBeGreaterThan(0);
  });

  it('that-goes-on-getting-them-is-still-used-though-the-new-one-was-seen', async () => {
    const growing: Looks = (look) => ({ accepted: look });
    expect(await by({ arriving: growing, leaving: growing, patience: 60 })).toMatchObject({
      reason: 'old-pool-still-used',
    });
    expect(await by({ arriving: growing, leaving: growing, answers: [null], patience: 60 })).toMatchObject({
      reason: 'old-pool-still-used',
    });
  });

  it('whose-backlog-grows-while-no-worker-is-free-is-still-used', async () => {
    const { result } = await verified({ queued: (look) => look, patience: 60 });
    expect(result).toMatchObject({ ok: false, failure: { reason: 'old-pool-still-used' } });
  });

  it('that-works-off-what-had-arrived-before-is-left', async () => {
    const backlog = 1_000_000;
    const world: World = {
      queued: (look) => backlog - look,
      leaving: (look) => ({ accepted: look }),
      patience: 60,
    };
    expect(await by(world)).toBe('no-traffic');
  });

  it('that-gets-its-last-requests-late-is-waited-for', async () => {
    const leaving: Looks = (look) => ({ accepted: Math.min(look, 20) });
    const { result, looks } = await verified({ leaving });
    expect(result).toEqual(ok({ by: 'no-traffic' }));
    expect(looks.blue).toBeGreaterThan(20);
  });

  it('that-is-quiet-for-an-instant-may-only-be-between-two-requests', async () => {
    // the new pool is seen at once, so that nothing else takes any time
    const arriving: World['arriving'] = (_, { answered }) => ({ uris: [answered ?? ''] });
    let first = 0;
    const leaving: Looks = (look) => {
      if (look === 0) first = performance.now();
      return {};
    };
    expect(await by({ answers: [null], arriving, leaving })).toBe('nonce');
    expect(performance.now() - first).toBeGreaterThanOrEqual(5);
  });

  it('is-not-waited-for-when-the-new-one-failed', async () => {
    const { result, looks } = await verified({
      answers: [{ kind: 'refused' }],
      leaving: (look) => ({ accepted: look }),
    });
    expect(result).toMatchObject({ ok: false, failure: { reason: 'verify-failed' } });
    expect(looks.blue).toBe(1);
  });

  it('that-still-gets-those-of-the-proxys-last-generation-is-for-the-drain-to-wait-for', async () => {
    const leaving: Looks = (look) => ({ accepted: look });
    expect(await by({ leaving, retiring: [id(40)], patience: 60 })).toBe('no-traffic');
  });

  const full: Looks = () => ({ accepted: null, full: true });

  it('none-of-whose-workers-is-free-to-say-is-judged-by-its-connections', async () => {
    // four workers, each of which takes the next one at once
    const accepted = (look: number): number[] => [0, 1, 2, 3].map((one) => 4 * look + one);
    expect(await by({ leaving: full, accepted, queued: () => 2, patience: 300 })).toMatchObject({
      reason: 'old-pool-still-used',
      requests: expect.toSatisfy((requests: number) => requests > 4) as number,
    });
    expect(
      await by({ leaving: full, accepted: () => [1, 2], queued: (look) => look, patience: 300 }),
    ).toMatchObject({
      reason: 'old-pool-still-used',
    });
  });

  it('all-of-whose-workers-are-at-what-had-arrived-before-is-left', async () => {
    expect(await by({ leaving: full, accepted: () => [1, 2] })).toBe('no-traffic');
    // those that waited are taken up, and others end
    const accepted = (look: number): number[] => [look, look + 1, look + 2].filter((one) => one < 12);
    const queued = (look: number): number => Math.max(0, 12 - look - 3);
    expect(await by({ leaving: full, accepted, queued, patience: 1000 })).toBe('no-traffic');
  });

  it('that-is-full-for-a-moment-has-not-become-quiet', async () => {
    const leaving: Looks = (look) => (look % 2 === 0 ? { accepted: look } : { accepted: null, full: true });
    expect(await by({ leaving, accepted: () => [1], patience: 400 })).toMatchObject({
      reason: 'old-pool-still-used',
    });
  });

  it('that-fails-to-say-its-count-once-has-not-become-quiet', async () => {
    const leaving: Looks = (look) => ({ accepted: look % 4 === 3 ? null : look });
    expect(await by({ leaving, patience: 100 })).toMatchObject({ reason: 'old-pool-still-used' });
  });

  it('that-says-it-no-more-is-for-the-drain-to-judge', async () => {
    const leaving: Looks = (look) => ({ accepted: look < 3 ? look : null });
    const { result, looks } = await verified({ leaving });
    expect(result).toEqual(ok({ by: 'no-traffic' }));
    expect(looks.blue).toBe(7);
  });

  it('that-keeps-no-count-is-for-the-drain-to-judge', async () => {
    const leaving: Looks = (look) => ({ accepted: null, switches: look });
    expect(await by({ leaving, queued: (look) => look, patience: 60 })).toBe('no-traffic');
  });

  it.each<[string, World]>([
    ['had-died-before', { leaving: null }],
    ['dies-meanwhile', { oldAlive: false, leaving: (look) => ({ accepted: look }) }],
  ])('that-%s-is-not-asked', async (_, world) => {
    const { result, looks } = await verified({ ...world, patience: 60 });
    expect(result).toEqual(ok({ by: 'no-traffic' }));
    expect(looks.blue).toBe(0);
  });

  it('that-has-a-worker-free-has-nobody-waiting', async () => {
    const leaving: Looks = () => ({ idle: 1 });
    const failure = { reason: 'unobservable', what: '/proc', detail: 'x' } as const;
    expect(await by({ leaving, held: fail(failure), patience: 60 })).toBe('no-traffic');
  });

  it('that-cannot-be-looked-at-is-not-taken-for-left', async () => {
    const failure = { reason: 'unobservable', what: '/proc', detail: 'x' } as const;
    expect(await by({ held: fail(failure), patience: 60 })).toEqual(failure);
    expect(await by({ wayIn: fail(failure), patience: 60 })).toEqual(failure);
  });
});
