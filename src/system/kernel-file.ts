/**
 * Files that the kernel makes while they are read. It gives their size as 0, for which
 * fs.readFileSync takes 64 kB anew each time: a walk through the process table would be spent
 * on collecting that garbage.
 */
import { closeSync, openSync, readSync } from 'node:fs';

/** The whole of such a file, a character a byte. Throws what open(2) and read(2) fail with. */
export const readKernelFile = (path: string): string => readKernelBytes(path).toString('latin1');

/** The same as bytes, which the next file that is read here overwrites. */
export function readKernelBytes(path: string): Buffer {
  const fd = openSync(path, 'r');
  try {
    return readFrom(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * The same for a file that is read again and again: it stays open, for a table of sockets is found as slowly as it is
 * read. Whoever reads it from its beginning gets it as it is now (seq_file). Of one network namespace: the reader's.
 */
export function rereadKernelBytes(path: string): Buffer {
  const fd = kept.get(path) ?? openSync(path, 'r');
  kept.set(path, fd);
  return readFrom(fd);
}

const kept = new Map<string, number>();

function readFrom(fd: number): Buffer {
  for (let length = 0; ;) {
    // to be asked for megabytes, a file of /proc/sys says ENOMEM
    const read = readSync(fd, room, length, Math.min(AT_ONCE, room.length - length), length);
    if (read === 0) return room.subarray(0, length);
    length += read;
    if (length === room.length) room = larger(room);
  }
}

/** Memory that nobody has written to yet is none. */
function larger(full: Buffer): Buffer<ArrayBuffer> {
  const next = Buffer.allocUnsafeSlow(full.length * 16);
  full.copy(next);
  return next;
}

const AT_ONCE = 64 * 1024;

/** Everything here is synchronous: nobody else can be reading into it. */
let room = Buffer.allocUnsafeSlow(AT_ONCE);
