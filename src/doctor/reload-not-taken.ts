/** nginx goes on with what it has when a reload fails, and nobody is told: the files then say what is not so. */
import { younger } from '../nginx/running.js';
import { sameProcesses } from '../nginx/workers.js';
import type { Check, NginxFacts } from './subject.js';

export const reloadNotTaken: Check = ({ proxy, nginx }) => {
  const files = proxy?.differing ?? (nginx === null ? [] : sinceBirth(nginx));
  if (files.length === 0 || nginx === null) return [];
  return [{ severity: 'error', observation: { reason: 'reload-not-taken', files, log: nginx.log() } }];
};

/**
 * What changed since the workers were born, where a survey gets no further; nothing, where they were proven to run
 * these very files.
 */
function sinceBirth({ tree, hash, workers, born, proofs }: NginxFacts): readonly string[] {
  const serving = workers?.serving ?? [];
  if (serving.length === 0) return [];
  const proven = proofs.some((proof) => proof.hash === hash && sameProcesses(proof.workers, serving));
  return proven ? [] : younger(tree, Math.min(...serving.map(born)));
}
