/**
 * Asks a pool whether it answers, before anybody is sent to it: a real script over FastCGI,
 * connected as the user that the proxy's workers run as.
 */
import { fail, ok } from '../event.js';
import type { Slot, WrongAnswer } from '../event.js';
import type { ProbeDriver } from '../drivers.js';
import { pageParams, request, scriptParams } from '../fastcgi/client.js';
import type { Answer, Reply } from '../fastcgi/client.js';
import { after, now, waitUntil } from '../system/clock.js';
import type { User } from '../system/user.js';
import type { Pools } from './driver.js';
import { mayProbe } from './probe-script.js';
import { spell } from './slots.js';
import type { PoolSlot, ProbeSettings } from './slots.js';

export interface ProbeOptions {
  readonly config: { readonly probe: ProbeSettings };
  readonly pool: Pools;
  /** Whom the proxy's workers run as; null when that is unknown (the proxy does not run). */
  readonly proxyUser: () => Promise<User | null>;
}

/** What is asked, and what is wrong with an answer; null: it is right. */
interface Question {
  /** For people: the script's file, or the page. */
  readonly asked: string;
  readonly params: Readonly<Record<string, string>>;
  readonly wrong: (answer: Answer) => WrongAnswer | null;
}

/** How often one look at a life that may have ended is taken while an answer is awaited, ms. */
const LIFE_PACE = 50;

/**
 * A probe asks until `successes` right answers have come in a row. A wrong one starts the row again, and
 * the next try comes `interval` later. `timeout` bounds all of it. Fails with `probe-failed`, and
 * with `pool-died` as soon as nobody of the pool lives.
 */
export function createProbe({ config: { probe }, pool, proxyUser }: ProbeOptions): ProbeDriver {
  return {
    mayProbe: (slot) => mayProbe(pool.slots[slot], probe),
    probe: async (slot, signal) => {
      const began = now();
      const user = await proxyUser();
      const question = questionFor(pool.slots[slot], probe);
      const left = (): number => probe.timeout - (now() - began);
      let row = 0;
      let tries = 0;
      let refusals = 0;
      let last: WrongAnswer = { kind: 'timeout', ms: probe.timeout };

      const isToEnd = (): boolean => left() <= 0 || signal?.aborted === true;
      while (!isToEnd()) {
        tries += 1;
        const budget = left();
        const wrong = await askOnce(pool, slot, question, { as: user, timeoutMs: budget, signal });
        if (wrong === 'died') return fail({ reason: 'pool-died', slot, log: await pool.log(slot) });
        if (wrong === null) {
          row += 1;
          if (row >= probe.successes) return ok({ answers: row, user: user?.name ?? null });
          continue;
        }
        row = 0;
        // the little that was left of the time says less than the answer before
        if (wrong.kind !== 'timeout' || tries === 1 || budget > probe.timeout / 2) last = wrong;
        // modes and scripts do not heal by waiting; once more, because FPM sets its socket's mode a moment after it binds
        if (isLasting(wrong)) refusals += 1;
        if (refusals > 1 || isToEnd()) break;
        const died = await waitUntil(() => (isGone(pool, slot) ? true : undefined), {
          deadline: Math.min(probe.interval, left()),
          signal,
          pace: () => LIFE_PACE,
        });
        if (died.kind === 'seen') return fail({ reason: 'pool-died', slot, log: await pool.log(slot) });
      }
      const { asked } = question;
      return fail({ reason: 'probe-failed', slot, tries, answer: last, asked, log: await pool.log(slot) });
    },
  };
}

/** The script; without one FPM's ping; without that what is expected of the URI, or any answer at all. */
function questionFor(slot: PoolSlot, { script, uri, params, expect }: ProbeSettings): Question {
  if (script !== undefined) {
    return {
      asked: script,
      params: scriptParams({ file: script, uri, params }),
      wrong: (answer) => wrongScript(answer, expect ?? { status: 200 }),
    };
  }
  if (slot.kind === 'php-fpm' && slot.pingPath !== null) {
    const response = slot.pingResponse;
    return {
      asked: slot.pingPath,
      params: { ...pageParams(slot.pingPath), ...params },
      wrong: (answer) => wrongScript(answer, { status: 200, body: response }),
    };
  }
  return {
    asked: uri ?? '/',
    params: scriptParams({ file: '/', uri: uri ?? '/', params }),
    wrong: (answer) => (expect === undefined ? null : wrongScript(answer, expect)),
  };
}

function wrongScript(
  { status, body, stderr }: Answer,
  expect: { readonly status: number; readonly body?: string },
): WrongAnswer | null {
  // PHP says 200 when the error came after its first output
  if (FATAL.test(stderr)) return { kind: 'fatal', stderr };
  const text = Buffer.from(body);
  const start = text.subarray(0, BODY).toString('utf8');
  if (status !== expect.status) {
    const unopened = UNOPENED.test(stderr) ? ({ unopened: true } as const) : {};
    return { kind: 'status', status, expected: expect.status, body: start, ...unopened };
  }
  if (expect.body === undefined || text.includes(expect.body)) return null;
  return { kind: 'body', expected: expect.body, body: start };
}

const FATAL = /PHP (?:Fatal|Parse|Compile|Core) error/;
/** FPM's own words for a script that is not there or may not be read (fpm_main.c). */
const UNOPENED = /Primary script unknown|Unable to open primary script/;
const BODY = 2048;

const isLasting = (wrong: WrongAnswer): boolean =>
  wrong.kind === 'permission' ||
  (wrong.kind === 'status' && wrong.unopened === true) ||
  (wrong.kind === 'fatal' && wrong.stderr.includes('PHP Parse error'));

/** One try; `died` when the pool ends before it has answered. */
async function askOnce(
  pool: Pools,
  slot: Slot,
  { params, wrong }: Question,
  { as, timeoutMs, signal }: { as: User | null; timeoutMs: number; signal: AbortSignal | undefined },
): Promise<WrongAnswer | null | 'died'> {
  const ended = new AbortController();
  const both = signal === undefined ? ended.signal : AbortSignal.any([ended.signal, signal]);
  let cancel = (): void => undefined;
  const watch = (): void => {
    cancel = after(LIFE_PACE, () => {
      if (isGone(pool, slot)) ended.abort();
      else watch();
    });
  };
  watch();
  let reply: Reply;
  try {
    const address = spell(pool.slots[slot].address);
    reply = await request({ address, params, timeoutMs, as, signal: both });
  } finally {
    cancel();
  }
  if (reply.ok) return wrong(reply.value);
  return ended.signal.aborted || isGone(pool, slot) ? 'died' : reply.wrong;
}

/** Nobody listens any more. What cannot be observed is not called gone: the deadline decides. */
function isGone(pool: Pools, slot: Slot): boolean {
  const view = pool.observe(slot);
  return view.ok && view.value.life === null;
}
