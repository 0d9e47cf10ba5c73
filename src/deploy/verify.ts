/**
 * The pivot: the new pool itself must be seen to answer what comes through the proxy. That
 * somebody answers proves nothing: with a `backup` in nginx the old pool answers for a new
 * one that nginx cannot even reach.
 */
import { randomBytes } from 'node:crypto';
import type { Drivers, OlderWorker, PoolActivity, PoolLife, VerifyDriver } from '../drivers.js';
import { fail, ok } from '../event.js';
import type { Failure, Result, Slot, WrongAnswer } from '../event.js';
import { now, waitUntil } from '../system/clock.js';

export interface Verifying {
  readonly drivers: Drivers;
  readonly from: Slot;
  /** Null: it had died before, and nobody is left who could be asked. */
  readonly leaving: PoolLife | null;
  readonly to: Slot;
  readonly arriving: PoolLife;
  /** Proxy workers that still finish requests under the old configuration. */
  readonly older: readonly OlderWorker[];
}

export type SeenBy = 'nonce' | 'count' | 'activity' | 'no-traffic';

/** Wrong answers in a row that a verification takes before it fails: one may be a client's fault of timing. */
const WRONG_ANSWERS = 3;
/** Right answers whose nonce is not seen before the count is believed instead: an application may drop the query. */
const UNSEEN_ANSWERS = 5;
/** How long a pool without a URL to ask is watched for requests of its own, ms. */
const WATCHED = 40;
/** How long the old pool must stay without a new request, ms. */
const QUIET = 5;
/** The same of one without a free worker that could say so, ms: what comes and goes between two looks is not seen there. */
const QUIET_WHEN_FULL = 100;
const LOOKS_WHEN_FULL = 10;
/** How often in a row one that has said its count may fail to, as on a busy machine, before it is taken for one that keeps none. */
const UNANSWERED = 3;

/** How the new pool was seen to serve; a failure when it was not, or when the old one goes on being used. */
export async function verify(verifying: Verifying): Promise<Result<{ readonly by: SeenBy }>> {
  const url = verifying.drivers.verify;
  const old = watchOld(verifying);
  const { drivers, to, arriving } = verifying;
  const [base] = await Promise.all([drivers.pool.activity(to, arriving), old.look()]);
  const seen = url === null ? await watch(verifying, base) : await ask(verifying, base, url);
  if (!seen.ok) return seen;
  const left = await old.isLeft();
  return left.ok ? seen : left;
}

/** Sends requests through the proxy until the pool reports one of them. */
async function ask(
  { drivers, to, arriving }: Verifying,
  base: PoolActivity,
  url: VerifyDriver,
): Promise<Result<{ readonly by: SeenBy }>> {
  let wrong = 0;
  let unseen = 0;
  let answer = null as WrongAnswer | null;

  const once = async (): Promise<Result<{ readonly by: SeenBy }> | undefined> => {
    const nonce = randomBytes(8).toString('hex');
    const request = url.request(nonce);
    // a busy worker forgets our request with its next one: once that may be so, look while ours runs, too
    const during = unseen === 0 ? null : drivers.pool.activity(to, arriving);
    answer = await request;
    if (answer !== null) {
      wrong += 1;
      return wrong < WRONG_ANSWERS ? undefined : fail(wrongAnswer(url, answer));
    }
    wrong = 0;
    const after = await drivers.pool.activity(to, arriving);
    const uris = [...((await during)?.uris ?? []), ...after.uris];
    if (uris.some((uri) => uri.includes(nonce))) return ok({ by: 'nonce' });
    unseen += 1;
    if (unseen < UNSEEN_ANSWERS) return undefined;
    const grown = growth(base, after);
    return grown === null ? undefined : ok({ by: grown });
  };

  const waited = await waitUntil(once, { deadline: url.timeout });
  if (waited.kind === 'seen') return waited.value;
  const failure: Failure =
    answer === null ? { reason: 'verify-not-seen', slot: to, url: url.url } : wrongAnswer(url, answer);
  return fail(failure);
}

const wrongAnswer = ({ url, host }: VerifyDriver, answer: WrongAnswer): Failure => ({
  reason: 'verify-failed',
  url,
  ...(host === undefined ? {} : { host }),
  answer,
});

/** Without a URL: the pool's own count grows by requests that are not ours, or none come at all. */
async function watch(
  { drivers, to, arriving }: Verifying,
  base: PoolActivity,
): Promise<Result<{ readonly by: SeenBy }>> {
  const waited = await waitUntil(
    async () => growth(base, await drivers.pool.activity(to, arriving)) ?? undefined,
    {
      deadline: WATCHED,
      pace: () => 5,
    },
  );
  return ok({ by: waited.kind === 'seen' ? waited.value : 'no-traffic' });
}

/** By what a pool is seen to have worked between two looks; null: by nothing. */
function growth(before: PoolActivity, after: PoolActivity): 'count' | 'activity' | null {
  if (before.accepted !== null && after.accepted !== null) {
    return after.accepted > before.accepted ? 'count' : null;
  }
  if (before.switches === null || after.switches === null) return null;
  return after.switches > before.switches ? 'activity' : null;
}

/** Follows how much has arrived: whether it has stood still for `quiet` ms. */
class Arrivals {
  first: number | null = null;
  last: number | null = null;
  private at = -Infinity;

  constructor(private readonly quiet: number) {}

  saw(arrived: number): 'grew' | 'still' | 'quiet' {
    this.first ??= arrived;
    if (arrived === this.last) return now() - this.at >= this.quiet ? 'quiet' : 'still';
    this.last = arrived;
    this.at = now();
    return 'grew';
  }

  /** It grew, as somebody else has seen. */
  touch(): void {
    this.at = now();
  }

  /** Ms until it may be quiet. */
  get rest(): number {
    return Math.max(1, this.at + this.quiet - now());
  }

  get sum(): number {
    return (this.last ?? 0) - (this.first ?? 0);
  }
}

/**
 * The old pool gets no new requests. What waits in its backlog has arrived before; requests of
 * proxy workers of the generation before still come, and those the drain waits for.
 */
function watchOld({ drivers, from, leaving, older }: Verifying): {
  look(): Promise<Result<'grew' | 'still' | 'quiet'>>;
  isLeft(): Promise<Result<void>>;
} {
  const counted = new Arrivals(QUIET);
  /** What a full one's sockets showed. */
  const held = new Arrivals(QUIET_WHEN_FULL);
  const connections = new Set<number>();
  let isFull = false;
  let unanswered = 0;

  const look = async (): Promise<Result<'grew' | 'still' | 'quiet'>> => {
    if (leaving === null) return ok('quiet');
    const alive = drivers.pool.isAlive(from, leaving);
    if (!alive.ok) return alive;
    if (!alive.value) return ok('quiet');
    const { accepted, idle, full } = await drivers.pool.activity(from, leaving);
    isFull = full === true;
    if (accepted === null && !isFull) {
      unanswered += 1;
      // a pool that keeps no count is judged by the drain proof alone
      return ok(counted.last === null || unanswered > UNANSWERED ? 'quiet' : 'still');
    }
    unanswered = 0;
    const sockets = idle > 0 ? ok({ held: [], queued: 0 }) : drivers.pool.connections(from);
    if (!sockets.ok) return sockets;
    // what waits has arrived already: a long backlog is for the drain to wait for
    const { queued } = sockets.value;
    if (accepted === null) {
      // one that waited and is accepted has arrived once
      for (const inode of sockets.value.held) connections.add(inode);
      return ok(held.saw(connections.size + queued));
    }
    const seen = counted.saw(accepted + queued);
    if (seen === 'grew') held.touch();
    return ok(seen);
  };

  const isLeft = async (): Promise<Result<void>> => {
    const way = await drivers.proxy.wayIn(from, older);
    if (!way.ok) return way;
    if (way.value.retiring.length > 0) return ok(undefined);
    const waited = await waitUntil(
      async () => {
        const looked = await look();
        if (!looked.ok) return looked;
        return looked.value === 'quiet' ? ok(undefined) : undefined;
      },
      {
        deadline: drivers.verifyTimeout,
        pace: () => (isFull ? LOOKS_WHEN_FULL : counted.rest),
      },
    );
    if (waited.kind === 'seen') return waited.value;
    return fail({
      reason: 'old-pool-still-used',
      slot: from,
      requests: Math.max(counted.sum, held.sum),
    });
  };
  return { look, isLeft };
}
