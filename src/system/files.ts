/**
 * Files that survive a power cut and are never seen half-written: atomic replace,
 * durable append, symlink replace.
 *
 * Durable means: write, fsync, rename, fsync the folder. A temporary file stands in the
 * folder of what it replaces (rename does not cross file systems), is made with O_EXCL
 * (nothing planted there is followed) and begins with a dot, so that neither `*.conf` nor
 * `sites-enabled/*` includes it.
 *
 * The functions are synchronous on purpose: swap-pool has nothing else to do meanwhile,
 * and user.ts changes the process's user between awaits.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import fse from 'fs-extra';

const { constants } = fs;

/** An errno name, as `ENOSPC`; anything that is not an I/O error is thrown on. */
export function errorCode(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof Error && typeof code === 'string') return code;
  throw error;
}

export type Io<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly code: string };

/** Runs one I/O act; its errno is a value. */
function io<T>(act: () => T): Io<T> {
  try {
    return { ok: true, value: act() };
  } catch (error) {
    return { ok: false, code: errorCode(error) };
  }
}

/** What a file holds; of nothing but a file (EINVAL): opening a FIFO would wait for its writer, reading a terminal for its user. */
export const readBytes = (path: string): Io<Buffer> => io(() => readPlain(path, 0));
export const readText = (path: string): Io<string> => io(() => readPlain(path, 0).toString('utf8'));
/** The text of a file that is swap-pool's own: never through a link (ELOOP). */
export const readOwn = (path: string): Io<string> =>
  io(() => readPlain(path, constants.O_NOFOLLOW).toString('utf8'));

function readPlain(path: string, flags: number): Buffer {
  const fd = fs.openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | flags);
  try {
    const stat = fs.fstatSync(fd);
    // a folder's own error is EISDIR
    if (!stat.isFile() && !stat.isDirectory() && !isNull(stat)) throw systemError('EINVAL', path);
    return fs.readFileSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** /dev/null, which holds nothing wherever it is included (null(4)). */
const isNull = (stat: fs.Stats): boolean => stat.isCharacterDevice() && stat.rdev === 0x103;

export const realPath = (path: string): Io<string> => io(() => fs.realpathSync(path));
export const exists = (path: string): boolean => fs.existsSync(path);

/**
 * Whether this process could make files in a folder: its mode, its owner, its file system and its immutable flag
 * allow it (access(2), which changes nothing). Room is another question.
 */
export const writable = (folder: string): Io<void> =>
  io(() => {
    fs.accessSync(folder, constants.W_OK | constants.X_OK);
  });

/** Bytes that this process may still take in the file system of a path; 0 where it has no inode left. */
export const roomAt = (path: string): Io<number> =>
  io(() => {
    const { bavail, bsize, files, ffree } = fs.statfsSync(path);
    return files > 0 && ffree === 0 ? 0 : bavail * bsize;
  });

export interface FileFacts {
  readonly kind: 'file' | 'folder' | 'link' | 'socket' | 'other';
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly size: number;
  readonly inode: number;
  /** The later of content and status change, ms since the epoch: a file moved into place keeps its old mtime. */
  readonly changed: number;
  /** Of content alone, as far as that is known: a new owner or mode leaves it as it was. */
  readonly written: number;
}

/** What stands at a path, a link itself and not where it leads. */
export const facts = (path: string): Io<FileFacts> => io(() => toFacts(fs.lstatSync(path)));
/** Of what stands at a path, links not followed, bytes. */
export const sizeOf = (path: string): Io<number> => io(() => fs.lstatSync(path).size);
/** What stands at the end of a path's links. */
export const factsThroughLinks = (path: string): Io<FileFacts> => io(() => toFacts(fs.statSync(path)));
/**
 * Which file stands at a path, a link itself and not where it leads; null: none. An inode number alone is given
 * away again; the time of birth tells two lives of it apart.
 */
export function fileIdentity(path: string): string | null {
  const found = io(() => fs.lstatSync(path, { bigint: true }));
  return found.ok ? `${found.value.dev}:${found.value.ino}:${found.value.birthtimeNs}` : null;
}
export const readLink = (path: string): Io<string> => io(() => fs.readlinkSync(path));
export const list = (folder: string): Io<string[]> => io(() => fs.readdirSync(folder).sort());

/**
 * Tries to open a unix socket's file for writing, which never succeeds: ENXIO says that only its being a socket
 * stood in the way (open(2)), EACCES that the caller may not write to it, and so may not connect (unix(7)).
 */
export function openSocketFile(path: string): string {
  const opened = io(() => fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK));
  if (!opened.ok) return opened.code;
  fs.closeSync(opened.value);
  return 'OK';
}

/** Makes a folder and those above it; `mode` is for the last, when it is new. */
export const makeFolder = (path: string, mode: number): Io<void> =>
  io(() => {
    if (fs.existsSync(path)) return;
    fse.ensureDirSync(dirname(path));
    const made = io(() => {
      fs.mkdirSync(path, mode);
    });
    if (made.ok) fs.chmodSync(path, mode);
    // another swap-pool was faster; a dangling link is none, and stays what it is
    else if (made.code !== 'EEXIST' || !fs.existsSync(path)) throw systemError(made.code, path);
  });

/** Removes a file (never a folder); fine when there is none. */
export const removeFile = (path: string): Io<void> =>
  io(() => {
    try {
      fs.unlinkSync(path);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  });

export const removeFolder = (path: string): Io<void> =>
  io(() => {
    fse.removeSync(path);
  });
/** Not durable: for a socket, which no power cut outlives, and for what whoever reads it can do without. */
export const rename = (from: string, to: string): Io<void> =>
  io(() => {
    fs.renameSync(from, to);
  });

/** Gives a file another name in the same file system, never over one that exists (EEXIST). Not durable. */
export const renameToFree = (from: string, to: string): Io<void> =>
  io(() => {
    fs.linkSync(from, to);
    fs.unlinkSync(from);
  });

/** Whether two paths lead to one file; false when one of them leads nowhere. */
export const isSameFile = (a: string, b: string): boolean => {
  const [first, second] = [io(() => fs.statSync(a)), io(() => fs.statSync(b))];
  return (
    first.ok && second.ok && first.value.ino === second.value.ino && first.value.dev === second.value.dev
  );
};

/** At most the last `most` bytes of what a file holds from `offset` on; empty when it is shorter. */
export const readTail = (path: string, offset: number, most: number): Io<Buffer> =>
  io(() => {
    const fd = fs.openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const size = fs.fstatSync(fd).size;
      const from = Math.max(offset, size - most, 0);
      const bytes = Buffer.alloc(Math.max(0, size - from));
      const got = bytes.length === 0 ? 0 : fs.readSync(fd, bytes, 0, bytes.length, from);
      return bytes.subarray(0, got);
    } finally {
      fs.closeSync(fd);
    }
  });

/** Makes a new link; EEXIST when something stands there. */
export const makeLink = (path: string, target: string): Io<void> =>
  io(() => {
    fs.symlinkSync(target, path);
  });

/** Writes a new file; EEXIST when something stands there already, a dangling link included. */
export const createFile = (path: string, content: string | Uint8Array, mode: number): Io<void> =>
  io(() => {
    const fd = fs.openSync(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      mode,
    );
    try {
      writeAll(fd, Buffer.from(content), 0);
    } finally {
      fs.closeSync(fd);
    }
  });

/** Opens for an append-like output of a child; 0600, never through a link, and never waiting for a FIFO's reader. */
export const openOutput = (path: string): Io<number> =>
  io(() =>
    fs.openSync(
      path,
      constants.O_WRONLY |
        constants.O_CREAT |
        constants.O_TRUNC |
        constants.O_APPEND |
        constants.O_NOFOLLOW |
        constants.O_NONBLOCK,
      0o600,
    ),
  );
export const openNull = (): number => fs.openSync('/dev/null', constants.O_RDWR);
export const close = (fd: number): void => {
  fs.closeSync(fd);
};

/** A private folder under the system's temporary one, 0700. */
export const privateFolder = (base: string, prefix: string): string => fs.mkdtempSync(join(base, prefix));

// ---------------------------------------------------------------- atomic replace

/**
 * In place: everybody who opens the name meets what is new. `unsynced`: the folder did not become durable, and why;
 * a power cut may bring back what was there before. That is no failure to put it in place: what acts on the world as
 * if it were would act on another world than the one it is in.
 */
export interface InPlace {
  readonly unsynced: string | null;
}

/** A replacement that is written and on the disk, but not yet in place. */
export interface Prepared {
  /** Puts it in place, durably if the disk lets it. Fails only where it is not in place. */
  commit(): Io<InPlace>;
  discard(): void;
}

/**
 * Prepares to replace a file's content: owner and mode are kept, and a path that is a
 * link stays a link (its target is replaced). Nothing is visible before commit().
 * `most`: the bits of its mode that stay.
 */
export function prepareReplace(path: string, content: Uint8Array, most = 0o7777): Io<Prepared> {
  return io(() => {
    const target = fs.realpathSync(path);
    const before = fs.statSync(target);
    const temporary = writeBeside(target, content, (fd) => {
      fs.fchownSync(fd, before.uid, before.gid);
      fs.fchmodSync(fd, before.mode & most);
    });
    return {
      commit: () =>
        io(() => {
          fs.renameSync(temporary, target);
          return settled(target);
        }),
      discard: () => {
        removeFile(temporary);
      },
    };
  });
}

/** Writes a temporary file beside a path, durable; `dress` gives it its owner and mode. Nothing is left of one that fails. */
function writeBeside(path: string, content: Uint8Array, dress: (fd: number) => void): string {
  const temporary = temporaryName(path);
  const fd = fs.openSync(
    temporary,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  );
  try {
    writeAll(fd, content, 0);
    dress(fd);
    fs.fsyncSync(fd);
  } catch (error) {
    fs.unlinkSync(temporary);
    throw error;
  } finally {
    fs.closeSync(fd);
  }
  return temporary;
}

/** The same for a file that is yet to be: commit() fails with EEXIST when something stands there by then. `group`: its gid. */
export function prepareCreate(path: string, content: Uint8Array, mode: number, group?: number): Io<Prepared> {
  return io(() => {
    const temporary = writeBeside(path, content, (fd) => {
      if (group !== undefined) fs.fchownSync(fd, -1, group);
      fs.fchmodSync(fd, mode);
    });
    return {
      commit: () => {
        const moved = renameToFree(temporary, path);
        return moved.ok ? { ok: true, value: settled(path) } : moved;
      },
      discard: () => {
        removeFile(temporary);
      },
    };
  });
}

/**
 * Points a link at another target with one rename(2): nobody ever sees it missing. Makes it where there is none.
 * Fails only where it leads where it led.
 */
export const replaceLink = (link: string, target: string): Io<InPlace> =>
  io(() => {
    const temporary = temporaryName(link);
    fs.symlinkSync(target, temporary);
    try {
      fs.renameSync(temporary, link);
    } catch (error) {
      fs.unlinkSync(temporary);
      throw error;
    }
    return settled(link);
  });

/** After a name was given to something else: makes that durable, or says why it is not. */
function settled(path: string): InPlace {
  const synced = io(() => {
    syncFolder(dirname(path));
  });
  return { unsynced: synced.ok ? null : synced.code };
}

/** Leftovers of a process that died between writing and renaming: to be removed by the next one that holds the lock. */
export function removeTemporaries(path: string): void {
  const folder = dirname(path);
  const names = list(folder);
  if (!names.ok) return;
  for (const name of names.value) {
    if (name.startsWith(`.${basename(path)}.swap-pool-`)) removeFile(join(folder, name));
  }
}

const temporaryName = (path: string): string =>
  join(dirname(path), `.${basename(path)}.swap-pool-${randomBytes(6).toString('hex')}`);

// ---------------------------------------------------------------- durable append

/**
 * An append-only file whose room is taken up front: it is filled with newlines, records
 * overwrite them, and closing cuts the rest off. So a disk that fills up during a deploy
 * cannot stop the deploy's own journal.
 */
export class DurableLog {
  private constructor(
    private readonly fd: number,
    private offset: number,
  ) {}

  /** Makes a new log with `room` bytes reserved and durable; EEXIST when there is one. */
  static create(path: string, room: number): Io<DurableLog> {
    return io(() => {
      const fd = fs.openSync(
        path,
        constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
        0o600,
      );
      try {
        writeAll(fd, Buffer.alloc(room, '\n'), 0);
        fs.fsyncSync(fd);
        syncFolder(dirname(path));
      } catch (error) {
        fs.closeSync(fd);
        fs.unlinkSync(path);
        throw error;
      }
      return new DurableLog(fd, 0);
    });
  }

  /**
   * Opens one that exists, to append after its first `end` bytes. What stands behind them, a
   * record that a death broke off, becomes unused room again.
   */
  static open(path: string, end: number): Io<DurableLog> {
    return io(() => {
      const fd = fs.openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
      const torn = fs.fstatSync(fd).size - end;
      if (torn > 0) writeAll(fd, Buffer.alloc(torn, '\n'), end);
      return new DurableLog(fd, end);
    });
  }

  /** Appends one line; on the disk when this returns, unless it says otherwise. Fails only where it is not in the file. */
  append(line: string): Io<InPlace> {
    return io(() => {
      const bytes = Buffer.from(`${line}\n`);
      try {
        writeAll(this.fd, bytes, this.offset);
      } catch (error) {
        // what got through would stand behind a next record that is shorter; the disk may refuse this, too
        io(() => {
          writeAll(this.fd, Buffer.alloc(bytes.length, '\n'), this.offset);
        });
        throw error;
      }
      this.offset += bytes.length;
      const synced = io(() => {
        fs.fdatasyncSync(this.fd);
      });
      return { unsynced: synced.ok ? null : synced.code };
    });
  }

  /** Cuts off the reserved room that was not needed. */
  close(): Io<void> {
    return io(() => {
      fs.ftruncateSync(this.fd, this.offset);
      fs.fsyncSync(this.fd);
      fs.closeSync(this.fd);
    });
  }

  /** Leaves the file as it is: the deploy goes on elsewhere, or later. */
  abandon(): void {
    fs.closeSync(this.fd);
  }
}

// ---------------------------------------------------------------- lock files

/** Opens a lock file, never through a link; made when missing, world-readable, never unlinked by anybody. */
export const openLockFile = (path: string): Io<number> =>
  io(() => {
    const fd = fs.openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
    try {
      return plain(fd, path);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  });

export const writeWhole = (fd: number, content: string): Io<void> =>
  io(() => {
    fs.ftruncateSync(fd, 0);
    writeAll(fd, Buffer.from(content), 0);
  });

/** The descriptor, if it is of a file. */
function plain(fd: number, path: string): number {
  if (fs.fstatSync(fd).isFile()) return fd;
  throw systemError('EINVAL', path);
}

const systemError = (code: string, path: string): Error => Object.assign(new Error(path), { code });

function writeAll(fd: number, bytes: Uint8Array, offset: number): void {
  let done = 0;
  while (done < bytes.length) done += fs.writeSync(fd, bytes, done, bytes.length - done, offset + done);
}

function syncFolder(folder: string): void {
  const fd = fs.openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function toFacts(stat: fs.Stats): FileFacts {
  return {
    kind: stat.isFile()
      ? 'file'
      : stat.isDirectory()
        ? 'folder'
        : stat.isSymbolicLink()
          ? 'link'
          : stat.isSocket()
            ? 'socket'
            : 'other',
    uid: stat.uid,
    gid: stat.gid,
    mode: stat.mode & 0o7777,
    size: stat.size,
    inode: stat.ino,
    changed: Math.max(stat.mtimeMs, stat.ctimeMs),
    written: stat.mtimeMs,
  };
}
