/**
 * The mark in the folder of a demo's sandbox. By it an nginx that runs there is told from one that serves a
 * site of this host, and what a demo left that was killed from what a living one needs.
 */
import { basename, dirname, join } from 'node:path';
import type { ProcessId } from '../event.js';
import { createFile, facts, readLink, readOwn } from './files.js';
import type { Io } from './files.js';
import { identify, isAlive } from './proc.js';
import type { Procfs } from './proc.js';

interface Mark {
  readonly owner: ProcessId;
  /** Of the owner's pids: in another one the same pid is somebody else. */
  readonly namespace: string;
}

const NAME = /^swap-pool-[0-9a-f]{10}$/;
const FILE = 'sandbox.json';

/** Marks a new folder as this process's sandbox. */
export function markSandbox(fs: Procfs, folder: string): Io<void> {
  const mark = { owner: identify(fs, process.pid), namespace: namespaceOf(fs) };
  return createFile(join(folder, FILE), `${JSON.stringify(mark)}\n`, 0o644);
}

/** Whether an nginx of that user with that configuration is a sandbox's: it serves nobody but its demo. */
export function isSandboxConfig(config: string, uid: number): boolean {
  return basename(config) === 'nginx.conf' && markOf(dirname(config), uid) !== null;
}

/**
 * Whether a folder is a sandbox of that user whose owner has ended. False where that cannot be known: another
 * pid namespace (a container that shares our /tmp), another boot (a machine that does).
 */
export function isDeadSandbox(fs: Procfs, folder: string, uid: number): boolean {
  const mark = markOf(folder, uid);
  return (
    mark !== null &&
    mark.owner.boot === fs.bootId &&
    mark.namespace !== '' &&
    mark.namespace === namespaceOf(fs) &&
    !isAlive(fs, mark.owner)
  );
}

/** In a folder that everybody may write to anybody can make a folder of that name: owner and mode count. */
function markOf(folder: string, uid: number): Mark | null {
  if (!NAME.test(basename(folder))) return null;
  for (const [path, kind] of [
    [folder, 'folder'],
    [join(folder, FILE), 'file'],
  ] as const) {
    const seen = facts(path);
    if (!seen.ok || seen.value.kind !== kind || seen.value.uid !== uid) return null;
    if ((seen.value.mode & 0o022) !== 0) return null;
  }
  const text = readOwn(join(folder, FILE));
  if (!text.ok) return null;
  try {
    const { owner, namespace } = JSON.parse(text.value) as Partial<Mark>;
    const whole = typeof owner?.pid === 'number' && typeof owner.start === 'number';
    return whole && typeof namespace === 'string' ? { owner, namespace } : null;
  } catch {
    return null;
  }
}

function namespaceOf(fs: Procfs): string {
  const link = readLink(`${fs.root}/self/ns/pid`);
  return link.ok ? link.value : '';
}
