/**
 * Puts all files in place or none. What a kill leaves is whole files, each of which a second `init` finds to be
 * what it would write; the site, which sends requests elsewhere, comes last.
 */
import { dirname, join } from 'node:path';
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import {
  createFile,
  facts,
  makeFolder,
  prepareCreate,
  prepareReplace,
  readBytes,
  removeFile,
} from '../system/files.js';
import type { Io, Prepared } from '../system/files.js';

/** One file to be written. `before`: what stands there; null: nothing. `path` has no links. */
export interface Write {
  readonly path: string;
  readonly before: Uint8Array | null;
  readonly after: Uint8Array;
  readonly mode: number;
  /** Whose it is beside its owner, who makes it. Set: it may hold secrets, and nobody but `mode` and this group reads it. */
  readonly group?: number | undefined;
}

export interface Placed {
  /** In place and not durable: the disk did not let the folders settle. */
  readonly unsynced: readonly { readonly path: string; readonly code: string }[];
  /** Everything as it was before; what somebody else has changed since stays. */
  undo(): void;
}

/** Fails with `config-unwritable` or `config-changed`; then nothing is left of it. */
export function place(writes: readonly Write[], backup: string | null): Result<Placed> {
  const prepared: { readonly write: Write; readonly file: Prepared }[] = [];
  const done: Write[] = [];
  const unsynced: { readonly path: string; readonly code: string }[] = [];
  const undo = (): void => {
    for (const write of [...done].reverse()) {
      if (!holds(write.path, write.after)) continue;
      if (write.before === null) removeFile(write.path);
      else {
        const back = prepareReplace(write.path, write.before);
        if (back.ok) back.value.commit();
      }
    }
  };
  const giveUp = (write: Write, code: string): Result<never> => {
    for (const { file } of prepared) file.discard();
    undo();
    return code === CHANGED
      ? fail({ reason: 'config-changed', file: write.path })
      : fail({ reason: 'config-unwritable', file: write.path, code });
  };

  for (const write of writes) {
    const kept =
      write.before === null || backup === null ? null : keep(join(backup, write.path), write.before);
    if (kept?.ok === false) return giveUp(write, kept.code);
    const folder = makeFolder(dirname(write.path), 0o755);
    if (!folder.ok) return giveUp(write, folder.code);
    const file =
      write.before === null
        ? prepareCreate(write.path, write.after, write.mode, write.group)
        : prepareReplace(write.path, write.after, write.group === undefined ? undefined : write.mode);
    if (!file.ok) return giveUp(write, file.code);
    prepared.push({ write, file: file.value });
  }
  for (const { write, file } of prepared) {
    if (write.before !== null && !holds(write.path, write.before)) return giveUp(write, CHANGED);
    const committed = file.commit();
    if (!committed.ok) return giveUp(write, committed.code === 'EEXIST' ? CHANGED : committed.code);
    done.push(write);
    const { unsynced: code } = committed.value;
    if (code !== null) unsynced.push({ path: write.path, code });
  }
  return ok({ unsynced, undo });
}

const CHANGED = 'changed';

const holds = (path: string, bytes: Uint8Array): boolean => {
  const now = readBytes(path);
  return now.ok && now.value.equals(bytes);
};

/** Of a site's secrets nobody learns more by the copy than by the file: its folder is root's alone. */
function keep(path: string, bytes: Uint8Array): Io<void> {
  const folder = makeFolder(dirname(path), 0o700);
  if (!folder.ok) return folder;
  return facts(path).ok ? { ok: true, value: undefined } : createFile(path, bytes, 0o600);
}
