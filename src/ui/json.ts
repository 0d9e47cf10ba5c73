/**
 * `--json`: one object a line on stdout, in the shapes that the interface lists. A
 * failure keeps its facts and gains its sentence; the sentence also goes to stderr,
 * for whoever reads the log of a job whose stdout a machine reads.
 */
import type { CommandResult, Event, Failure, Finding, Timings, Warning } from '../event.js';
import { annotation, defused } from './github.js';
import { failureMessage } from './message/failure.js';
import { findingMessage } from './message/finding.js';
import { messageLines } from './message/phrase.js';
import { warningMessage } from './message/warning.js';
import type { Message } from './message/phrase.js';
import type { Out } from './out.js';
import type { Reporter } from './reporter.js';

export function createJson(options: {
  readonly out: Out;
  readonly err: Out;
  readonly quiet: boolean;
  /** GitHub Actions reads our lines, too. */
  readonly github: boolean;
}): Reporter {
  const { github } = options;
  const told = new Set<string>();
  const tell = (failure: Failure, app: string | null): void => {
    const [first = '', ...rest] = messageLines(failureMessage(failure, app));
    const lines = [`${app ?? 'swap-pool'}: ${first}`, ...rest];
    const text = lines.join('\n');
    if (options.quiet || told.has(text)) return;
    told.add(text);
    options.err.write(`${(github ? lines.map(defused) : lines).join('\n')}\n`);
    if (github) options.err.write(`${annotation('error', lines)}\n`);
  };
  return {
    emit: (event) => {
      options.out.write(`${toJson(event)}\n`);
      if (event.type === 'failure') tell(event.failure, event.app);
      if (event.type === 'result' && event.result.failure !== undefined)
        tell(event.result.failure, event.app);
    },
    close: () => undefined,
  };
}

/**
 * Event -> one line of JSON without its line end. Foreign text keeps every character:
 * what a terminal could obey is escaped, not dropped.
 */
export function toJson(event: Event): string {
  const { type, time } = event;
  // the table of apps is about all that it names
  const app = type === 'result' && event.result.apps !== undefined ? null : event.app;
  const head = { type, ...(type === 'result' ? { schema: 1 } : {}), time, app };
  const deploy = event.deploy === undefined ? {} : { deploy: event.deploy };
  return JSON.stringify({ ...head, ...deploy, ...body(event) }).replace(
    UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

// ---------------------------------------------------------------- private

// JSON.stringify escapes C0 alone. DEL, C1, line separators and the marks that turn the reading
// order can stand in strings only, so an escape means the same; so does the # of `##[`, which
// GitHub's runner takes for an order wherever in a line it stands.
const UNSAFE = /#(?=#\[)|[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function body(event: Event): object {
  switch (event.type) {
    case 'plan':
      return { plan: event.plan };
    case 'step-started':
      return { step: event.step, slot: event.slot, revert: event.revert };
    case 'step-done':
      return {
        step: event.step,
        slot: event.slot,
        revert: event.revert,
        ms: Math.round(event.ms),
        note: event.note,
      };
    case 'progress': {
      const { step, slot, connections, working, retiring } = event;
      return { step, slot, connections, working, retiring };
    }
    case 'files':
      return { files: event.files };
    case 'notice':
      return { notice: event.notice };
    case 'warning':
      return { warning: described(event.warning, warningMessage(event.warning, event.app), event.app) };
    case 'failure':
      return { failure: described(event.failure, failureMessage(event.failure, event.app), event.app) };
    case 'result':
      return resultBody(event.result, event.app);
    default:
      return event satisfies never;
  }
}

function resultBody(result: CommandResult, app: string | null): object {
  const {
    command,
    verb,
    slot,
    outcome,
    exit,
    from,
    to,
    switch: by,
    ms,
    drain,
    failure,
    apps,
    pools,
    history,
    findings,
    mended,
    ...rest
  } = result;
  return {
    command,
    ...(verb === undefined ? {} : { verb }),
    ...(slot === undefined ? {} : { slot }),
    ...(outcome === undefined ? {} : { outcome }),
    exit,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(by === undefined ? {} : { switch: by }),
    ...(ms === undefined ? {} : { ms: whole(ms) }),
    ...(drain === undefined ? {} : { drain }),
    ...(failure === undefined ? {} : { failure: short(failure, app) }),
    ...(apps === undefined
      ? {}
      : {
          apps: apps.map((status) =>
            status.failure === undefined ? status : { ...status, failure: short(status.failure, status.app) },
          ),
        }),
    ...(pools === undefined
      ? {}
      : {
          pools: pools.map((pool) =>
            pool.failure === undefined ? pool : { ...pool, failure: short(pool.failure, pool.app) },
          ),
        }),
    ...(history === undefined
      ? {}
      : { history: history.map((entry) => ({ ...entry, ms: whole(entry.ms) })) }),
    ...(findings === undefined ? {} : { findings: findings.map(found) }),
    ...(mended === undefined ? {} : { mended: mended.map(found) }),
    ...rest,
  };
}

/** Its words, and as evidence the facts that they were made of. */
function found(finding: Finding): object {
  const { severity, app, fixable } = finding;
  const about =
    'failure' in finding ? finding.failure : 'warning' in finding ? finding.warning : finding.observation;
  const { reason, ...facts } = about;
  const { message, hint } = findingMessage(finding);
  return { severity, reason, app, message, hint, fixable, evidence: facts };
}

/** reason, sentence and hint, then the value's own facts. */
function described(value: Failure | Warning, words: Message, app: string | null): object {
  const { reason, ...facts } = value;
  const cause = 'cause' in value ? value.cause : null;
  return {
    reason,
    message: words.message,
    hint: words.hint,
    ...facts,
    ...(cause === null ? {} : { cause: described(cause, failureMessage(cause, app), app) }),
  };
}

function short(failure: Failure, app: string | null): object {
  const { message, hint } = failureMessage(failure, app);
  return { reason: failure.reason, message, hint };
}

function whole(ms: Timings): Timings {
  return Object.fromEntries(Object.entries(ms).map(([step, value]) => [step, Math.round(value)]));
}
