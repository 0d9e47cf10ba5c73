/**
 * One call of swap-pool, from its first event to its result: whom it is about, who hears of it,
 * and how it ends. Knows no argv and no exit code's bearer; cli.ts does.
 */
import { userInfo } from 'node:os';
import { refusal } from './commands/outcome.js';
import { newApp, selectApp, selectEach } from './config/apps.js';
import type { AppFile } from './config/apps.js';
import type { App, Opening, Past, Proxy, Surroundings } from './context.js';
import type { Interruption } from './deploy/deploy.js';
import type { Patient } from './doctor/subject.js';
import { fail, ok, SIGNALLED } from './event.js';
import type {
  CommandName,
  CommandResult,
  EventBody,
  Failure,
  Question,
  Result,
  StopSignal,
} from './event.js';
import { timestamp } from './system/clock.js';
import { places } from './system/places.js';
import { createReporter } from './ui/reporter.js';

/** What the command line says besides the command. */
export interface Given {
  readonly name: CommandName | null;
  /** `-c FILE` */
  readonly file?: string | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
  /** To tell is all that the command is for, and its exit code says nothing else. */
  readonly tells: boolean;
  readonly interruption: Interruption;
  /** What is to be done before a second signal ends the process at once; false: the command has ended by itself. */
  beforeLeaving(act: (signal: StopSignal) => boolean): void;
}

/** What a command's runner gets. */
export interface Session {
  readonly surroundings: Surroundings;
  /** Runs with the one app that is meant, opened. */
  withApp(app: string | undefined, run: (app: App) => Promise<CommandResult>): Promise<CommandResult>;
  /** Runs with the files of the app that is meant, or of all. */
  withFiles(
    app: string | undefined,
    run: (files: readonly AppFile[]) => Promise<CommandResult>,
  ): Promise<CommandResult>;
  /** The same, but a file in the folder that is no app's does not hide those that are. */
  withClear(
    app: string | undefined,
    run: (files: readonly AppFile[], problem: Failure | null) => Promise<CommandResult>,
  ): Promise<CommandResult>;
  /**
   * Runs with each of them in turn, whatever became of the one before. Each has its result; the worst of them comes
   * last, and is the command's.
   */
  withEach(
    app: string | undefined,
    run: (app: App) => Promise<CommandResult>,
    how?: Opening,
  ): Promise<CommandResult>;
  /**
   * Runs with the one proxy that the apps name, as far as these can be read; no pool is asked. `refused`: how it ends
   * where that cannot be told.
   */
  withProxy(
    run: (proxy: Proxy) => Promise<CommandResult>,
    refused: (failure: Failure) => CommandResult,
  ): Promise<CommandResult>;
  /**
   * Asks, at a terminal: `declined` without a yes, `answer-needed` where there is nobody to ask. `about`: whose
   * question it is, where the command has several apps.
   */
  confirm(question: Question, about?: string): Promise<Result<void>>;
  /** The file of an app that is yet to be written. */
  newFile(app: string | undefined): Result<AppFile>;
  /** Opens one app; its pools are asked what they are. */
  open(file: AppFile, how?: Opening): Promise<Result<App>>;
  /** One app's journals alone, for commands that ask neither pools nor nginx. */
  past(file: AppFile): Promise<Past>;
  /** Says what is wrong with one of several apps. */
  tell(app: string | null, failure: Failure): void;
  /** Some apps as far as they can be opened, for doctor. */
  patients(files: readonly AppFile[]): Promise<readonly Omit<Patient, 'past'>[]>;
  /** Shows a result that is not the last one. */
  show(result: CommandResult): void;
}

/** How one of several apps ended. */
interface Turned {
  readonly app: string;
  readonly deploy: string | null;
  readonly result: CommandResult;
}

/**
 * Runs a command, reports what happens, and gives back its result, which is also the last thing
 * reported. A throw is a bug of ours and becomes one in the result.
 */
export async function hold(
  given: Given,
  run: (session: Session) => Promise<CommandResult>,
): Promise<CommandResult> {
  const reporter = await createReporter({
    ...given,
    stdout: process.stdout,
    stderr: process.stderr,
    isTty: process.stdout.isTTY,
    env: process.env,
  });
  let app: string | null = null;
  let deploy: string | null = null;
  const say = (body: EventBody, about = app, id = deploy): void => {
    reporter.emit({ ...body, time: timestamp(), app: about, ...(id === null ? {} : { deploy: id }) });
  };
  const surroundings: Surroundings = {
    env: process.env,
    uid: process.getuid?.() ?? -1,
    // a name service is asked only for who takes a lock or begins a deploy: it may be far away
    get who() {
      return process.env['SUDO_USER'] ?? callerName();
    },
    command: `swap-pool ${given.name ?? ''}`,
    interruption: given.interruption,
    emit: (event) => {
      deploy = event.deploy ?? null;
      reporter.emit(event);
    },
  };
  const { name, file } = given;
  // whoever reads the last line is told how it ended, also when it was told twice to go
  given.beforeLeaving((signal) => {
    const failure: Failure = { reason: 'interrupted', signal, atOnce: true };
    say({ type: 'failure', failure });
    say({
      type: 'result',
      result: { command: name, outcome: 'interrupted', exit: SIGNALLED[signal], failure },
    });
    reporter.close();
    return true;
  });
  const folder = places(surroundings.env, surroundings.uid).config;
  const open = async (one: AppFile, how?: Opening): Promise<Result<App>> => {
    const { openApp } = await import('./context.js');
    return openApp(one.file, surroundings, how);
  };
  const runIn = async (
    one: AppFile,
    act: (app: App) => Promise<CommandResult>,
    how?: Opening,
  ): Promise<CommandResult> => {
    const opened = await open(one, how);
    return opened.ok ? act(opened.value) : refusal(name, opened.failure);
  };
  const session: Session = {
    surroundings,
    withApp: async (wanted, act) => {
      const found = selectApp({ folder, name: wanted, file });
      if (!found.ok) return refusal(name, found.failure);
      app = found.value.app;
      return runIn(found.value, act);
    },
    withClear: async (wanted, act) => {
      const found = selectEach({ folder, name: wanted, file });
      if (!found.ok) return refusal(name, found.failure);
      const { apps, misnamed } = found.value;
      if (apps.length === 1 && misnamed === null) app = apps[0]?.app ?? null;
      return act(apps, misnamed);
    },
    withFiles: (wanted, act) =>
      session.withClear(wanted, async (apps, misnamed) => {
        const result = await act(apps);
        if (misnamed === null) return result;
        const last = refusal(name, misnamed);
        const [worse, other] = result.exit >= last.exit ? [result, last] : [{ ...result, ...last }, result];
        if (other.failure !== undefined) say({ type: 'failure', failure: other.failure });
        return worse;
      }),
    withEach: (wanted, act, how) =>
      session.withFiles(wanted, async (files) => {
        let worst: Turned | null = null;
        for (const one of files) {
          deploy = null;
          const result = await runIn(one, act, how);
          if (files.length > 1 && result.failure !== undefined) {
            say({ type: 'failure', failure: result.failure }, one.app);
          }
          const ended: Turned = { app: one.app, deploy, result };
          const isWorst: boolean = result.exit >= (worst?.result.exit ?? 0);
          const over = isWorst ? worst : ended;
          if (over !== null) say({ type: 'result', result: over.result }, over.app, over.deploy);
          if (isWorst) worst = ended;
        }
        if (worst === null) return { command: name, outcome: 'unchanged', exit: 0 };
        ({ app, deploy } = worst);
        return worst.result;
      }),
    withProxy: async (act, refused) => {
      const found = selectEach({ folder, name: undefined, file });
      if (!found.ok) return refused(found.failure);
      const { apps, misnamed } = found.value;
      const leaveOut = (about: string | null, cause: Failure): void => {
        say({ type: 'warning', warning: { reason: 'app-left-out', cause } }, about);
      };
      if (misnamed !== null) leaveOut(null, misnamed);
      const { openProxy } = await import('./context.js');
      const proxy = await openProxy(apps, surroundings, leaveOut);
      return proxy.ok ? act(proxy.value) : refused(proxy.failure);
    },
    confirm: async (question, about) => {
      if (given.json || !process.stdin.isTTY || !process.stderr.isTTY)
        return fail({ reason: 'answer-needed', question });
      const { ask } = await import('./ui/ask.js');
      const { signal } = given.interruption;
      const yes = await ask(question, about ?? app, { input: process.stdin, output: process.stderr, signal });
      const { requested } = given.interruption;
      if (requested !== null) return fail({ reason: 'interrupted', signal: requested, during: 'question' });
      return yes ? ok(undefined) : fail({ reason: 'declined', question });
    },
    newFile: (wanted) => {
      const found = newApp({ folder, name: wanted, file });
      if (found.ok) app = found.value.app;
      return found;
    },
    open,
    past: async (one) => {
      const { openPast } = await import('./context.js');
      return openPast(one, surroundings);
    },
    tell: (about, failure) => {
      say({ type: 'failure', failure }, about);
    },
    patients: async (all) => {
      const { openPatients } = await import('./context.js');
      return openPatients(all, surroundings);
    },
    show: (result) => {
      say({ type: 'result', result });
    },
  };
  const result = await run(session).catch((error: unknown): CommandResult => {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { command: name, outcome: 'refused', exit: 70, failure: { reason: 'bug', detail } };
  });
  given.beforeLeaving(() => false);
  if (result.failure !== undefined) say({ type: 'failure', failure: result.failure });
  say({ type: 'result', result });
  reporter.close();
  const code = await reporter.lost();
  if (code === null) return result;
  if (!given.tells || result.exit !== 0) {
    say({ type: 'warning', warning: { reason: 'output-lost', code } });
    return result;
  }
  const failure: Failure = { reason: 'output-lost', code };
  say({ type: 'failure', failure });
  return { ...result, exit: 1, failure };
}

/** The caller as the name service knows it, LDAP included; a uid that nobody named (a container's) stays a number. */
function callerName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '?');
  }
}
