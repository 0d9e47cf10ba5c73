/** nginx goes on with what it has when a reload fails, and nobody is told: the files then say what is not so. */
import type { ProcessId } from '../event.js';
import { younger } from '../nginx/running.js';
import type { Check, NginxFacts } from './subject.js';

export const reloadNotTaken: Check = ({ proxy, nginx }) => {
  const files = proxy?.differing ?? (nginx === null ? [] : sinceBirth(nginx));
  if (files.length === 0 || nginx === null) return [];
  return [{ severity: 'error', observation: { reason: 'reload-not-taken', files, log: nginx.log() } }];
};

/** What changed since, where the files are broken and a survey gets no further. */
function sinceBirth({ tree, workers, born }: NginxFacts): readonly string[] {
  const serving: readonly ProcessId[] = workers?.serving ?? [];
  return serving.length === 0 ? [] : younger(tree, Math.min(...serving.map(born)));
}
