import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseIniFolders } from '../../src/pool/fingerprint.js';
import { digestOf, keepAnswer, keptAnswer } from '../../src/pool/kept-answer.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'swap-pool-kept-'));
  writeFileSync(join(folder, 'php-fpm'), 'a program');
  writeFileSync(join(folder, 'app.conf'), `include = ${folder}/pool.d/*.conf\n[app]\nlisten = /run/a.sock\n`);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const digest = (env: Record<string, string> = {}): string => {
  const found = digestOf({
    slot: 'blue',
    binary: join(folder, 'php-fpm'),
    config: join(folder, 'app.conf'),
    env,
  });
  if (found === null) throw new Error('no digest');
  return found;
};

it('an answer is kept for its very question, and given back byte for byte', () => {
  const answer = 'NOTICE: [global]\n\tpid = x\n';
  keepAnswer(folder, 'fpm-blue', digest(), answer);
  expect(keptAnswer(folder, 'fpm-blue', digest())).toBe(answer);
  expect(keptAnswer(folder, 'fpm-green', digest())).toBeNull();
});

it('a changed byte, program, variable or included file makes it another question', () => {
  const before = digest();
  expect(digest({ A: 'b' })).not.toBe(before);
  writeFileSync(join(folder, 'app.conf'), `include = ${folder}/pool.d/*.conf\n[app]\nlisten = /run/b.sock\n`);
  const edited = digest();
  expect(edited).not.toBe(before);
  writeFileSync(join(folder, 'php-fpm'), 'another program');
  expect(digest()).not.toBe(edited);
});

it('half an answer, as a power cut can leave it, is none', () => {
  keepAnswer(folder, 'fpm-blue', digest(), 'one\ntwo\nthree\n');
  const path = join(folder, 'fpm-blue.answer');
  writeFileSync(path, readFileSync(path, 'utf8').slice(0, -7));
  expect(keptAnswer(folder, 'fpm-blue', digest())).toBeNull();
});

it('php looks for its ini files in the folder it was built with and in those that it scans', () => {
  const info = `phpinfo()
Configuration File (php.ini) Path => /etc/php/8.2/fpm
Loaded Configuration File => /etc/php/8.2/fpm/php.ini
Scan this dir for additional .ini files => /etc/php/8.2/fpm/conf.d:/srv/ini
`;
  expect(parseIniFolders(info)).toEqual(['/etc/php/8.2/fpm', '/etc/php/8.2/fpm/conf.d', '/srv/ini']);
  expect(parseIniFolders(info.replaceAll(/=> .*/g, '=> (none)'))).toEqual([]);
});
