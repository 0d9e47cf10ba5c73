/** `pool VERB SLOT [APP]`: one slot's pool, as an init script would, done with a deploy's care. */
import type { App } from '../context.js';
import type { CommandResult, PoolVerb, Result, Slot } from '../event.js';
import { fail, ok, SLOTS } from '../event.js';
import type { Session } from '../session.js';
import { exitOf, refusal } from './outcome.js';
import { reload, reopenLogs } from './pool-reload.js';
import { restart, start } from './pool-start.js';
import { poolStatus } from './pool-status.js';
import { stop } from './pool-stop.js';
import type { Ended, Work } from './pool-work.js';
import { alone } from './turn.js';

export interface PoolOptions {
  /** What would be asked is answered with yes. */
  readonly yes: boolean;
  /** ms to wait for the app's lock; 0: not at all. */
  readonly waitLock: number;
}

const VERBS: Readonly<Record<Exclude<PoolVerb, 'status'>, (work: Work) => Promise<Ended>>> = {
  start,
  stop,
  'force-stop': stop,
  restart,
  'try-restart': restart,
  reload,
  'reopen-logs': reopenLogs,
};

/** `words`: verb, slot and, perhaps, app. */
export async function pool(
  session: Session,
  words: readonly string[],
  options: PoolOptions,
): Promise<CommandResult> {
  const [verb = '', slot = '', name] = words;
  const asked = read(verb, slot);
  if (!asked.ok) return refusal('pool', asked.failure);
  const told = { verb: asked.value.verb, slot: asked.value.slot };
  if (told.verb === 'status') {
    const { slot: which } = told;
    return tell(await session.withFiles(name, (files) => poolStatus(session, files, which)), told);
  }
  const act = VERBS[told.verb];
  // what is on disk does not matter to a pool that is to end, or to its logs
  const memory = ['stop', 'force-stop', 'reopen-logs'].includes(told.verb);
  const begin = async (app: App): Promise<CommandResult> => {
    const confirm: Work['confirm'] = (question) => session.confirm(question, app.name);
    const ended = await alone(app, options.waitLock, (now) =>
      act({ app: now, ...told, yes: options.yes, confirm }),
    );
    return tell(ended.ok ? resultOf(app, ended.value) : refusal('pool', ended.failure), told);
  };
  const result = await session.withEach(name, begin, { memory });
  return tell(result, told);
}

const tell = (
  result: CommandResult,
  told: { readonly verb: PoolVerb; readonly slot: Slot },
): CommandResult => ({
  ...result,
  ...told,
});

function resultOf(app: App, { outcome, failure, drain }: Ended): CommandResult {
  return {
    command: 'pool',
    ...(outcome === null ? {} : { outcome }),
    exit: outcome === null ? 1 : exitOf(outcome, failure ?? null),
    ms: { total: Math.round(app.elapsed()) },
    ...(drain === undefined ? {} : { drain }),
    ...(failure === undefined ? {} : { failure }),
  };
}

/** LSB's second names of two verbs. */
const ALIASES: Readonly<Record<string, string>> = { condrestart: 'try-restart', 'force-reload': 'reload' };

function read(word: string, slot: string): Result<{ readonly verb: PoolVerb; readonly slot: Slot }> {
  const name = ALIASES[word] ?? word;
  const verbs: readonly PoolVerb[] = [...(Object.keys(VERBS) as (keyof typeof VERBS)[]), 'status'];
  const verb = verbs.find((each) => each === name);
  if (verb === undefined) {
    const detail = `pool has no verb ${JSON.stringify(word)}; it has ${verbs.join(', ')}`;
    return fail({ reason: 'usage', detail });
  }
  const named = SLOTS.find((each) => each === slot);
  if (named !== undefined) return ok({ verb, slot: named });
  return fail({ reason: 'usage', detail: `there is no slot ${JSON.stringify(slot)}; write blue or green` });
}
