import type { Place } from '../event.js';
import { toUtf8 } from './spelling.js';
import { enclosing, placeOf, walk } from './tree.js';
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
export const keepConn = (tree: Tree): boolean => keepConnPlaces(tree).length > 0;

/** Where that is. */
export function keepConnPlaces(tree: Tree): readonly Place[] {
  const found: Place[] = [];
  for (const visit of walk(tree)) {
    const { name, args } = visit.directive;
    if (name === 'fastcgi_keep_conn' && args[0]?.value.toLowerCase() === 'on') found.push(placeOf(visit));
  }
  return found;
}

/**
 * Where clients may keep a connection open without a request on it, and nothing keeps a reload from closing it at
 * once (`keepalive_min_timeout`, nginx 1.27.4): each `server` that listens for HTTP without either set for it.
 */
export function idleClientPlaces(tree: Tree): readonly Place[] {
  const spared = new Set<object>();
  const servers: { readonly place: Place; readonly blocks: readonly object[] }[] = [];
  for (const visit of walk(tree)) {
    const { directive, parent } = visit;
    const blocks = enclosing(visit);
    if (directive.name === 'server' && blocks.length === 1 && blocks[0]?.name === 'http') {
      servers.push({ place: placeOf(visit), blocks: [...blocks, directive] });
    }
    const isZero = /^0+[a-z]*$/.test(directive.args[0]?.value ?? '');
    const spares =
      (directive.name === 'keepalive_timeout' && isZero) ||
      (directive.name === 'keepalive_min_timeout' && !isZero);
    if (spares && parent !== null) spared.add(parent.block);
  }
  return servers.flatMap(({ place, blocks }) => (blocks.some((block) => spared.has(block)) ? [] : place));
}
