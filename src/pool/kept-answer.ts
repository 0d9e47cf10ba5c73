/**
 * What `php-fpm -tt` said, kept for as long as nothing that it is made of has changed: the program
 * itself, the environment, and every byte of the configuration tree. Asking takes a tenth of a deploy,
 * and most deploys bring new code, not a new configuration.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Slot } from '../event.js';
import {
  createFile,
  factsThroughLinks,
  readBytes,
  readOwn,
  realPath,
  removeFile,
  rename,
} from '../system/files.js';
import { fpmTree } from './fpm-tree.js';

export interface Question {
  readonly slot: Slot;
  readonly binary: string;
  /** FPM's own file. */
  readonly config: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Hex sha256 over a program as it stands on the disk, and some words; null when it cannot be read. */
export function programDigest(binary: string, words: readonly (string | undefined)[]): string | null {
  const program = factsThroughLinks(binary);
  const real = realPath(binary);
  if (!program.ok || !real.ok) return null;
  const { inode, size, changed } = program.value;
  const facts = [real.value, inode, size, changed, ...words.map((word) => word ?? null)];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex');
}

/** Hex sha256 over everything that FPM's reading of its configuration depends on; null when some of it cannot be read. */
export function digestOf({ slot, binary, config, env }: Question): string | null {
  const program = programDigest(binary, [slot, config, ...Object.entries(env).sort().flat()]);
  if (program === null) return null;
  const hash = createHash('sha256');
  const add = (part: string | Uint8Array): void => {
    hash.update(`${String(part.length)}:`).update(part);
  };
  add(program);
  for (const path of fpmTree(config, env, binary).files) {
    const bytes = readBytes(path);
    if (!bytes.ok) return null;
    add(path);
    add(bytes.value);
  }
  return hash.digest('hex');
}

/** The kept answer to the very question; null when there is none. */
export function keptAnswer(folder: string, name: string, digest: string): string | null {
  const text = readOwn(fileOf(folder, name));
  if (!text.ok) return null;
  const end = text.value.indexOf('\n');
  const answer = text.value.slice(end + 1);
  // a power cut can leave half of it behind
  return text.value.slice(0, end) === heading(digest, answer) ? answer : null;
}

/** The answer that was kept last, to whatever question: what the pool was when it was last deployed. */
export function lastAnswer(folder: string, name: string): string | null {
  const text = readOwn(fileOf(folder, name));
  return text.ok ? keptAnswer(folder, name, text.value.slice(0, text.value.indexOf(' '))) : null;
}

/** Keeps an answer; that it cannot be kept is no failure, the next one asks again. */
export function keepAnswer(folder: string, name: string, digest: string, answer: string): void {
  const fresh = join(folder, `.${name}.new`);
  removeFile(fresh);
  if (createFile(fresh, `${heading(digest, answer)}\n${answer}`, 0o600).ok)
    rename(fresh, fileOf(folder, name));
}

const heading = (digest: string, answer: string): string =>
  `${digest} ${createHash('sha256').update(answer).digest('hex')}`;

const fileOf = (folder: string, name: string): string => join(folder, `${name}.answer`);
