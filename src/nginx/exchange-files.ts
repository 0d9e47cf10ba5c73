/**
 * Puts edited configuration files in place, all of them or none, and takes an exchange back without
 * overwriting what a person has written meanwhile.
 */
import { dirname } from 'node:path';
import { fail, ok } from '../event.js';
import type { Failure, Result, Warning } from '../event.js';
import { prepareReplace, readBytes, realPath, writable } from '../system/files.js';
import type { Prepared } from '../system/files.js';
import { applyEdits } from './edit.js';
import type { FileEdits } from './exchange.js';

/** Where it is said that a file is in place and not durable. */
export type Told = (warning: Warning) => void;

/** One file before and after. `path`: with all links resolved. */
export interface FileVersion {
  readonly path: string;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export function versionsOf(edits: readonly FileEdits[]): Result<readonly FileVersion[]> {
  const versions: FileVersion[] = [];
  for (const { file, edits: own } of edits) {
    const after = applyEdits(file.bytes, own);
    if (!after.ok) return after;
    versions.push({ path: file.real, before: file.bytes, after: after.value });
  }
  return ok(versions);
}

export const reversed = (versions: readonly FileVersion[]): readonly FileVersion[] =>
  versions.map(({ path, before, after }) => ({ path, before: after, after: before }));

/** Written and durable, in place with `commit`. */
interface Staged {
  /**
   * Compares every file once more with what was read (`config-changed`, nothing done), and puts all in place; when
   * one cannot be, those before it are put back (`config-unwritable`, or `stranded` when that fails too). One that is
   * in place and not durable is told: to put it back would ask the same disk for more.
   */
  commit(): Result<void>;
  discard(): void;
}

/** Writes every new version beside its file; fails with `config-unwritable`, and then leaves nothing behind. */
export function stage(versions: readonly FileVersion[], told?: Told): Result<Staged> {
  const staged: { readonly version: FileVersion; readonly prepared: Prepared }[] = [];
  const discard = (): void => {
    for (const { prepared } of staged) prepared.discard();
  };
  for (const version of versions) {
    const prepared = prepareReplace(version.path, version.after);
    if (!prepared.ok) {
      discard();
      return fail({ reason: 'config-unwritable', file: version.path, code: prepared.code });
    }
    staged.push({ version, prepared: prepared.value });
  }
  const commit = (): Result<void> => {
    const undo = (failure: Failure): Result<void> => {
      const inPlace = versions.filter(({ path, after }) => holds(path, after));
      discard();
      const back = inPlace.length === 0 ? ok(undefined) : replaceAll(reversed(inPlace), told);
      const detail = inPlace.map(({ path }) => path).join(', ');
      return fail(back.ok ? failure : { reason: 'stranded', detail, cause: failure });
    };
    const changed = versions.find(({ path, before }) => !holds(path, before));
    if (changed !== undefined) {
      discard();
      return fail({ reason: 'config-changed', file: changed.path });
    }
    for (const { version, prepared } of staged) {
      // those before it took a while to reach the disk
      if (!holds(version.path, version.before)) return undo({ reason: 'config-changed', file: version.path });
      const done = prepared.commit();
      if (!done.ok) return undo({ reason: 'config-unwritable', file: version.path, code: done.code });
      const { unsynced } = done.value;
      if (unsynced !== null) told?.({ reason: 'not-durable', path: version.path, code: unsynced });
    }
    return ok(undefined);
  };
  return ok({ commit, discard });
}

/** Whether new versions of these files could be put in their places: `config-unwritable` with the first that could not. */
export function mayReplace(files: readonly string[]): Result<void> {
  for (const file of files) {
    const real = realPath(file);
    const may = writable(dirname(real.ok ? real.value : file));
    if (!may.ok) return fail({ reason: 'config-unwritable', file, code: may.code });
  }
  return ok(undefined);
}

/** Stages and commits in one go. */
export function replaceAll(versions: readonly FileVersion[], told?: Told): Result<void> {
  const staged = stage(versions, told);
  return staged.ok ? staged.value.commit() : staged;
}

/** Whether a file's content is exactly this. */
export function holds(path: string, bytes: Uint8Array): boolean {
  const now = readBytes(path);
  return now.ok && now.value.equals(bytes);
}
