/** A binary upgrade that was broken off leaves `.oldbin` behind, and each later look at it costs somebody an hour. */
import { pidIn } from '../nginx/master.js';
import { MASTER_TITLE } from '../nginx/title.js';
import { exists } from '../system/files.js';
import { title } from '../system/proc.js';
import type { Check } from './subject.js';

/** One that is under way is a failure of the survey (`upgrade-pending`), and none of this. */
export const oldBinary: Check = ({ fs, nginx }) => {
  if (nginx === null || nginx.pidfile === null || nginx.nginx.upgrading) return [];
  const path = `${nginx.pidfile}.oldbin`;
  if (!exists(path)) return [];
  const pid = pidIn(path);
  if (pid === null || title(fs, pid).startsWith(MASTER_TITLE)) return [];
  return [{ severity: 'warning', host: true, observation: { reason: 'oldbin-left', path, pid } }];
};
