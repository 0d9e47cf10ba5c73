/** Looking before a deploy: what the proxy says, what the slots are, what the history knows. */
import type { App } from '../context.js';
import { decide } from '../deploy/plan.js';
import type { Decision, Situation } from '../deploy/plan.js';
import { pastPivot } from '../deploy/state.js';
import type { DeployState, Opened } from '../deploy/state.js';
import type { ProxyProof, ProxyView } from '../drivers.js';
import { fail, ok, SLOTS } from '../event.js';
import type { Result, Slot } from '../event.js';
import { restoreNames } from './names.js';

type Command = Situation['command'];

export interface Look {
  readonly situation: Situation;
  readonly decision: Exclude<Decision, { kind: 'reload-first' }>;
}

/**
 * Surveys and decides; gives a pool that is to serve its name back, and makes the running proxy follow its files
 * first, where they differ, something is to be done, and that is safe.
 */
export async function look(
  app: App,
  command: Command,
  draining: DeployState | null,
  print: string | null = null,
): Promise<Result<Look>> {
  let seen = await lookOnce(app, command, draining, print);
  const nameless = seen.ok && draining === null ? withoutName(seen.value.situation) : [];
  if (nameless.length > 0) {
    const named = await restoreNames(app, nameless);
    if (!named.ok) return named;
    seen = await lookOnce(app, command, draining, print);
  }
  if (!seen.ok) return seen;
  const { situation, decision } = seen.value;
  if (decision.ok && decision.value.kind !== 'reload-first') {
    return ok({ situation, decision: decision.value });
  }
  if (!decision.ok && decision.failure.reason !== 'disk-differs-from-running') return decision;
  // another app's switch may be half done: what differs is judged, and mended, under the proxy's lock alone
  const lock = await app.drivers.lockProxy();
  if (!lock.ok) return lock;
  try {
    return await settle(app, command, draining, print);
  } finally {
    lock.value.release();
  }
}

async function settle(
  app: App,
  command: Command,
  draining: DeployState | null,
  print: string | null,
): Promise<Result<Look>> {
  const seen = await lookOnce(app, command, draining, print);
  if (!seen.ok) return seen;
  const { situation, decision } = seen.value;
  if (!decision.ok) return decision;
  if (decision.value.kind !== 'reload-first') return ok({ situation, decision: decision.value });
  const { files, slot } = decision.value;
  app.emit({ type: 'warning', warning: { reason: 'running-differs', files } });
  const { life, retired } = situation.slots[slot];
  if (life !== null && !retired) {
    const answered = await app.drivers.probe.probe(slot);
    if (!answered.ok) return answered;
  }
  const proof = await app.drivers.proxy.reload();
  if (!proof.ok) return proof;
  const again = await lookOnce(app, command, draining, print, proof.value);
  if (!again.ok) return again;
  const final = again.value.decision;
  if (!final.ok) return final;
  // somebody edits faster than we reload
  if (final.value.kind === 'reload-first') return unsettled(final.value);
  return ok({ situation: again.value.situation, decision: final.value });
}

const unsettled = ({ files, slot }: Extract<Decision, { kind: 'reload-first' }>): Result<never> =>
  fail({ reason: 'disk-differs-from-running', files, slot });

const withoutName = ({ slots }: Situation): readonly Slot[] => SLOTS.filter((slot) => slots[slot].retired);

async function lookOnce(
  ...asked: Parameters<typeof survey>
): Promise<Result<{ readonly situation: Situation; readonly decision: Result<Decision> }>> {
  const situation = await survey(...asked);
  return situation.ok ? ok({ situation: situation.value, decision: decide(situation.value) }) : situation;
}

/** `print`: what a deploy would start; null where it is to be started in any case. */
export const survey = async (
  app: App,
  command: Command,
  draining: DeployState | null,
  print: string | null = null,
  proof = lastProof(app),
): Promise<Result<Situation>> =>
  situationOf(app, await app.drivers.proxy.survey(proof), { command, draining, print });

/** As survey(), for who looks only: nginx is not asked about files that it is proven to run. */
export const glance = async (app: App): Promise<Result<Situation>> =>
  situationOf(app, await app.drivers.proxy.survey(lastProof(app), 'unless-proven'), {
    command: 'start',
    draining: null,
    print: null,
  });

function situationOf(
  app: App,
  proxy: Result<ProxyView>,
  { command, draining, print }: { command: Command; draining: DeployState | null; print: string | null },
): Result<Situation> {
  const { blue, green } = app.drivers.pool.observeBoth();
  // a pool that is not at its address any more is why the proxy's files do not name it
  for (const view of [blue, green]) if (!view.ok && view.failure.reason === 'slot-alive') return view;
  if (!proxy.ok) return proxy;
  if (!blue.ok) return blue;
  if (!green.ok) return green;
  const last = lastDone(app, () => true);
  return ok({
    command,
    proxy: proxy.value,
    slots: { blue: blue.value, green: green.value },
    last,
    unchanged: print !== null && last?.fingerprint === print,
    lastSwap: lastDone(app, ({ from }) => from !== null),
    draining: draining !== null && draining.phase !== 'closed' ? draining.opened : null,
  });
}

export function lastDone(app: Pick<App, 'store'>, counts: (opened: Opened) => boolean): Opened | null {
  for (const state of app.store.newestFirst()) {
    if (!state.ok || state.value.phase !== 'closed') continue;
    if (state.value.closed.outcome === 'done' && counts(state.value.opened)) return state.value.opened;
  }
  return null;
}

/** What the last finished deploy proved of the proxy, however it ended. */
export function lastProof(app: Pick<App, 'store'>): ProxyProof | null {
  for (const state of app.store.newestFirst()) {
    if (state.ok && state.value.phase === 'closed') return state.value.closed.proof;
    if (state.ok && pastPivot(state.value) && state.value.phase !== 'closed') {
      return state.value.switched?.proof ?? null;
    }
  }
  return null;
}
