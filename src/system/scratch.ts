/**
 * Folders for a moment: what a program is to be shown that is not to stand where it looks. Named after the process
 * that made them, so that those of one that was killed go with the next one's.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import { errorCode, facts, list, privateFolder, readLink, removeFolder } from './files.js';
import { identify, isAlive, procfs } from './proc.js';
import type { Procfs } from './proc.js';
import { untrustedPart } from './trust.js';

/**
 * A new folder, 0700, where the environment wants temporary files: `unsafe-path` where others could put another in
 * its place, `state-unwritable`.
 */
export function scratchFolder(purpose: 'ask' | 'init', uid: number): Result<string> {
  const base = tmpdir();
  const part = uid === 0 ? untrustedPart(base, 0) : null;
  if (part !== null) return fail({ reason: 'unsafe-path', ...part });
  const fs = procfs();
  removeLeft(fs, base, uid);
  const { pid = 0, start = 0 } = identify(fs, process.pid) ?? {};
  try {
    return ok(privateFolder(base, `swap-pool-${purpose}-${worldOf(fs)}-${String(pid)}-${String(start)}-`));
  } catch (error) {
    return fail({ reason: 'state-unwritable', path: base, code: errorCode(error) });
  }
}

/** World, pid and start of who made it. */
const NAME = /^swap-pool-(?:ask|init)-([0-9a-f]+-[0-9]+)-(\d+)-(\d+)-\w{6}$/;

/** Those of ours whose makers have ended. In a folder that everybody may write to anybody can make such a name: the owner counts. */
function removeLeft(fs: Procfs, base: string, uid: number): void {
  const world = worldOf(fs);
  const names = list(base);
  for (const name of names.ok ? names.value : []) {
    const [, where, pid, start] = NAME.exec(name) ?? [];
    if (where !== world) continue;
    if (isAlive(fs, { boot: fs.bootId, pid: Number(pid), start: Number(start) })) continue;
    const seen = facts(join(base, name));
    if (seen.ok && seen.value.kind === 'folder' && seen.value.uid === uid) removeFolder(join(base, name));
  }
}

/** Boot and pid namespace: in another one the same pid is somebody else. */
function worldOf(fs: Procfs): string {
  const link = readLink(`${fs.root}/self/ns/pid`);
  const namespace = /\d+/.exec(link.ok ? link.value : '')?.[0] ?? '0';
  return `${fs.bootId.slice(0, 8)}-${namespace}`;
}
