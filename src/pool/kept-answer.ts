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
  readText,
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

/** Hex sha256 over everything that the answer depends on; null when some of it cannot be read. */
export function digestOf({ slot, binary, config, env }: Question): string | null {
  const program = factsThroughLinks(binary);
  const real = realPath(binary);
  if (!program.ok || !real.ok) return null;
  const hash = createHash('sha256');
  const add = (part: string | Uint8Array): void => {
    hash.update(`${String(part.length)}:`).update(part);
  };
  const { inode, size, changed } = program.value;
  add(JSON.stringify([slot, real.value, inode, size, changed, config, Object.entries(env).sort()]));
  for (const path of fpmTree(config, env, binary).files) {
    const bytes = readBytes(path);
    if (!bytes.ok) return null;
    add(path);
    add(bytes.value);
  }
  return hash.digest('hex');
}

/** The kept answer to the very question; null when there is none. */
export function keptAnswer(folder: string, slot: Slot, digest: string): string | null {
  const text = readText(fileOf(folder, slot));
  if (!text.ok) return null;
  const [kept, ...answer] = text.value.split('\n');
  return kept === digest ? answer.join('\n') : null;
}

/** Keeps an answer; that it cannot be kept is no failure, the next one asks again. */
export function keepAnswer(folder: string, slot: Slot, digest: string, answer: string): void {
  const fresh = join(folder, `.fpm-${slot}.new`);
  removeFile(fresh);
  if (createFile(fresh, `${digest}\n${answer}`, 0o600).ok) rename(fresh, fileOf(folder, slot));
}

const fileOf = (folder: string, slot: Slot): string => join(folder, `fpm-${slot}.answer`);
