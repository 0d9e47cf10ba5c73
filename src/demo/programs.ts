/**
 * The machine's own nginx and php-fpm, by absolute path: PATH is not searched, for cron's has
 * neither.
 */
import { join } from 'node:path';
import { fail, ok, type Result } from '../event.js';
import { exists, list } from '../system/files.js';

const FOLDERS: readonly string[] = ['/usr/local/sbin', '/usr/sbin', '/usr/local/bin', '/usr/bin'];

export interface Programs {
  readonly nginx: string;
  /** With several versions installed: the newest. */
  readonly fpm: string;
}

/** `demo-needs` lists what is missing. */
export function findPrograms(folders = FOLDERS): Result<Programs> {
  const nginx = folders.map((folder) => join(folder, 'nginx')).find((path) => exists(path));
  const fpm = folders
    .flatMap((folder) => {
      const names = list(folder);
      return names.ok ? names.value.filter((name) => FPM.test(name)).map((name) => join(folder, name)) : [];
    })
    .sort((a, b) => versionOf(b) - versionOf(a))[0];
  if (nginx !== undefined && fpm !== undefined) return ok({ nginx, fpm });
  const missing = [...(nginx === undefined ? ['nginx'] : []), ...(fpm === undefined ? ['php-fpm'] : [])];
  return fail({ reason: 'demo-needs', missing });
}

/** `php-fpm`, `php-fpm8.2`, `php-fpm83` */
const FPM = /^php-fpm(\d+)?(?:\.(\d+))?$/;

function versionOf(path: string): number {
  const [, major = '', minor] = FPM.exec(path.slice(path.lastIndexOf('/') + 1)) ?? [];
  if (minor !== undefined) return Number(major) * 1000 + Number(minor);
  return major === '' ? 0 : Number(major.slice(0, 1)) * 1000 + Number(major.slice(1));
}
