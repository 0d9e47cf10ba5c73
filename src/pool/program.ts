/**
 * Programs that start and stop pools: run so that they outlive us where they must and inherit nothing of
 * us. A session of their own, cwd /, a clean environment, no descriptor above 2; what they print goes into a
 * file, for nobody may be left to read a pipe, and whatever they leave behind would keep one open.
 */
import { dirname, join } from 'node:path';
import { fail, ok } from '../event.js';
import type { ProcessId, Result, Slot, Warning } from '../event.js';
import { after } from '../system/clock.js';
import { BASE_ENVIRONMENT, begin } from '../system/exec.js';
import type { Ended, Launched } from '../system/exec.js';
import { close, makeFolder, openNull, openOutput, readTail } from '../system/files.js';
import { inheritableDescriptors, isAlive, sessionOf } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { PoolSlot } from './slots.js';
import { signals, stopLife } from './stop.js';
import type { Rung } from './stop.js';

export interface Program {
  readonly slot: Slot;
  readonly command: readonly string[];
  /** Beside PATH and LANG. */
  readonly env: Readonly<Record<string, string>>;
  /** The file its words go to; made, or emptied. */
  readonly output: string;
  /** Asked when it has said 0: may what it has left behind have to be ended? */
  readonly lingers?: () => boolean;
}

/** Starts it; `state-unwritable` when there is nowhere for its words. `close` when it is no longer waited for. */
export function launchProgram(
  fs: Procfs,
  { command, env, output: path, lingers = () => false }: Program,
): Result<{ readonly launched: Launched; readonly session: OwnSession; readonly close: () => void }> {
  const unwritable = (code: string): Result<never> => fail({ reason: 'state-unwritable', path, code });
  const made = makeFolder(dirname(path), 0o700);
  if (!made.ok) return unwritable(made.code);
  const output = openOutput(path);
  if (!output.ok) return unwritable(output.code);
  const blank = openNull();
  const launched = begin(command, {
    env: { ...BASE_ENVIRONMENT, ...env },
    output: output.value,
    blanked: inheritableDescriptors(fs),
    blank,
  });
  const session = ownSession(fs, launched.pid);
  // a look at every process there is: only where it may be asked for
  void launched.end.then(({ status }) => {
    session.leaderEnded(status !== 0 || lingers());
  });
  return ok({
    launched,
    session,
    close: () => {
      launched.release();
      close(blank);
      close(output.value);
    },
  });
}

/** The session that a program was launched in. */
export interface OwnSession {
  /** To be called the moment the program's end is known. `leaves`: it may have left somebody behind. */
  leaderEnded(leaves: boolean): void;
  /** Who is in it, for sure. */
  members(): readonly ProcessId[];
}

/**
 * A session has the pid of its leader for a number. Nobody else can get it while the leader is not reaped, which
 * node does right before it tells of its end, nor afterwards while somebody is left in the session. So whoever is
 * in it is ours as long as somebody is who was seen in it before; once nobody is, the number may be a stranger's.
 */
export function ownSession(fs: Procfs, leader: number | null): OwnSession {
  const now = (): readonly ProcessId[] => (leader === null ? [] : sessionOf(fs, leader));
  let seen: readonly ProcessId[] | null = null;
  return {
    leaderEnded: (leaves) => {
      seen = leaves ? now() : [];
    },
    members: () => {
      if (seen === null) return now();
      const found = now();
      // looked at after the others: whoever lives still has held the number until now
      seen = seen.some((id) => isAlive(fs, id)) ? found : [];
      return seen;
    },
  };
}

/** Ends everyone of the session that a program was launched in: TERM, then KILL. */
export async function endSession(fs: Procfs, slot: Slot, session: OwnSession): Promise<void> {
  const members = session.members();
  if (members.length === 0) return;
  const people = (): readonly ProcessId[] => session.members();
  const ladder = signals(fs, null, ['SIGTERM', 'SIGKILL']);
  const told = (): void => undefined;
  await stopLife(fs, { master: null, workers: members }, { slot, timeout: 1000, told, people, ladder });
}

/** A stop as a program to be run. */
export const stopOf = ({ slot, env }: PoolSlot, folder: string, command: readonly string[]): Program => ({
  slot,
  env,
  command,
  output: join(folder, `stop-${slot}.log`),
});

/** A program that stops a pool, as a rung: what goes wrong with it is told, the next rung follows. */
export const runStop =
  (fs: Procfs, program: Program, told: (warning: Warning) => void): Rung['tell'] =>
  async (_: readonly ProcessId[], ms: number) => {
    const { slot, command, output } = program;
    const running = launchProgram(fs, program);
    const failed = (status: number | null, why: string | null): null => {
      const tail = readTail(output, 0, 4096);
      const words = tail.ok ? tail.value.toString('utf8').trim() : '';
      told({
        reason: 'stop-command-failed',
        slot,
        command,
        status,
        output: [why, words].filter(Boolean).join('\n'),
      });
      return null;
    };
    // nowhere for its words: signals will do
    if (!running.ok) return null;
    const { launched, session } = running.value;
    try {
      const { status, failure } = await bounded(launched.end, ms);
      if (failure === 'timeout') await endSession(fs, slot, session);
      return status === 0 ? null : failed(status, failure);
    } finally {
      running.value.close();
    }
  };

function bounded(end: Promise<Ended>, ms: number): Promise<Ended> {
  return new Promise((resolve) => {
    const cancel = after(ms, () => {
      resolve({ status: null, failure: 'timeout' });
    });
    void end.then((ended) => {
      cancel();
      resolve(ended);
    });
  });
}
