/** What a program is seen to wait for. */
import { readFileSync } from 'node:fs';

/** Whether a swap-pool waits for a lock. */
export const waitsForFlock = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .some((child) => {
      try {
        return readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('flock\0-w');
      } catch {
        return false;
      }
    });
