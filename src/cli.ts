/**
 * The front door: argv in, exit code out. The only file that knows commander and sets
 * process.exitCode. What a command does not need is not loaded for it.
 */
import type { CommandName, CommandResult, ExitCode, Failure } from './event.js';
import { listenForSignals } from './interruption.js';
import type { App, Surroundings } from './context.js';
import type { Interruption } from './deploy/deploy.js';

declare const __VERSION__: string;

interface Global {
  readonly config?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly color: boolean;
}

// answered before anything is loaded
if (process.argv.length === 3 && (process.argv[2] === '--version' || process.argv[2] === '-V')) {
  process.stdout.write(`${__VERSION__}\n`);
} else {
  void main(process.argv.slice(2));
}

async function main(argv: readonly string[]): Promise<void> {
  const { Command, CommanderError, InvalidArgumentError } = await import('commander');
  const { parseDuration } = await import('./duration.js');
  process.umask(0o022);
  const stop = listenForSignals((code) => process.exit(code));
  // a reader that went away is not our business: the command goes on without it
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

  const duration = (text: string): number => {
    const parsed = parseDuration(text);
    if (!parsed.ok) throw new InvalidArgumentError(`${parsed.what}; ${parsed.fix}`);
    return parsed.ms;
  };

  const program = new Command('swap-pool')
    .description('Blue/green deploys for php-fpm pools behind nginx, with no request cut')
    .version(__VERSION__, '-V, --version')
    .option('-c, --config <file>', 'one app by its file')
    .option('--json', 'newline-delimited JSON on stdout')
    .option('-q, --quiet', 'nothing unless something is wrong')
    .option('-v, --verbose', 'more facts')
    .option('--no-color', 'no colour (also NO_COLOR)')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });

  const one = (
    name: CommandName,
    run: (app: App, options: Readonly<Record<string, unknown>>) => Promise<CommandResult>,
  ) => {
    return async (app: string | undefined, options: Readonly<Record<string, unknown>>): Promise<void> => {
      await report(name, program.opts<Global>(), stop, (given) =>
        withApp(name, app, given, (opened) => run(opened, options)),
      );
    };
  };
  const several = (
    name: CommandName,
    run: (
      given: Given,
      files: readonly { app: string; file: string }[],
      options: Readonly<Record<string, unknown>>,
    ) => Promise<CommandResult>,
  ) => {
    return async (app: string | undefined, options: Readonly<Record<string, unknown>>): Promise<void> => {
      await report(name, program.opts<Global>(), stop, (given) =>
        withFiles(name, app, given, (files) => run(given, files, options)),
      );
    };
  };

  program
    .command('deploy')
    .description('start, probe, switch, verify, drain, retire, stop')
    .argument('[app]')
    .option('--dry-run', 'the plan, nothing touched', false)
    .option('--wait-lock <duration>', 'wait so long for another swap-pool to finish', duration, 0)
    .option(
      '--if-changed',
      'nothing to do when configuration and watched files are those of the last done deploy',
      false,
    )
    .action(
      one('deploy', async (app, options) => {
        const { deploy } = await import('./commands/deploy.js');
        return deploy(app, options as unknown as Parameters<typeof deploy>[1]);
      }),
    );
  program
    .command('start')
    .description('bring up what should serve')
    .argument('[app]')
    .action(several('start', startAll));
  program
    .command('rollback')
    .description('back to the slot that served before the last deploy')
    .argument('[app]')
    .option('--dry-run', 'the plan, nothing touched', false)
    .option('--wait-lock <duration>', 'wait so long for another swap-pool to finish', duration, 0)
    .action(
      one('rollback', async (app, options) => {
        const { rollback } = await import('./commands/rollback.js');
        return rollback(app, options as unknown as Parameters<typeof rollback>[1]);
      }),
    );
  program
    .command('status')
    .description('what /proc, the sockets, nginx and the journal say')
    .argument('[app]')
    .option('-w, --watch', 'refresh until interrupted', false)
    .action(several('status', showStatus));
  program
    .command('recover')
    .description('end what a dead or interrupted deploy left')
    .argument('[app]')
    .option('--now', 'end a drain with requests in flight', false)
    .action(several('recover', recoverAll));
  program
    .command('history')
    .description('past deploys')
    .argument('[app]')
    .action(several('history', showHistory));
  program
    .command('demo')
    .description('a sandbox: a private nginx, two pools, live load, deploys both ways, a verdict')
    .action(async () => {
      await report('demo', program.opts<Global>(), stop, demo);
    });

  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // help and version were asked for and printed
    if (error.exitCode === 0) return;
    const detail =
      error.code === 'commander.help' ? 'no command given' : error.message.replace(/^error: /, '');
    await report(null, program.opts<Global>(), stop, () =>
      Promise.resolve({ command: null, outcome: 'usage', exit: 2, failure: { reason: 'usage', detail } }),
    );
  }
}

// ---------------------------------------------------------------- commands that are about several apps

type Files = readonly { readonly app: string; readonly file: string }[];

async function startAll(given: Given, files: Files): Promise<CommandResult> {
  const { start } = await import('./commands/start.js');
  return eachApp('start', given, files, start);
}

async function recoverAll(
  given: Given,
  files: Files,
  options: Readonly<Record<string, unknown>>,
): Promise<CommandResult> {
  const { recover } = await import('./commands/recover.js');
  return eachApp('recover', given, files, (app) => recover(app, { now: options['now'] === true }));
}

/** Every app gets its turn, whatever became of the one before; the worst end is the command's. */
async function eachApp(
  name: CommandName,
  given: Given,
  files: Files,
  run: (app: App) => Promise<CommandResult>,
): Promise<CommandResult> {
  const { openApp } = await import('./context.js');
  const { refusal } = await import('./commands/outcome.js');
  let worst: CommandResult | null = null;
  for (const { app, file } of files) {
    const opened = await openApp(file, given.surroundings);
    const result = opened.ok ? await run(opened.value) : refusal(name, opened.failure);
    given.about(app);
    if (files.length > 1 && result.failure !== undefined) {
      given.surroundings.emit(given.stamp({ type: 'failure', failure: result.failure }, app));
    }
    if (worst === null || result.exit > worst.exit) worst = result;
  }
  return worst ?? { command: name, outcome: 'unchanged', exit: 0 };
}

async function showStatus(
  given: Given,
  files: Files,
  options: Readonly<Record<string, unknown>>,
): Promise<CommandResult> {
  const { status } = await import('./commands/status.js');
  const { openApp } = await import('./context.js');
  const look = async (): Promise<CommandResult> => {
    const asked = [];
    for (const { app, file } of files) {
      const opened = await openApp(file, given.surroundings);
      asked.push(
        opened.ok
          ? { ok: true as const, app: opened.value }
          : { ok: false as const, name: app, failure: opened.failure },
      );
    }
    return status(asked);
  };
  if (options['watch'] !== true) return look();
  const { waitUntil } = await import('./system/clock.js');
  let latest = await look();
  await waitUntil(
    async () => {
      given.show(latest);
      latest = await look();
      return undefined;
    },
    { deadline: Number.MAX_SAFE_INTEGER, signal: given.surroundings.interruption.signal, pace: () => 1000 },
  );
  return latest;
}

async function showHistory(given: Given, files: Files): Promise<CommandResult> {
  const { history } = await import('./commands/history.js');
  const { openPast } = await import('./context.js');
  return history(files.map((one) => openPast(one, given.surroundings)));
}

async function demo(given: Given): Promise<CommandResult> {
  const { demo: run } = await import('./commands/demo.js');
  return run({ surroundings: given.surroundings, program: __filename });
}

// ---------------------------------------------------------------- from a command to its result

interface Given {
  readonly surroundings: Surroundings;
  readonly options: Global;
  readonly stamp: (
    body: Parameters<typeof import('./context.js').stamp>[0],
    app: string | null,
  ) => ReturnType<typeof import('./context.js').stamp>;
  /** From now on results are about this app. */
  about(app: string): void;
  /** Shows a result that is not the last one. */
  show(result: CommandResult): void;
}

async function withFiles(
  name: CommandName,
  app: string | undefined,
  given: Given,
  run: (files: Files) => Promise<CommandResult>,
): Promise<CommandResult> {
  const { selectApps } = await import('./config/apps.js');
  const { places } = await import('./system/places.js');
  const { refusal } = await import('./commands/outcome.js');
  const { env, uid } = given.surroundings;
  const found = selectApps({ folder: places(env, uid).config, name: app, file: given.options.config });
  if (!found.ok) return refusal(name, found.failure);
  const [only, ...others] = found.value;
  if (only !== undefined && others.length === 0) given.about(only.app);
  return run(found.value);
}

async function withApp(
  name: CommandName,
  app: string | undefined,
  given: Given,
  run: (app: App) => Promise<CommandResult>,
): Promise<CommandResult> {
  const { selectApp } = await import('./config/apps.js');
  const { places } = await import('./system/places.js');
  const { openApp } = await import('./context.js');
  const { refusal } = await import('./commands/outcome.js');
  const { env, uid } = given.surroundings;
  const found = selectApp({ folder: places(env, uid).config, name: app, file: given.options.config });
  if (!found.ok) return refusal(name, found.failure);
  given.about(found.value.app);
  const opened = await openApp(found.value.file, given.surroundings);
  return opened.ok ? run(opened.value) : refusal(name, opened.failure);
}

/** Runs a command, says what happens, and leaves its exit code behind. */
async function report(
  name: CommandName | null,
  options: Global,
  stop: Interruption,
  run: (given: Given) => Promise<CommandResult>,
): Promise<void> {
  const { createReporter } = await import('./ui/reporter.js');
  const { stamp } = await import('./context.js');
  const { userInfo } = await import('node:os');
  const reporter = await createReporter({
    json: options.json === true,
    quiet: options.quiet === true,
    verbose: options.verbose === true,
    color: options.color,
    stdout: process.stdout,
    stderr: process.stderr,
    isTty: process.stdout.isTTY,
    env: process.env,
  });
  let app: string | null = null;
  let deploy: string | null = null;
  const given: Given = {
    options,
    stamp: (body, about) => stamp(body, about, null),
    about: (about) => {
      app = about;
    },
    show: (result) => {
      reporter.emit(stamp({ type: 'result', result }, app, null));
    },
    surroundings: {
      env: process.env,
      uid: process.getuid?.() ?? -1,
      who: process.env['SUDO_USER'] ?? userInfo().username,
      command: ['swap-pool', ...process.argv.slice(2)].join(' '),
      interruption: stop,
      emit: (event) => {
        deploy = event.deploy ?? deploy;
        reporter.emit(event);
      },
    },
  };
  let result: CommandResult;
  try {
    result = await run(given);
  } catch (error) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const failure: Failure = { reason: 'bug', detail };
    result = { command: name, outcome: 'refused', exit: 70, failure };
  }
  if (result.failure !== undefined) {
    reporter.emit(stamp({ type: 'failure', failure: result.failure }, app, deploy));
  }
  reporter.emit(stamp({ type: 'result', result }, app, deploy));
  reporter.close();
  process.exitCode = result.exit satisfies ExitCode;
}
