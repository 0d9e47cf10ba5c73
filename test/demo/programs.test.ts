import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findPrograms } from '../../src/demo/programs.js';

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'swap-pool-programs-'))));
afterEach(() => {
  rmSync(dir, { recursive: true });
});
const put = (...names: string[]): void => {
  for (const name of names) writeFileSync(join(dir, name), '');
};

it('what is missing is listed', () => {
  expect(findPrograms([dir])).toEqual({
    ok: false,
    failure: { reason: 'demo-needs', missing: ['nginx', 'php-fpm'] },
  });
  put('nginx', 'php-fpm.conf', 'php-fpm-helper');
  expect(findPrograms([dir, '/nowhere'])).toMatchObject({ failure: { missing: ['php-fpm'] } });
});

it('of several versions the newest is taken', () => {
  put('nginx', 'php-fpm8.2', 'php-fpm', 'php-fpm8.10', 'php-fpm74');
  expect(findPrograms([dir])).toEqual({
    ok: true,
    value: { nginx: join(dir, 'nginx'), fpm: join(dir, 'php-fpm8.10') },
  });
});
