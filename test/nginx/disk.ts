import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  lstatSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { glob } from '../../src/glob.js';
import type { ConfigSource } from '../../src/nginx/tree.js';

/** The real disk as a tree's source. */
export function disk(confPrefix: string): ConfigSource {
  const list = (folder: string): readonly string[] | null => attempt(() => readdirSync(folder));
  const exists = (path: string): boolean => attempt(() => lstatSync(path)) !== null;
  return {
    confPrefix,
    glob: (pattern) => glob(pattern, list, exists),
    read: (path) => {
      try {
        return { ok: true, bytes: readFileSync(path), real: realpathSync(path) };
      } catch (error) {
        return { ok: false, code: (error as NodeJS.ErrnoException).code ?? 'EIO' };
      }
    },
  };
}

/** Files that exist in memory only: a tree's source without links; globs match `*` and `?` in the last part. */
export function memory(files: Readonly<Record<string, string>>): ConfigSource {
  const under = (folder: string): readonly string[] => {
    const start = folder.endsWith('/') ? folder : `${folder}/`;
    const names = Object.keys(files).filter((path) => path.startsWith(start));
    return [...new Set(names.map((path) => path.slice(start.length).split('/')[0] ?? ''))];
  };
  return {
    confPrefix: '/etc/nginx',
    glob: (pattern) => glob(pattern, under, (path) => path in files || under(path).length > 0),
    read: (path) => {
      const text = files[path];
      if (text === undefined) return { ok: false, code: 'ENOENT' };
      return { ok: true, bytes: Uint8Array.from(text, (char) => char.charCodeAt(0)), real: path };
    },
  };
}

export interface Sandbox {
  readonly root: string;
  /** Writes a file, one byte for each character. */
  readonly write: (name: string, text: string) => string;
  /** `nginx -t` or `-T` on a file; what it said, one character for each byte. */
  readonly nginx: (
    flag: '-t' | '-T',
    file: string,
  ) => { readonly ok: boolean; readonly out: string; readonly err: string };
  /** What every configuration needs so that nginx touches nothing outside of the sandbox. */
  readonly main: string;
  readonly http: string;
  readonly remove: () => void;
}

/** A folder of its own and an nginx that stays inside it. */
export function sandbox(): Sandbox {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'swap-pool-nginx-')));
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${root}/temp-${name};`,
  );
  return {
    root,
    write: (name, text) => {
      const path = join(root, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text, 'latin1');
      return path;
    },
    nginx: (flag, file) => {
      const run = spawnSync('/usr/sbin/nginx', [flag, '-e', 'stderr', '-c', file], { encoding: 'latin1' });
      return { ok: run.status === 0, out: run.stdout, err: run.stderr };
    },
    main: `daemon off; pid ${root}/pid; error_log stderr; events {}\n`,
    http: `access_log off; ${temp.join(' ')}\n`,
    remove: () => {
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function attempt<T>(get: () => T): T | null {
  try {
    return get();
  } catch {
    return null;
  }
}
