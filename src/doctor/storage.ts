/** Whether a deploy could write what it has to: its journal, its locks, nginx's files or the link. */
import { dirname, join } from 'node:path';
import type { ProxyView } from '../drivers.js';
import { SLOTS } from '../event.js';
import { factsThroughLinks, realPath, roomAt, writable } from '../system/files.js';
import type { Io } from '../system/files.js';
import { sharedPart } from '../system/places.js';
import type { Folders, Subject, Verdict } from './subject.js';

/** What a deploy's journal reserves, and what FPM's words need beside it; bytes. */
const NEEDED = 256 * 1024;

/** The folders need not be there yet: then the first one above them that is. */
export function storage({ state, run, locks }: Folders, app: string): readonly Verdict[] {
  const folders = [...new Set([join(state, app), run, locks])].map(firstThere);
  return [...new Set(folders)].flatMap((path) => {
    const failure = unwritable(path);
    if (failure !== null) {
      return [{ severity: 'error', failure: { reason: 'state-unwritable', path, code: failure } }];
    }
    const room = roomAt(path);
    return room.ok ? roomy(path, room.value) : [];
  });
}

/** Room for what a deploy writes beside its journal: the proxy's files, and a new pool's log and pidfile. */
export function rooms(
  proxy: ProxyView | null,
  slots: Subject['slots'],
  roomOf: (folder: string) => Io<number> = roomAt,
): readonly Verdict[] {
  const files = (proxy?.changes ?? []).map(({ file }) => {
    const real = realPath(file);
    return real.ok ? real.value : file;
  });
  const pools = SLOTS.flatMap((slot) => {
    const own = slots?.[slot];
    return own === undefined ? [] : [own.pidfile, own.kind === 'php-fpm' ? own.errorLog : null];
  });
  // a log that is a descriptor or a device takes no room
  const written = pools.filter((path) => path !== null).filter((path) => !/^\/(?:dev|proc)\//.test(path));
  const folders = new Map<string, 'proxy' | 'pool'>([
    ...written.map((path) => [firstThere(dirname(path)), 'pool'] as const),
    ...files.map((path) => [firstThere(dirname(path)), 'proxy'] as const),
  ]);
  return [...folders].flatMap(([path, what]) => {
    const room = roomOf(path);
    return room.ok ? roomy(path, room.value, what) : [];
  });
}

/** As root: folders whose content others could change, so that a deploy refuses them. */
export function shared({ run, locks }: Folders): readonly Verdict[] {
  return [...new Set([run, locks])].flatMap((path) => {
    const part = sharedPart(path);
    return part === null ? [] : [{ severity: 'error', failure: { reason: 'unsafe-path', ...part } }];
  });
}

/** What the switch would replace. */
export function replaceable(proxy: ProxyView | null, link: string | null): readonly Verdict[] {
  const files = link === null ? (proxy?.changes ?? []).map(({ file }) => file) : [link];
  return files.flatMap((file) => {
    const real = link === null ? realPath(file) : null;
    const code = unwritable(firstThere(dirname(real?.ok === true ? real.value : file)));
    if (code === null) return [];
    return [{ severity: 'error', failure: { reason: 'config-unwritable', file, code } }];
  });
}

/** Pure. */
export function roomy(
  path: string,
  available: number,
  what: 'journal' | 'proxy' | 'pool' = 'journal',
): readonly Verdict[] {
  if (available >= NEEDED) return [];
  const observation = { reason: 'little-space', what, path, available, needed: NEEDED } as const;
  return [{ severity: 'error', observation }];
}

function unwritable(folder: string): string | null {
  const found = factsThroughLinks(folder);
  if (found.ok && found.value.kind !== 'folder') return 'ENOTDIR';
  const may = writable(folder);
  return may.ok ? null : may.code;
}

/** A part of the path that cannot be looked at is there, whatever it is. */
function firstThere(path: string): string {
  const found = factsThroughLinks(path);
  if (found.ok || (found.code !== 'ENOENT' && found.code !== 'ENOTDIR') || path === '/') return path;
  return firstThere(dirname(path));
}
