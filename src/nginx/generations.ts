import type { ProcessId } from '../event.js';

/**
 * Workers by the reload (or start) they were born of, the youngest first. A reload sleeps 100 ms between its
 * forks and the QUIT to those before, so two generations are at least 9 ticks apart.
 */
export function generationsOf<Id extends ProcessId>(workers: readonly Id[]): readonly (readonly Id[])[] {
  const sorted = [...workers].sort((a, b) => a.start - b.start);
  const found: Id[][] = [];
  let last = -Infinity;
  for (const id of sorted) {
    if (id.start - last >= BATCH_GAP) found.unshift([]);
    found[0]?.push(id);
    last = id.start;
  }
  return found;
}
const BATCH_GAP = 9;

/** Whether workers were forked in one go. */
export const areOneBatch = (workers: readonly ProcessId[]): boolean => generationsOf(workers).length <= 1;
