/** Whose a listener is while processes come and go: a procfs of the test's own changes between any two reads of it. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { serversOf } from '../../src/pool/servers.js';
import type { FastcgiSlot } from '../../src/pool/slots.js';
import type { Procfs } from '../../src/system/proc.js';

const SLOT: FastcgiSlot = {
  ...{ slot: 'blue', kind: 'fastcgi', env: {}, address: { kind: 'unix', path: '/run/blue.sock' } },
  ...{ others: [], statusListens: [], pidfile: null, unit: null },
};
const LISTENER = 7;

/** Two who have the listener open; the second lets go of it at the `at`-th read. Gives what is seen, and how many reads that took. */
function seenWhile(at: number): { readonly kind: string; readonly reads: number } {
  const root = mkdtempSync(join(tmpdir(), 'swap-pool-proc-'));
  try {
    for (const pid of ['100', '200']) {
      mkdirSync(join(root, pid, 'fd'), { recursive: true });
      symlinkSync(`socket:[${String(LISTENER)}]`, join(root, pid, 'fd', '0'));
      writeFileSync(join(root, pid, 'environ'), 'SWAP_POOL_SLOT=blue\0');
      const rest = Array.from({ length: 15 }, () => '0').join(' ');
      writeFileSync(join(root, pid, 'stat'), `${pid} (cgi) S 1 100 100 ${rest} 5 0 0`);
    }
    let reads = 0;
    const fs: Procfs = {
      bootId: 'a',
      get root() {
        reads += 1;
        if (reads === at) unlinkSync(join(root, '200', 'fd', '0'));
        return root;
      },
    };
    const found = serversOf(fs, SLOT, [LISTENER], []);
    return { kind: found.ok ? found.value.kind : found.failure.reason, reads };
  } finally {
    rmSync(root, { recursive: true });
  }
}

it('what-a-server-has-just-forked-makes-no-stranger-of-it-when-it-lets-go-of-the-listener', () => {
  const { reads } = seenWhile(0);
  expect(reads).toBeGreaterThan(5);
  for (let at = 1; at <= reads; at += 1) expect([at, seenWhile(at).kind]).toEqual([at, 'servers']);
});
