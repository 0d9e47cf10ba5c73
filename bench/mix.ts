/**
 * The hard mix that every contender gets, and what is the same for all of them: how many workers a
 * pool has, how long its backlog is, when a deploy comes.
 */
import type { LoadPlan } from '../src/demo/load.js';

export const MIX: LoadPlan = {
  // 200 a second on kept connections and 50 on new ones
  fast: { rate: 250, connections: 20, fresh: 5 },
  post: { rate: 20, takes: 5 },
  slow: { every: 500, takes: 8_000 },
  upload: { every: 1_000, takes: 4_000, bytes: 40_000 },
  finish: { every: 1_000, takes: 3_000 },
  idle: { clients: 100, every: 300, delay: 25, method: 'POST' },
};

/** Slow ones and finishing ones keep 19 of them busy. */
export const WORKERS = 40;

/**
 * More than there are idle workers, so that requests queue; for so short that what comes meanwhile
 * never fills a backlog.
 */
export const BURST = { requests: 40, takes: 150 };

/** Room for all that comes while a pool answers nobody for its ten seconds: who cuts then does not for want of room. */
export const BACKLOG = 4096;
export const NGINX_CONNECTIONS = 8192;

/** When what is done, all in ms. */
export interface Timing {
  /** From the begin of the mix until it is measured. */
  readonly warmUp: number;
  /**
   * Nothing but the mix, before each deploy: what the deploy is compared with. As long as it takes with its tail, or the
   * slowest of a thousand would be compared with those of more.
   */
  readonly steady: number;
  /** After a deploy's end still belongs to it. */
  readonly tail: number;
  /** From the burst after that until all is quiet. */
  readonly afterBurst: number;
}

/** The mix has as many requests under way as it will have. */
export const FULL: Timing = { warmUp: 9_000, steady: 10_000, tail: 2_000, afterBurst: 2_000 };
/** For counting cuts: its figures of latency are not worth much. */
export const QUICK: Timing = { warmUp: 2_500, steady: 2_000, tail: 2_000, afterBurst: 1_000 };
