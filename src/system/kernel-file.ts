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
    let text = '';
    for (;;) {
      const length = readSync(fd, ROOM, 0, ROOM.length, null);
      if (length === 0) return text;
      text += ROOM.toString('latin1', 0, length);
    }
  } finally {
    closeSync(fd);
  }
}

/** Everything here is synchronous: nobody else can be reading into it. */
const ROOM = Buffer.allocUnsafeSlow(64 * 1024);
