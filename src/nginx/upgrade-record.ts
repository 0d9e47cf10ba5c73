/**
 * That an upgrade of nginx's binary is ours, and how far it may have come. What became of it the world tells:
 * who lives, who is whose child, who has workers. It does not tell whether a person is at it, nor whether a
 * WINCH was on its way when we died.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result } from '../event.js';
import { createFile, readOwn, removeFile, rename } from '../system/files.js';

export interface BegunUpgrade {
  readonly old: ProcessId;
  /** What it was to run anew. */
  readonly program: string;
  readonly pidfile: string;
  /** How many workers it had. */
  readonly workers: number;
  /** What may have been done last: USR2, WINCH, QUIT to the old master, or the way back. */
  readonly stage: 'start' | 'leave' | 'end' | 'back';
}

export interface UpgradeRecord {
  read(): BegunUpgrade | null;
  /** Both under the proxy's lock. `state-unwritable`. */
  write(begun: BegunUpgrade): Result<void>;
  remove(): void;
}

/** `path`: in a folder that nobody else may write, gone with the boot like the masters it names. */
export function createUpgradeRecord(path: string): UpgradeRecord {
  const next = `${path}.new`;
  return {
    read: () => {
      const text = readOwn(path);
      return text.ok ? parse(text.value) : null;
    },
    write: (begun) => {
      removeFile(next);
      const made = createFile(next, `${JSON.stringify(begun)}\n`, 0o600);
      const done = made.ok ? rename(next, path) : made;
      return done.ok ? ok(undefined) : fail({ reason: 'state-unwritable', path, code: done.code });
    },
    remove: () => {
      // of a death while it was written
      removeFile(next);
      removeFile(path);
    },
  };
}

function parse(text: string): BegunUpgrade | null {
  try {
    const value = JSON.parse(text) as Partial<BegunUpgrade> | null;
    const known = typeof value?.old?.pid === 'number' && typeof value.old.boot === 'string';
    const named = typeof value?.program === 'string' && typeof value.pidfile === 'string';
    return known && named && typeof value.workers === 'number' && STAGES.has(value.stage)
      ? (value as BegunUpgrade)
      : null;
  } catch {
    return null;
  }
}
const STAGES: ReadonlySet<unknown> = new Set<BegunUpgrade['stage']>(['start', 'leave', 'end', 'back']);
