/**
 * glob(3) as nginx and php-fpm use it for their includes: `*`, `?` and `[…]` within
 * one part of a path, a leading dot only matched by a dot, results sorted bytewise.
 * No `**`, no braces: neither program knows them.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export const hasGlob = (pattern: string): boolean => /[*?[]/.test(pattern);

/** The existing paths that an absolute pattern names, sorted. A pattern without wildcards names itself, if it exists. */
export function glob(pattern: string): string[] {
  let found = ['/'];
  for (const part of pattern.split('/').filter(Boolean)) {
    found = hasGlob(part)
      ? found.flatMap((folder) => matching(folder, part))
      : found.map((folder) => join(folder, unescape(part))).filter((path) => existsSync(path));
  }
  return found.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function matching(folder: string, part: string): string[] {
  const expression = toExpression(part);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .filter((name) => (!name.startsWith('.') || part.startsWith('.')) && expression.test(name))
    .map((name) => join(folder, name));
}

const unescape = (part: string): string => part.replace(/\\(.)/g, '$1');

function toExpression(part: string): RegExp {
  let source = '';
  for (let at = 0; at < part.length; at += 1) {
    const char = part.charAt(at);
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '[') {
      const set = /^\[([!^]?)(\]?[^\]]*)\]/.exec(part.slice(at));
      if (set === null) source += '\\[';
      else {
        source += `[${set[1] === '' ? '' : '^'}${(set[2] ?? '').replace(/[\\\]^]/g, '\\$&')}]`;
        at += set[0].length - 1;
      }
    } else if (char === '\\' && at + 1 < part.length) {
      at += 1;
      source += literal(part.charAt(at));
    } else source += literal(char);
  }
  return new RegExp(`^${source}$`, 's');
}

const literal = (char: string): string => char.replace(/[.*+?^${}()|[\]\\/]/, '\\$&');
