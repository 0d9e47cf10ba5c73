/**
 * Every program that swap-pool runs is run here: an argv array, an absolute path,
 * an environment made from nothing, never a shell, PATH never searched.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { after } from './clock.js';

export interface Ran {
  /** null: ended by a signal, or could not be run at all. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Why there is no status: the signal's name, ENOENT, EACCES, `timeout`. */
  readonly failure: string | null;
}

/** How a program ended whose output is not ours to read. */
export type Ended = Pick<Ran, 'status' | 'failure'>;

export interface RunOptions {
  /** The whole environment, beside PATH and LANG. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Ends the program after so many ms: `failure` is then `timeout`. */
  readonly timeout?: number;
  /** Ends the program early. */
  readonly signal?: AbortSignal | undefined;
  /** Hears every whole line of its stdout as it comes. */
  readonly onLine?: (line: string) => void;
}

/** What every child gets, and all it gets of the ordinary environment. */
export const BASE_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};

/**
 * Runs a program to its end. It runs in a session of its own: a Ctrl-C at our terminal
 * is for us to answer, not for a half-done `nginx -t`.
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  // who has nothing to run does not wait until it is loaded
  const { execa } = await import('execa');
  const [file = '', ...rest] = argv;
  const child = execa(file, rest, {
    reject: false,
    extendEnv: false,
    env: { ...BASE_ENVIRONMENT, ...options.env },
    cwd: options.cwd ?? '/',
    detached: true,
    stripFinalNewline: false,
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  if (options.onLine !== undefined) eachLine(child.stdout, options.onLine);
  const result = await child;
  return {
    status: result.exitCode ?? null,
    stdout: text(result.stdout),
    stderr: text(result.stderr),
    failure:
      result.exitCode !== undefined
        ? null
        : result.timedOut
          ? 'timeout'
          : (result.signal ?? result.code ?? result.shortMessage ?? 'unknown'),
  };
}

/**
 * Runs a program of which only the exit status is of interest, with a descriptor of ours as its
 * own 3. Not by execa: this is for flock, which every deploy runs several times and which takes less
 * time than execa's preparations.
 */
export function runSilent(
  argv: readonly string[],
  { descriptor, signal }: { readonly descriptor: number; readonly signal?: AbortSignal | undefined },
): Promise<Ended> {
  const [file = '', ...rest] = argv;
  return end(
    spawn(file, rest, {
      env: BASE_ENVIRONMENT,
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', descriptor],
      ...(signal === undefined ? {} : { signal }),
    }),
  );
}

export interface LaunchOptions {
  readonly env: Readonly<Record<string, string>>;
  /** A descriptor that becomes the program's stdout and stderr: a file, so that nobody has to go on reading. */
  readonly output: number;
  /** Descriptors that we have inherited and the program must not: they become `blank` there. */
  readonly blanked: readonly number[];
  /** An open /dev/null. */
  readonly blank: number;
  readonly timeout: number;
}

/** A program that was launched and may have ended since. */
export interface Launched {
  /** null: it could not be run at all. */
  readonly pid: number | null;
  readonly end: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
  /** Nobody waits for its end any more: it lives on when we end. */
  release(): void;
}

/**
 * Starts a program that leaves a daemon behind, or becomes one: own session, cwd /, and nothing
 * of ours but the descriptor for its output.
 *
 * Not by execa: it would end the program together with us, which it must outlive, and it takes
 * quadratic time over a table of descriptors that a caller can make thousands long.
 */
export function begin(argv: readonly string[], options: Omit<LaunchOptions, 'timeout'>): Launched {
  const [file = '', ...rest] = argv;
  const stdio: ('ignore' | number)[] = [options.blank, options.output, options.output];
  // node cannot close a descriptor in a child, but it can put another file in its place
  for (const fd of options.blanked) {
    while (stdio.length <= fd) stdio.push('ignore');
    stdio[fd] = options.blank;
  }
  const child = spawn(file, rest, { env: { ...options.env }, cwd: '/', detached: true, stdio });
  return {
    pid: child.pid ?? null,
    end: end(child),
    kill: (signal) => {
      child.kill(signal);
    },
    release: () => {
      child.unref();
    },
  };
}

/** Launches a program and waits for the program, not for the daemon: TERM when its time is over. */
export function launch(argv: readonly string[], options: LaunchOptions): Promise<Ended> {
  const launched = begin(argv, options);
  return new Promise((resolve) => {
    const cancel = after(options.timeout, () => {
      launched.kill('SIGTERM');
      resolve({ status: null, failure: 'timeout' });
    });
    void launched.end.then((ended) => {
      cancel();
      resolve(ended);
    });
  });
}

/** How a program ended that was not run by execa. */
const end = (child: ChildProcess): Promise<Ended> =>
  new Promise((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      resolve({ status: null, failure: error.code ?? error.message });
    });
    child.on('exit', (status, signal) => {
      resolve({ status, failure: signal });
    });
  });

function eachLine(stream: NodeJS.ReadableStream | null, tell: (line: string) => void): void {
  let rest = '';
  stream?.on('data', (chunk: Buffer | string) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(tell);
  });
}

const text = (output: unknown): string => (typeof output === 'string' ? output : '');
