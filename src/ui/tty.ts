/**
 * The voice of a terminal: a line a step, a spinner while it lasts, live counters in
 * a drain. The only importer of ora and chalk; loaded for terminals (and forced
 * colours) only.
 *
 * The cursor is never hidden and stdin is never set raw: whatever becomes of this
 * process, kill -9 included, the terminal is as it was, and Ctrl-C stays the kernel's.
 */
import { Chalk } from 'chalk';
import ora from 'ora';
import type { CommandResult, Event, Failure, Slot, Warning } from '../event.js';
import { noteText, noticeText, planLine, resultLine, stepLabel } from './message/event.js';
import { failureMessage } from './message/failure.js';
import { loadText, messageLines } from './message/phrase.js';
import { warningMessage } from './message/warning.js';
import type { Message } from './message/phrase.js';
import type { Out } from './out.js';
import type { Reporter } from './reporter.js';
import type { Style } from './style.js';
import { fileLines, planLines, resultTables, visible } from './table.js';
import { duration } from './text.js';

export interface TtyOptions {
  /** Asked for its size only; written to through `out`. */
  readonly stdout: NodeJS.WritableStream;
  readonly out: Out;
  readonly err: Out;
  readonly verbose: boolean;
  readonly style: { readonly out: Style; readonly err: Style };
  /** False on the Linux console, whose font lacks the signs. */
  readonly unicode: boolean;
}

const chalk = new Chalk({ level: 1 });

/** The 16 colours that every terminal has. */
export const COLORED: Style = {
  // chalk's own functions join all their arguments, and map() gives three
  bold: (text) => chalk.bold(text),
  dim: (text) => chalk.dim(text),
  red: (text) => chalk.red(text),
  green: (text) => chalk.green(text),
  yellow: (text) => chalk.yellow(text),
};

export function createTty(options: TtyOptions): Reporter {
  const { stdout, out, err, verbose, style } = options;
  const signs = options.unicode
    ? { done: '✔', failed: '✖', warned: '⚠' }
    : { done: '√', failed: '×', warned: '!' };
  const told = new Set<string>();
  let step: { readonly label: string; readonly slot: Slot } | null = null;
  let table = 0;

  const spinner = ora({
    stream: canvas(stdout, out),
    isEnabled: true,
    hideCursor: false,
    discardStdin: false,
    color: style.out === COLORED ? 'cyan' : false,
  });

  /** Writes below the lines that stay and above the spinner. */
  const print = (to: Out, lines: readonly string[]): void => {
    spinner.stop();
    if (lines.length > 0) to.write(`${lines.join('\n')}\n`);
    if (step !== null && !out.gone()) spinner.start();
  };
  const show = (text: string): void => {
    // One row: ora and the spinner's own sign need two columns.
    spinner.text = fit(text, width(stdout) - 3);
    if (!out.gone()) spinner.start();
  };
  const row = (sign: string, label: string, slot: Slot, note: string, ms: number | null): string => {
    const left = `${label.padEnd(8)} ${slot.padEnd(5)}  ${note}`.trimEnd();
    if (ms === null) return `${sign} ${left}`;
    const room = Math.min(56, width(stdout) - 12);
    return `${sign} ${fit(left, Math.max(room, 20)).padEnd(room)} ${style.out.dim(duration(ms).padStart(8))}`;
  };
  const under = (message: Message, dim: (text: string) => string): readonly string[] =>
    messageLines(message)
      .slice(1)
      .map((line) => dim(line.startsWith(' ') ? line : `  ${line}`));

  const warn = (warning: Warning, app: string | null): void => {
    const message = warningMessage(warning, app);
    const reason = verbose ? ` [${warning.reason}]` : '';
    table = 0;
    print(err, [
      `${style.err.yellow(signs.warned)}${reason} ${message.message}`,
      ...under(message, style.err.dim),
    ]);
  };

  const failed = (failure: Failure, app: string | null): void => {
    const message = failureMessage(failure, app);
    const key = [app ?? '', ...messageLines(message)].join('\n');
    if (told.has(key)) return;
    told.add(key);
    if (step !== null) {
      const { label, slot } = step;
      step = null;
      print(out, [row(style.out.red(signs.failed), label, slot, '', null)]);
    }
    const who = app === null ? '' : `${app}: `;
    const reason = verbose ? ` [${failure.reason}]` : '';
    print(err, [
      `${style.err.red(`${signs.failed} ${who}`)}${message.message}${reason}`,
      ...under(message, style.err.dim),
    ]);
  };

  const ended = (result: CommandResult, app: string | null): void => {
    step = null;
    const lines = resultTables(result, style.out);
    // `status --watch` comes again and again: the new table takes the old one's place.
    if (result.apps !== undefined && table > 0) out.write(redraw(table, height(stdout)));
    table =
      result.apps === undefined ? 0 : lines.reduce((rows, line) => rows + rowsOf(line, width(stdout)), 0);
    print(out, lines);
    if (result.failure !== undefined) {
      table = 0;
      failed(result.failure, app);
    }
    const line = resultLine(result, app);
    if (line === null) return;
    if (result.exit !== 0) print(err, [style.err.red(line)]);
    else print(out, [style.out.bold((result.drain?.cut ?? 0) > 0 ? style.out.yellow(line) : line)]);
  };

  const emit = (event: Event): void => {
    switch (event.type) {
      case 'plan':
        print(
          out,
          event.plan.dryRun || verbose
            ? planLines(event.plan, event.app, style.out)
            : [style.out.bold(planLine(event.plan, event.app))],
        );
        break;
      case 'step-started':
        step = { label: stepLabel(event), slot: event.slot };
        show(`${step.label.padEnd(8)} ${event.slot}`);
        break;
      case 'progress':
        if (step !== null) show(`${step.label.padEnd(8)} ${step.slot.padEnd(5)}  ${loadText(event)}`);
        break;
      case 'step-done': {
        step = null;
        const note = event.note === null ? '' : noteText(event.note);
        print(out, [row(style.out.green(signs.done), stepLabel(event), event.slot, note, event.ms)]);
        break;
      }
      case 'files':
        print(out, fileLines(event.files, style.out));
        break;
      case 'notice':
        print(out, [style.out.dim(noticeText(event.notice))]);
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
  return {
    emit,
    close: () => {
      step = null;
      spinner.stop();
    },
  };
}

// ---------------------------------------------------------------- private

/**
 * What ora draws on. A terminal without a size (0 columns: a pty that nobody told one, as
 * under script(1), ssh -tt or docker) would make it divide by zero and clear lines for
 * ever, in the middle of a deploy (seen with ora 9.4). Writes never throw.
 */
function canvas(stream: NodeJS.WritableStream, out: Out): NodeJS.WritableStream {
  const write = (text: string): boolean => {
    out.write(text);
    return true;
  };
  const drawing = {
    isTTY: true,
    get columns() {
      return width(stream);
    },
    get rows() {
      return height(stream);
    },
    write,
    cursorTo: () => write('\r'),
    moveCursor: (_columns: number, rows: number) =>
      write(`\u001b[${String(Math.abs(rows))}${rows < 0 ? 'A' : 'B'}`),
    clearLine: () => write('\u001b[0K'),
  };
  // Never full, so ora never listens for 'drain'; of a stream it uses nothing else.
  return drawing as unknown as NodeJS.WritableStream;
}

function width(stream: NodeJS.WritableStream): number {
  const columns = 'columns' in stream && typeof stream.columns === 'number' ? stream.columns : 0;
  return columns > 0 ? columns : 80;
}

function height(stream: NodeJS.WritableStream): number {
  const rows = 'rows' in stream && typeof stream.rows === 'number' ? stream.rows : 0;
  return rows > 0 ? rows : 24;
}

function fit(text: string, columns: number): string {
  const line = Array.from(text);
  return line.length <= columns ? line.join('') : `${line.slice(0, Math.max(columns - 3, 1)).join('')}...`;
}

function rowsOf(line: string, columns: number): number {
  return Math.max(1, Math.ceil(visible(line) / columns));
}

/** To the first row of what was written and clear from there (ECMA-48 CPL and ED); all, if it has scrolled away. */
function redraw(rows: number, screen: number): string {
  return rows < screen ? `\u001b[${String(rows)}F\u001b[0J` : '\u001b[H\u001b[2J';
}
