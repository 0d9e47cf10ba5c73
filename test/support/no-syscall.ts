/** A /proc whose `syscall` files may not be read, as yama has it (kernel.yama.ptrace_scope). */
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { procfs, type Procfs } from '../../src/system/proc.js';

/**
 * Links to the real /proc, but for the `syscall` of some processes; those that are born later are not seen. Its
 * files say what the real ones say.
 */
export async function withoutSyscall(
  pids: readonly number[],
  act: (fs: Procfs) => Promise<void>,
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'swap-pool-proc-'));
  try {
    for (const name of ['self', 'sys', 'stat', 'meminfo']) symlinkSync(`/proc/${name}`, join(root, name));
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      if (pids.includes(Number(pid))) mirror(pid, join(root, pid));
      else symlinkSync(`/proc/${pid}`, join(root, pid));
    }
    await act(procfs(root));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function mirror(pid: string, folder: string): void {
  mkdirSync(folder);
  for (const name of readdirSync(`/proc/${pid}`)) {
    if (name !== 'syscall') symlinkSync(targetOf(`/proc/${pid}/${name}`), join(folder, name));
  }
}

/** What a link leads to, where it is one: who reads the mirror's link gets the same answer. */
function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return path;
  }
}
