/**
 * The voice without a terminal: one line an event, for logs, cron and CI. Progress is
 * thinned by the events' own time; nothing here waits.
 *
 * `quiet` is for cron, which mails whatever is printed: failures, and the warnings a
 * person has to know of (URGENT). The others are held back and come with a failure,
 * if there is one, because they often explain it.
 */
import type { CommandResult, Event, Failure, Warning, WarningReason } from '../event.js';
import { annotation, defused } from './github.js';
import { eventLine, resultLine } from './message/event.js';
import { failureMessage } from './message/failure.js';
import { messageLines } from './message/phrase.js';
import { warningMessage } from './message/warning.js';
import type { Message } from './message/phrase.js';
import type { Out } from './out.js';
import type { Reporter } from './reporter.js';
import type { Style } from './style.js';
import { fileLines, planLines, resultTables } from './table.js';

export interface PlainOptions {
  readonly out: Out;
  readonly err: Out;
  readonly quiet: boolean;
  /** Also the start of each step, every change of the numbers, the whole plan, the reasons' names. */
  readonly verbose: boolean;
  /** GitHub Actions reads our lines, too. */
  readonly github: boolean;
  readonly style: { readonly out: Style; readonly err: Style };
}

export function createPlain(options: PlainOptions): Reporter {
  const { quiet, verbose, style } = options;
  const mayShow = createThinning(verbose);
  const told = new Set<string>();
  const held: (() => void)[] = [];
  const write = (out: Out, lines: readonly string[]): void => {
    if (lines.length === 0) return;
    out.write(`${(options.github ? lines.map(defused) : lines).join('\n')}\n`);
  };
  const say = (lines: readonly string[]): void => {
    if (!quiet) write(options.out, lines);
  };
  const annotate = (kind: 'error' | 'warning', who: string, message: Message): void => {
    if (options.github)
      options.err.write(
        `${annotation(kind, [`${who}: ${message.message}`, ...messageLines(message).slice(1)])}\n`,
      );
  };

  const warn = (warning: Warning, app: string | null): void => {
    const who = app ?? 'swap-pool';
    const message = warningMessage(warning, app);
    const [, ...rest] = messageLines(message).slice(0, -1);
    const reason = verbose ? ` [${warning.reason}]` : '';
    const show = (): void => {
      write(options.err, [
        `${who}: ${style.err.yellow('warning:')}${reason} ${message.message} ${message.hint}`,
        ...rest,
      ]);
      annotate('warning', who, message);
    };
    if (quiet && !URGENT.has(warning.reason)) held.push(show);
    else show();
  };

  const failed = (failure: Failure, app: string | null): void => {
    const who = app ?? 'swap-pool';
    const message = failureMessage(failure, app);
    const lines = messageLines(message);
    const key = [who, ...lines].join('\n');
    if (told.has(key)) return;
    told.add(key);
    for (const show of held.splice(0)) show();
    const reason = verbose ? ` [${failure.reason}]` : '';
    write(options.err, [
      `${who}: ${style.err.red('error:')}${reason} ${message.message}`,
      ...lines.slice(1, -1),
      `${who}: ${lines.at(-1) ?? ''}`,
    ]);
    annotate('error', who, message);
  };

  const ended = (result: CommandResult, app: string | null): void => {
    // cron mails what is wrong, not that something is
    if (quiet && result.findings !== undefined && result.exit !== 0)
      write(options.err, resultTables(result, style.err));
    else say(resultTables(result, style.out));
    if (result.failure !== undefined) failed(result.failure, app);
    const line = resultLine(result, app);
    if (line === null || (isSilent(result) && !verbose)) return;
    const text = `${app ?? 'swap-pool'}: ${line}`;
    if (result.exit === 0) say([text]);
    else write(options.err, [text]);
  };

  const emit = (event: Event): void => {
    const line = (): string => `${event.app === null ? '' : `${event.app}: `}${eventLine(event) ?? ''}`;
    switch (event.type) {
      case 'plan':
        if (event.plan.dryRun || verbose) say(planLines(event.plan, event.app, style.out));
        else say([eventLine(event) ?? '']);
        break;
      case 'step-started':
        if (verbose) say([line()]);
        break;
      case 'step-done':
        say([line()]);
        break;
      case 'progress':
        if (mayShow(event)) say([line()]);
        break;
      case 'files':
        say(fileLines(event.files, style.out));
        break;
      case 'notice':
        say([line()]);
        break;
      case 'warning':
        warn(event.warning, event.app);
        break;
      case 'failure':
        failed(event.failure, event.app);
        break;
      case 'result':
        ended(event.result, event.app);
    }
  };
  return { emit, close: () => undefined };
}

// ---------------------------------------------------------------- private

/** Warnings that matter also when the deploy went well: something was hurt, or will be. */
const URGENT: ReadonlySet<WarningReason> = new Set<WarningReason>([
  'app-left-out',
  'brought-back',
  'cut',
  'journal-damaged',
  'journal-write-failed',
  'name-given-back',
  'nginx-config-unusable',
  'not-durable',
  // nobody is served, though the pool is up
  'proxy-stopped',
  'recovering',
  'reference-unused',
  'reload-cuts',
  'revert-unfinished',
  'running-differs',
  'slot-orphaned',
  'socket-file-gone',
  'stop-escalates',
]);

const QUICK_MS = 1000;
const SLOW_MS = 10_000;

type Progress = Extract<Event, { type: 'progress' }>;

/** Changed numbers at most once a second, unchanged ones every 10 s; nothing at all while all are 0. */
function createThinning(everyChange: boolean): (event: Progress) => boolean {
  let last = { key: '', numbers: '0 0 0 0', at: Number.NEGATIVE_INFINITY };
  return (event) => {
    const { connections, working, retiring } = event;
    const key = [event.app, event.deploy, event.step, event.slot].join(' ');
    const numbers = [connections.accepted, connections.queued, working, retiring].join(' ');
    const at = Date.parse(event.time);
    if (last.key !== key) last = { key, numbers: '0 0 0 0', at: Number.NEGATIVE_INFINITY };
    const passed = at - last.at;
    const changed = numbers !== last.numbers;
    // A clock that was set back would otherwise silence the drain until it has caught up.
    const due = !(passed < (changed ? QUICK_MS : SLOW_MS)) || passed < 0 || (changed && everyChange);
    if (!due || (!changed && last.at === Number.NEGATIVE_INFINITY)) return false;
    last = { key, numbers, at };
    return true;
  };
}

/** `deploy --if-changed` in a crontab: nothing changed, nothing to mail. */
function isSilent(result: CommandResult): boolean {
  return result.outcome === 'unchanged' && result.command === 'deploy';
}
