import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readBytes, readOwn, readText } from '../../src/system/files.js';

const folder = mkdtempSync(join(tmpdir(), 'files-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const at = (name: string): string => join(folder, name);

it.each([
  ['readBytes', readBytes],
  ['readText', readText],
  ['readOwn', readOwn],
])('%s waits for nobody: a FIFO and a terminal are no files', (_, read) => {
  spawnSync('/usr/bin/mkfifo', [at('fifo')]);
  expect(read(at('fifo'))).toEqual({ ok: false, code: 'EINVAL' });
  expect(read('/dev/ptmx')).toMatchObject({ ok: false });
  expect(read(folder)).toEqual({ ok: false, code: 'EISDIR' });
  expect(read(at('missing'))).toEqual({ ok: false, code: 'ENOENT' });
});

it('a file is read through its links, but for our own; nothing is as good as an empty one', () => {
  writeFileSync(at('file'), 'text');
  symlinkSync('file', at('link'));
  expect(readText(at('link'))).toEqual({ ok: true, value: 'text' });
  expect(readOwn(at('link'))).toEqual({ ok: false, code: 'ELOOP' });
  expect(readText('/dev/null')).toEqual({ ok: true, value: '' });
  expect(readText('/proc/self/cmdline')).toMatchObject({ ok: true });
});
