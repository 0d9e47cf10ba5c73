/** glob(3) on this machine's files. */
import { glob as match } from '../glob.js';
import { facts, list } from './files.js';

/** The paths that an absolute pattern names, sorted by bytes; see src/glob.ts. */
export const glob = (pattern: string): readonly string[] =>
  match(
    pattern,
    (folder) => {
      const names = list(folder);
      return names.ok ? names.value : null;
    },
    (path) => facts(path).ok,
  );
