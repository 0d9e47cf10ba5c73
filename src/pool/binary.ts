/**
 * Which php-fpm. PATH is never searched: cron's has none of the folders, and a user's has too many.
 */
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import { factsThroughLinks, list, realPath } from '../system/files.js';
import { executable } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { untrustedPart } from '../system/trust.js';
import { fpmPids, fpmProcess, runsConfig } from './processes.js';

const FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/usr/local/bin', '/usr/bin'];

/**
 * The running master's program, else the only php-fpm there is. Fails with `binary-missing`,
 * or `binary-ambiguous` where there are several versions.
 *
 * Several masters that run our config and disagree (one is older than an upgrade) say nothing.
 * As root (`root`) a program that somebody else could change is not taken from a process table.
 */
export function findBinary(
  fs: Procfs,
  config: string,
  { root, folders = FOLDERS }: { readonly root: boolean; readonly folders?: readonly string[] },
): Result<string> {
  const running = [...new Set(mastersOf(fs, config))].filter(
    (path) => isProgram(path) && (!root || untrustedPart(path, 0) === null),
  );
  if (running.length === 1 && running[0] !== undefined) return ok(running[0]);
  const found = folders.flatMap((folder) => {
    const names = list(folder);
    return names.ok
      ? names.value.filter((name) => /^php-fpm[0-9.]*$/.test(name)).map((name) => `${folder}/${name}`)
      : [];
  });
  // one program under several names, as Debian's alternatives make them, is one
  const real = new Map(
    found.filter(isProgram).map((path) => {
      const target = realPath(path);
      return [target.ok ? target.value : path, path];
    }),
  );
  const [only, ...more] = real.keys();
  if (only === undefined) {
    return fail({
      reason: 'binary-missing',
      program: 'php-fpm',
      searched: folders.map((folder) => `${folder}/php-fpm*`),
    });
  }
  return more.length === 0 ? ok(only) : fail({ reason: 'binary-ambiguous', found: [...real.keys()] });
}

const mastersOf = (fs: Procfs, config: string): string[] =>
  fpmPids(fs).flatMap((pid) => {
    const found = fpmProcess(fs, pid);
    if (found?.role !== 'master' || !runsConfig(fs, found, config)) return [];
    return executable(fs, pid) ?? [];
  });

function isProgram(path: string): boolean {
  const found = factsThroughLinks(path);
  return found.ok && found.value.kind === 'file' && (found.value.mode & 0o111) !== 0;
}
