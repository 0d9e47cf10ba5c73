/**
 * May root believe this file? What root runs or reads decides what root does, so
 * whoever can change the file, or put another one in its place, is root.
 */
import { dirname, join } from 'node:path';
import { facts, readLink } from './files.js';

/** The first part of a path that somebody else could change, and how. */
export interface Untrusted {
  readonly path: string;
  readonly detail: string;
}

/**
 * Walks from `/` to `path` and gives back the first folder, link or file on the way
 * that somebody besides root and `uid` may change; null when there is none, or from
 * where on nothing exists (then the folder in which it is missing has been checked).
 *
 * Every part must belong to root or `uid` and be writable by no group and no other. A
 * folder with the sticky bit (/tmp) may be writable: there, only the owner of an
 * entry renames or removes it (inode(7)), and the entry is the next part checked.
 * Links are followed, and the folders on the way to each target are checked in turn.
 * POSIX ACLs need no look of their own: their mask, the most that any named entry
 * grants, is what st_mode shows as the group's bits (acl(5)).
 *
 * The order makes the answer last: once a folder is known to be in good hands, nobody
 * else can exchange what was found in it.
 */
export function untrustedPart(path: string, uid: number): Untrusted | null {
  let rest = parts(path.startsWith('/') ? path : `${process.cwd()}/${path}`);
  let here = '/';
  let links = 0;
  let seen = look(here, uid);
  for (;;) {
    if (seen === 'missing') return null;
    if (seen !== 'trusted') return seen;
    const [name, ...after] = rest;
    if (name === undefined) return null;
    // `here` holds no links, so that its parent is its dirname, as the kernel's `..` is.
    const next = name === '..' ? dirname(here) : join(here, name);
    seen = look(next, uid);
    const target = readLink(next);
    if (!target.ok) {
      here = next;
      rest = after;
    } else {
      // As many as the kernel follows before ELOOP (path_resolution(7)).
      if (++links > 40) return { path: next, detail: 'leads through too many links' };
      if (target.value.startsWith('/')) here = '/';
      rest = [...parts(target.value), ...after];
    }
  }
}

function look(path: string, uid: number): 'trusted' | 'missing' | Untrusted {
  const found = facts(path);
  if (!found.ok) {
    if (found.code === 'ENOENT' || found.code === 'ENOTDIR') return 'missing';
    return { path, detail: `cannot be looked at: ${found.code}` };
  }
  const { kind, mode, uid: owner, gid } = found.value;
  if (owner !== 0 && owner !== uid) return { path, detail: `belongs to uid ${String(owner)}` };
  // A link's own mode is always 0777 and means nothing (symlink(7)).
  if (kind === 'link') return 'trusted';
  if (kind === 'folder' && (mode & STICKY) !== 0) return 'trusted';
  if ((mode & OTHERS_WRITE) !== 0) return { path, detail: 'is writable by everybody' };
  if ((mode & GROUP_WRITE) !== 0) return { path, detail: `is writable by the group ${String(gid)}` };
  return 'trusted';
}

const parts = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.');
const STICKY = 0o1000;
const GROUP_WRITE = 0o020;
const OTHERS_WRITE = 0o002;
