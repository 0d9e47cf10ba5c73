/** nginx goes on with what it has when a reload fails, and nobody is told: the files then say what is not so. */
import type { SlotView } from '../drivers.js';
import { otherSlot } from '../event.js';
import type { Down } from '../event.js';
import { surelyYounger, younger, youngerThan } from '../nginx/running.js';
import { sameProcesses } from '../nginx/workers.js';
import type { Check, NginxFacts, Subject } from './subject.js';

export const reloadNotTaken: Check = (subject) => {
  const { proxy, nginx } = subject;
  if (nginx === null) return [];
  const reason = 'reload-not-taken';
  const { surely, perhaps } = since(nginx);
  const down = downOf(subject);
  if (surely.length > 0) {
    // a survey compares with what a deploy has proven, too
    const files = proxy?.differing ?? surely;
    if (files.length === 0) return [];
    return [{ severity: 'error', observation: { reason, files, surely: true, log: nginx.log(), ...down } }];
  }
  if (perhaps.length === 0) return [];
  return [{ severity: 'advice', observation: { reason, files: perhaps, surely: false, log: '', ...down } }];
};

/** Where files that nginx may not have read lead to nobody; a link that is missing is made by the start of blue, with nothing else known. */
function downOf({ proxy, views, active }: Subject): { readonly down?: Down } {
  if (proxy === null || proxy.unread.files.length === 0) return {};
  const slot = proxy.active ?? active ?? 'blue';
  const lives = (view: SlotView | undefined): boolean => (view?.life ?? null) !== null;
  return proxy.active !== null && lives(views[slot])
    ? {}
    : { down: { slot, otherRuns: lives(views[otherSlot(slot)]) } };
}

/**
 * What changed since the workers were born: nothing, where they were proven to run these very files. Where nobody has
 * proven what they run, a file that changed about when they were born may have been read by them, and will have been if
 * it was proven to run before: then they are of a reload since.
 */
function since({ tree, hash, workers, born, proofs }: NginxFacts): {
  readonly surely: readonly string[];
  readonly perhaps: readonly string[];
} {
  const serving = workers?.serving ?? [];
  if (serving.length === 0) return { surely: [], perhaps: [] };
  const oldest = Math.min(...serving.map(born));
  const theirs = proofs.filter((proof) => sameProcesses(proof.workers, serving));
  if (theirs.some((proof) => proof.hash === hash)) return { surely: [], perhaps: [] };
  if (theirs.length > 0) return { surely: youngerThan(theirs, tree, oldest), perhaps: [] };
  const surely = surelyYounger(tree, oldest);
  const isKnown = proofs.some((proof) => proof.hash === hash);
  return { surely, perhaps: isKnown ? [] : younger(tree, oldest) };
}
