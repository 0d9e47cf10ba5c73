import type { Place } from '../event.js';
import { toUtf8 } from './spelling.js';
import { placeOf, walk } from './tree.js';
import type { Tree } from './tree.js';

/** What swap-pool wants to know of the main level. */
export type MainSetting =
  'pid' | 'error_log' | 'worker_processes' | 'user' | 'daemon' | 'master_process' | 'worker_shutdown_timeout';

export interface Setting {
  /** As nginx reads them; what is no UTF-8 shows one character for each byte. */
  readonly values: readonly string[];
  readonly place: Place;
}

/** Every directive of that name at the main level, in order. `error_log` may stand there several times. */
export function mainSettings(tree: Tree, name: MainSetting): readonly Setting[] {
  const found: Setting[] = [];
  for (const visit of walk(tree)) {
    if (visit.parent !== null || visit.directive.name !== name) continue;
    const values = visit.directive.args.map(({ value }) => toUtf8(value) ?? value);
    found.push({ values, place: placeOf(visit) });
  }
  return found;
}

/**
 * Whether any location keeps FastCGI connections open: nginx's workers then stay
 * on the pool they know, link or no link, until they are replaced.
 */
export function keepConn(tree: Tree): boolean {
  for (const { directive } of walk(tree)) {
    if (directive.name !== 'fastcgi_keep_conn') continue;
    if (directive.args[0]?.value.toLowerCase() === 'on') return true;
  }
  return false;
}
