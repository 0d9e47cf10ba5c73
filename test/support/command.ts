/** Runs of the program as its users run it: the bundle, in a process and a session of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { waitUntil } from '../../src/system/clock.js';
import { PATIENCE } from './limits.js';

/** The bundle; RIG_PROGRAM names another one, as an installed package's. */
export const PROGRAM = resolve(process.env['RIG_PROGRAM'] ?? 'dist/swap-pool.cjs');
const DIE_AT = resolve('test/support/die-at.cjs');
/** COVERAGE, a folder: every run of the program writes there which of its lines ran. See scripts/coverage.mjs. */
const COVER = process.env['COVERAGE'] === undefined ? [] : ['--require', resolve('test/support/cover.cjs')];

/** The bundle as nobody runs it, as argv: a copy of it in `folder`, for the bundle itself may stand where nobody else may walk. */
export function programOfNobody(folder: string): readonly string[] {
  cpSync(dirname(PROGRAM), folder, { recursive: true });
  const nobody = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  return [...nobody, process.execPath, join(folder, basename(PROGRAM))];
}

/** One line of `--json`; its keys are what a test looks for. */
export interface Line {
  readonly type: string;
  readonly [key: string]: unknown;
}

export interface Run {
  /** null: ended by a signal. */
  readonly exit: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The lines of stdout that are JSON objects. */
  readonly events: readonly Line[];
  /** The last of them, if it is a result; else an empty one, on which every expectation fails. */
  readonly result: Line;
}

/** After the Nth record of the journal, before the one that follows, or after the Kth change between the two. */
export type DeathPoint =
  | { readonly when: 'written' | 'next'; readonly record: number }
  | { readonly when: 'act'; readonly record: number; readonly change: number };

export interface CommandOptions {
  /** Over PATH, LANG and the sandbox's own; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Default: true. */
  readonly json?: boolean;
  /** Nobody reads stdout: it is closed as soon as the program runs. */
  readonly closeStdout?: boolean;
  /** SIGKILL to itself at a point of its journal: see die-at.cjs. */
  readonly dieAt?: DeathPoint;
  /** Another program than the bundle, as argv. */
  readonly program?: readonly string[];
}

/** Holds one running program. */
export class Command {
  stdout = '';
  stderr = '';
  readonly end: Promise<Run>;
  private readonly child: ChildProcess;
  private ended = false;

  constructor(args: readonly string[], options: CommandOptions = {}) {
    const { json = true, dieAt } = options;
    const program = options.program ?? [
      process.execPath,
      ...COVER,
      ...(dieAt === undefined ? [] : ['--require', DIE_AT]),
      PROGRAM,
    ];
    const [file = '', ...before] = program;
    this.child = spawn(file, [...before, ...args, ...(json ? ['--json'] : [])], {
      cwd: options.cwd ?? '/',
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: '/usr/bin:/bin',
        LANG: 'C.UTF-8',
        ...(program.includes(PROGRAM) && COVER.length > 0 ? { COVERAGE: process.env['COVERAGE'] } : {}),
        ...(dieAt === undefined ? {} : { RIG_DIE: Object.values(dieAt).join(':') }),
        ...options.env,
      },
    });
    this.child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    if (options.closeStdout === true) this.child.stdout?.destroy();
    this.end = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (exit, signal) => {
        this.ended = true;
        const events = this.events();
        const last = events.at(-1);
        const result = last?.type === 'result' ? last : { type: 'none' };
        resolve({ exit, signal, stdout: this.stdout, stderr: this.stderr, events, result });
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get running(): boolean {
    return !this.ended;
  }

  /** The lines so far. */
  events(): Line[] {
    return this.stdout.split('\n').flatMap((line) => {
      try {
        const value = JSON.parse(line) as Line | null;
        return typeof value?.type === 'string' ? [value] : [];
      } catch {
        return [];
      }
    });
  }

  /** Waits for a line; throws when the program ends or the deadline passes without it. */
  async until(what: (line: Line) => boolean, deadline = PATIENCE): Promise<Line> {
    const seen = await waitUntil(() => this.events().find(what) ?? (this.ended ? null : undefined), {
      deadline,
      pace: () => 2,
    });
    if (seen.kind === 'seen' && seen.value !== null) return seen.value;
    throw new Error(`the line did not come:\n${this.stdout}${this.stderr}`);
  }

  /** Waits until a step has begun (or, with `done`, has ended). */
  untilStep(step: string, type: 'step-started' | 'step-done' | 'progress' = 'step-started'): Promise<Line> {
    return this.until((line) => line.type === type && line['step'] === step);
  }

  /** Nobody reads any more what it says from now on. */
  closeReaders(): void {
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
  }

  /** Signals the program alone. */
  kill(signal: NodeJS.Signals): void {
    if (!this.ended) this.child.kill(signal);
  }

  /** Signals its whole process group, as a CI runner or a closing terminal does. */
  killGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
