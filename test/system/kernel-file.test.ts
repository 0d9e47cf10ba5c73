import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readKernelFile } from '../../src/system/kernel-file.js';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

it.each([0, 1, 65_535, 65_536, 65_537, 1_048_576, 5_000_000])(
  'a file of %i bytes is read whole',
  (length) => {
    const folder = mkdtempSync(join(tmpdir(), 'swap-pool-kernel-file-'));
    try {
      const path = join(folder, 'file');
      const text = 'é0123456789'.repeat(Math.ceil(length / 11)).slice(0, length);
      writeFileSync(path, text, 'latin1');
      expect(readKernelFile(path) === text).toBe(true);
      // however much was read before: of too large a buffer /proc/sys says ENOMEM
      expect(readKernelFile(BOOT_ID)).toMatch(/^[0-9a-f-]{36}\n$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
