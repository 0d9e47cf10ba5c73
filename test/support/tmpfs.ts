/** Small disks of a test's own. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';

/** It takes root, and the right to mount. */
export const mountable =
  process.getuid?.() === 0 && spawnSync('/usr/bin/unshare', ['-m', 'true']).status === 0;

/** Does something with a tmpfs that is mounted with `options`; it is gone afterwards, whatever happens. */
export async function withTmpfs(options: string, act: (disk: string) => Promise<void>): Promise<void> {
  const disk = mkdtempSync(join(tmpdir(), 'swap-pool-disk-'));
  chmodSync(disk, 0o755);
  const words = ['-t', 'tmpfs', '-o', `${options},mode=0755`, 'tmpfs', disk];
  expect(spawnSync('/usr/bin/mount', words).status).toBe(0);
  try {
    await act(disk);
  } finally {
    expect(spawnSync('/usr/bin/umount', ['-l', disk]).status).toBe(0);
    rmdirSync(disk);
  }
}
