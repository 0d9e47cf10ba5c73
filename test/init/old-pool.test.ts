import { expect, it } from 'vitest';
import { awaitOldPool } from '../../src/init/old-pool.js';
import { procfs } from '../../src/system/proc.js';

it('an old pool is not called idle while nginx may still send requests there', async () => {
  const address = { kind: 'unix', path: '/nowhere/old.sock' } as const;
  const wait = { fs: procfs(), address, timeout: 150, signal: new AbortController().signal };
  for (const left of [2, null]) {
    expect(await awaitOldPool({ ...wait, retiring: () => Promise.resolve(left) })).toMatchObject({
      ok: false,
      failure: { reason: 'old-pool-busy', address: 'unix:/nowhere/old.sock', ms: 150, retiring: left ?? 0 },
    });
  }
  expect(await awaitOldPool({ ...wait, retiring: () => Promise.resolve(0) })).toMatchObject({ ok: true });
});
