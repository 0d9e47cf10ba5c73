/**
 * Files that the kernel makes while they are read. It gives their size as 0, for which
 * fs.readFileSync takes 64 kB anew each time: a walk through the process table would be spent
 * on collecting that garbage.
 */
import { closeSync, openSync, readSync } from 'node:fs';

/** The whole of such a file, a character a byte. Throws what open(2) and read(2) fail with. */
export function readKernelFile(path: string): string {
  const fd = openSync(path, 'r');
  try {
    // a piece of text a page would be a rope of hundreds, to be copied once more
    for (let length = 0; ;) {
      const read = readSync(fd, room, length, room.length - length, null);
      if (read === 0) return room.toString('latin1', 0, length);
      length += read;
      if (length === room.length) room = larger(room);
    }
  } finally {
    closeSync(fd);
  }
}

/** Memory that nobody has written to yet is none. */
function larger(full: Buffer): Buffer<ArrayBuffer> {
  const next = Buffer.allocUnsafeSlow(full.length * 16);
  full.copy(next);
  return next;
}

/** Everything here is synchronous: nobody else can be reading into it. */
let room = Buffer.allocUnsafeSlow(64 * 1024);
