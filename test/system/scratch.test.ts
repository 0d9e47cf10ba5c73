/** Folders for a moment, in a temporary folder of the test's own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { identify, procfs } from '../../src/system/proc.js';
import { scratchFolder } from '../../src/system/scratch.js';

let base: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'swap-pool-scratch-test-'));
  vi.stubEnv('TMPDIR', base);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(base, { recursive: true });
});

function made(): string {
  const folder = scratchFolder('ask', process.geteuid?.() ?? -1);
  if (!folder.ok) throw new Error(JSON.stringify(folder.failure));
  writeFileSync(join(folder.value, 'ask.conf'), '');
  return basename(folder.value);
}

it('a new one takes those away whose makers were killed, and no others', async () => {
  const child = spawn('/bin/sleep', ['60']);
  await once(child, 'spawn');
  const id = identify(procfs(), child.pid ?? 0);
  const own = made();
  const maker = `-${String(process.pid)}-${String(identify(procfs(), process.pid)?.start)}-`;
  expect(own).toContain(maker);
  const sleeper = own.replace(maker, `-${String(id?.pid)}-${String(id?.start)}-`);
  // the same pid, in a boot, a namespace or a life of its own
  const strange = own.replace(/ask-[0-9a-f]{8}-/, 'ask-01234567-');
  const elsewhere = own.replace(/(ask-[0-9a-f]{8})-\d+-/, '$1-1-');
  const reused = sleeper.replace(/-\d+(-\w{6})$/, '-1$1');
  const kept = ['swap-pool-ask-zzzzzz', 'swap-pool-0123456789', elsewhere, strange].sort();
  for (const name of [sleeper, reused, ...kept]) mkdirSync(join(base, name));

  const second = made();
  expect(readdirSync(base).sort()).toEqual([own, second, sleeper, ...kept].sort());

  child.kill('SIGKILL');
  await once(child, 'exit');
  const third = made();
  expect(readdirSync(base).sort()).toEqual([own, second, third, ...kept].sort());
});
