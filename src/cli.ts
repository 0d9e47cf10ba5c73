/**
 * The front door: argv in, exit code out. The only file that knows commander and sets
 * process.exitCode. What a command does not need is not loaded for it.
 */
import { NGINX_VERBS, SIGNALLED } from './event.js';
import type { CommandName, CommandResult, StopSignal } from './event.js';
import { blankStandardStreams, listenForSignals } from './interruption.js';
import type { Session } from './session.js';

declare const __VERSION__: string;

type Options = Readonly<Record<string, unknown>>;
type Run = (
  session: Session,
  app: string | undefined,
  options: Options,
  words: readonly string[],
) => Promise<CommandResult>;

const TELLING: ReadonlySet<CommandName> = new Set<CommandName>(['demo', 'history']);

void main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<void> {
  const { Argument, Command, CommanderError, InvalidArgumentError } = await import('commander');
  const { parseDuration } = await import('./duration.js');
  process.umask(0o022);
  let mayLeave = (_: StopSignal): boolean => true;
  const interruption = listenForSignals((signal) => {
    if (mayLeave(signal)) process.exit(SIGNALLED[signal]);
  });
  // a reader that went away is not our business: the command goes on without it
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

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

  const conclude = async (
    name: CommandName | null,
    run: (session: Session) => Promise<CommandResult>,
    tells = false,
  ): Promise<void> => {
    const { hold } = await import('./session.js');
    const { config, json, quiet, verbose, color } = program.opts<Options>();
    const given = {
      name,
      interruption,
      json: json === true,
      quiet: quiet === true,
      verbose: verbose === true,
      color: color !== false,
      tells,
      beforeLeaving: (act: typeof mayLeave): void => {
        mayLeave = act;
      },
    };
    const result = await hold(typeof config === 'string' ? { ...given, file: config } : given, run);
    process.exitCode = result.exit;
    if (interruption.terminalLost) blankStandardStreams();
  };
  const names: CommandName[] = [];
  const command = (name: CommandName, description: string, run: Run) => {
    names.push(name);
    return program
      .command(name)
      .description(description)
      .action(async (...given: unknown[]) => {
        const words = given.filter((one) => typeof one === 'string');
        const [app] = words;
        const options = given.find((one): one is Options => typeof one === 'object' && one !== null) ?? {};
        // elsewhere the exit code says how a deploy ended, or how things are, whoever reads the rest
        const tells = TELLING.has(name) || options['dryRun'] === true || options['print'] === true;
        await conclude(name, (session) => run(session, app, options, words), tells);
      });
  };
  const duration = (text: string): number => {
    const parsed = parseDuration(text);
    if (!parsed.ok) throw new InvalidArgumentError(`It ${parsed.what}: ${parsed.fix}`);
    return parsed.ms;
  };
  const oneOf =
    (...words: readonly string[]) =>
    (text: string): string => {
      if (!words.includes(text)) throw new InvalidArgumentError(`write ${words.join(' or ')}`);
      return text;
    };

  const swap = (name: 'deploy' | 'rollback', description: string) =>
    command(name, description, (session, app, options) =>
      session.withApp(app, async (opened) => {
        const { swap: run } = await import('./commands/swap.js');
        return run(opened, {
          command: name,
          dryRun: options['dryRun'] === true,
          waitLock: Number(options['waitLock']),
          ifChanged: options['ifChanged'] === true,
        });
      }),
    )
      .argument('[app]')
      .option('--dry-run', 'the plan, nothing touched')
      .option('--wait-lock <duration>', 'wait so long for another swap-pool to finish', duration, 0);

  swap('deploy', 'start, probe, switch, verify, drain, retire, stop').option(
    '--if-changed',
    'nothing to do when configuration and watched files are those of the last done deploy',
  );
  command('start', 'bring up what should serve; for boot', (session, app) =>
    session.withEach(app, async (opened) => {
      const { swap: run } = await import('./commands/swap.js');
      return run(opened, { command: 'start', dryRun: false, waitLock: 0, ifChanged: false });
    }),
  ).argument('[app]');
  swap('rollback', 'back to the slot that served before the last deploy');
  command('status', 'what /proc, the sockets, nginx and the journal say', (session, app, options) =>
    session.withFiles(app, async (files) => {
      const { status, watch } = await import('./commands/status.js');
      return options['watch'] === true ? watch(session, files) : status(session, files);
    }),
  )
    .argument('[app]')
    .option('-w, --watch', 'refresh until interrupted');
  command('recover', 'end what a dead or interrupted deploy left', (session, app, options) =>
    session.withEach(app, async (opened) => {
      const { recover } = await import('./commands/recover.js');
      return recover(opened, { now: options['now'] === true });
    }),
  )
    .argument('[app]')
    .option('--now', 'end a drain with requests in flight');
  command('history', 'past deploys', (session, app) =>
    session.withFiles(app, async (files) => {
      const { history } = await import('./commands/history.js');
      return history(session, files);
    }),
  ).argument('[app]');
  command('init', 'write the files of a new app, from a site as it is', (session, app, options) =>
    initCommand(session, app, options),
  )
    .argument('[app]')
    .option('--from <file>', 'the pool that serves now, such as /etc/php/8.2/fpm/pool.d/www.conf')
    .option('--section <name>', 'which pool, where that file has several')
    .option('--site <file>', 'the nginx site that sends requests to it')
    .option(
      '--manager <name>',
      'who starts the pools: systemd, init or direct',
      oneOf('systemd', 'init', 'direct'),
    )
    .option('--switch <way>', 'rewrite or symlink', oneOf('rewrite', 'symlink'), 'rewrite')
    .option('--probe <file>', 'a script that says whether the application works')
    .option('--binary <file>', 'php-fpm, where there are several')
    .option('--nginx-config <file>', "nginx's main configuration, where there are several")
    .option('--print', 'only show the files')
    .option('--yes', 'write without asking')
    .option('--force', 'replace what is there, and keep a backup')
    .option('--await-old', 'after the move: wait until the pool of --from serves nobody');
  command(
    'nginx',
    "the proxy's control script: the nginx that the apps name",
    async (session, word, options) => {
      const { nginx, refused } = await import('./commands/nginx.js');
      const verb = NGINX_VERBS.find((one) => one === word) ?? 'status';
      return session.withProxy(
        (proxy) => nginx(session, proxy, { verb, yes: options['yes'] === true }),
        (failure) => refused(verb, failure),
      );
    },
  )
    .addArgument(new Argument('<verb>').choices(NGINX_VERBS))
    .option('-y, --yes', 'do not ask');
  command('pool', "one slot's pool, as an init script would", async (session, _, options, words) => {
    const { pool } = await import('./commands/pool.js');
    return pool(session, words, {
      yes: options['yes'] === true,
      waitLock: Number(options['waitLock']),
    });
  })
    .argument('<verb>', 'start stop force-stop restart try-restart reload reopen-logs status')
    .argument('<slot>', 'blue or green')
    .argument('[app]')
    .option('-y, --yes', 'do it, although the pool serves the site')
    .option('--wait-lock <duration>', 'wait so long for another swap-pool to finish', duration, 0);
  command('doctor', 'every finding at once, each with what to do; changes nothing', (session, app, options) =>
    session.withClear(app, async (files, problem) => {
      const { doctor } = await import('./commands/doctor.js');
      return doctor(session, files, problem, { fix: options['fix'] === true, yes: options['yes'] === true });
    }),
  )
    .argument('[app]')
    .option('--fix', 'mend what is safe to: leftovers, and orphans that nobody is sent to')
    .option('-y, --yes', 'do not ask');
  command(
    'demo',
    'a sandbox: a private nginx, two pools, live load, deploys both ways, a verdict',
    async (session) => {
      const { demo } = await import('./commands/demo.js');
      return demo(session.surroundings, __filename);
    },
  );

  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // help was asked for and printed
    if (error.exitCode === 0) return;
    const detail =
      error.code === 'commander.help' ? 'no command given' : error.message.replace(/^error: /, '');
    // commander has found the command before what is wrong with its words
    const name = names.find((one) => one === program.args[0]) ?? null;
    await conclude(name, async () => {
      const { refusal } = await import('./commands/outcome.js');
      return refusal(name, { reason: 'usage', detail });
    });
  }
}

async function initCommand(
  session: Session,
  app: string | undefined,
  options: Options,
): Promise<CommandResult> {
  const { init } = await import('./commands/init.js');
  const text = (key: string): string | undefined => {
    const value = options[key];
    return typeof value === 'string' ? value : undefined;
  };
  const is = (key: string): boolean => options[key] === true;
  const wanted = {
    from: text('from'),
    section: text('section'),
    site: text('site'),
    manager: text('manager') as 'systemd' | 'init' | 'direct' | undefined,
    switch: text('switch') as 'rewrite' | 'symlink',
    probe: text('probe'),
    binary: text('binary'),
    nginxConfig: text('nginxConfig'),
    print: is('print'),
    yes: is('yes'),
    force: is('force'),
    awaitOld: is('awaitOld'),
  };
  return init(session, app, wanted, { program: __filename, node: process.execPath });
}
