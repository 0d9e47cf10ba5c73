/** glob(3) on this machine's files. */
import { basename, dirname } from 'node:path';
import { glob as match } from '../glob.js';
import { facts, list } from './files.js';

/**
 * The paths that an absolute pattern names, sorted by bytes; see src/glob.ts. `planned`: files that are
 * taken as if they were there.
 */
export const glob = (pattern: string, planned: readonly string[] = []): readonly string[] =>
  match(
    pattern,
    (folder) => {
      const names = list(folder);
      const more = planned.filter((path) => `${dirname(path)}/` === folder.replace(/\/*$/, '/'));
      if (!names.ok) return more.length > 0 ? more.map((path) => basename(path)) : null;
      return [...new Set([...names.value, ...more.map((path) => basename(path))])];
    },
    (path) => planned.includes(path) || facts(path).ok,
  );
