/** Picks the voice: terminal, plain lines or JSON. Commands emit; only a reporter prints. */
import type { Event } from '../event.js';
import { createJson } from './json.js';
import { guard } from './out.js';
import type { Out } from './out.js';
import { createPlain } from './plain.js';
import { PLAIN, isSet, wantsColor } from './style.js';

/** Where events go. Neither function throws, whatever became of the streams. */
export interface Reporter {
  readonly emit: (event: Event) => void;
  /** Stops what moves and gives the terminal back. Idempotent. */
  readonly close: () => void;
}

/** The one that a command has. `lost`: see Out. */
export type Reporting = Reporter & Pick<Out, 'lost'>;

export interface ReporterOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** False after `--no-color`. True means: as the streams and the environment say. */
  readonly color: boolean;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Whether stdout is a terminal; stderr is asked itself. */
  readonly isTty: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A promise, because ora and chalk are loaded for those who see them only. */
export async function createReporter(options: ReporterOptions): Promise<Reporting> {
  return { ...(await chooseVoice(options)), lost: guard(options.stdout).lost };
}

// ---------------------------------------------------------------- private

async function chooseVoice(options: ReporterOptions): Promise<Reporter> {
  const { json, quiet, verbose, env } = options;
  const out = guard(options.stdout);
  const err = guard(options.stderr);
  const github = env['GITHUB_ACTIONS'] === 'true';
  if (json) return safe(createJson({ out, err, quiet, github }), err.write);

  const errIsTty = 'isTTY' in options.stderr && options.stderr.isTTY === true;
  const colors = {
    out: wantsColor(options.color, options.isTty, env),
    err: wantsColor(options.color, errIsTty, env),
  };
  const lively = options.isTty && !quiet && !isSet(env['CI']) && env['TERM'] !== 'dumb';
  if (!lively && !colors.out && !colors.err) {
    const style = { out: PLAIN, err: PLAIN };
    return safe(createPlain({ out, err, quiet, verbose, github, style }), err.write);
  }
  const { COLORED, createTty } = await import('./tty.js');
  const style = { out: colors.out ? COLORED : PLAIN, err: colors.err ? COLORED : PLAIN };
  return safe(
    lively
      ? createTty({ stdout: options.stdout, out, err, verbose, style, unicode: env['TERM'] !== 'linux' })
      : createPlain({ out, err, quiet, verbose, github, style }),
    err.write,
  );
}

/** A sentence that cannot be made must not stop the deploy it is about. */
function safe(reporter: Reporter, tell: (text: string) => void): Reporter {
  const attempt = (what: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      tell(
        `swap-pool: error: ${what} could not be shown: ${error instanceof Error ? error.message : 'unknown'}\n`,
      );
    }
  };
  return {
    emit: (event) => {
      attempt(`an event (${event.type})`, () => {
        reporter.emit(event);
      });
    },
    close: () => {
      attempt('the end', reporter.close);
    },
  };
}
