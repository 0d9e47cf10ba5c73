/** What a deploy is warned of on a host that is small, by a /proc of the test's own. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PoolLife, SlotView } from '../../src/drivers.js';
import type { Warning } from '../../src/event.js';
import { advice } from '../../src/pool/advice.js';
import type { PoolSlot, ProbeSettings } from '../../src/pool/slots.js';
import { procfs } from '../../src/system/proc.js';
import type { Procfs } from '../../src/system/proc.js';

let root: string;
let fs: Procfs;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'swap-pool-advice-'));
  symlinkSync('/proc/sys', join(root, 'sys'));
  fs = procfs(root);
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

/** A process of so many kB; without a share the kernel does not tell it, as before 4.14. */
function has(pid: number, whole: number, share: number | null): void {
  const folder = join(root, String(pid));
  mkdirSync(folder);
  writeFileSync(join(folder, 'status'), `Name:\tphp-fpm\nVmRSS:\t${String(whole)} kB\n`);
  if (share !== null)
    writeFileSync(join(folder, 'smaps_rollup'), `[rollup]\nRss: 1 kB\nPss: ${String(share)} kB\n`);
}

const available = (kB: number): void => {
  writeFileSync(
    join(root, 'meminfo'),
    `MemTotal: 9999999 kB\nMemFree: 1 kB\nMemAvailable: ${String(kB)} kB\n`,
  );
};

const id = (pid: number): NonNullable<PoolLife['master']> => ({ boot: fs.bootId, pid, start: 1 });
const life = (): PoolLife => ({ master: id(20), workers: [id(21), id(22)] });
/** A pool that nothing else is to be said of. */
const to = { slot: 'green', kind: 'fastcgi' } as PoolSlot;
const probe = { script: '/srv/health.php' } as ProbeSettings;
const warned = (from: PoolLife | null): readonly Warning[] =>
  advice(fs, from === null ? null : ({ slot: 'blue', life: from, working: 0 } as SlotView), to, probe);

describe('two pools that do not fit into memory together', () => {
  it('are-warned-of-with-what-the-one-that-serves-takes-and-what-is-left', () => {
    has(20, 30, 10);
    has(21, 500, 300);
    has(22, 500, 301);
    available(610);
    expect(warned(life())).toEqual([{ reason: 'little-memory', needed: 611 * 1024, available: 610 * 1024 }]);
    available(611);
    expect(warned(life())).toEqual([]);
  });

  it('count-what-their-processes-share-once', () => {
    has(20, 1000, 10);
    has(21, 1000, 10);
    has(22, 1000, 10);
    available(100);
    expect(warned(life())).toEqual([]);
  });

  it('are-measured-whole-where-the-kernel-tells-no-share', () => {
    has(20, 100, null);
    has(21, 100, null);
    has(22, 100, null);
    available(299);
    expect(warned(life())).toMatchObject([{ needed: 300 * 1024 }]);
  });

  it('are-measured-without-a-master-too-and-without-who-is-gone', () => {
    has(21, 100, 100);
    available(99);
    expect(warned({ ...life(), master: null })).toMatchObject([{ needed: 100 * 1024 }]);
  });

  it('are-no-matter-where-nobody-serves', () => {
    available(0);
    expect(warned(null)).toEqual([]);
  });
});
