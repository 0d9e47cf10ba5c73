/** .ci/run tells what it leaves out: on a checkout of stand-ins, whose tests are said to have ended somehow. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

let home: string;

function put(path: string, text: string): void {
  mkdirSync(join(home, path, '..'), { recursive: true });
  writeFileSync(join(home, path), text);
  chmodSync(join(home, path), 0o755);
}

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'swap-pool-ci-'));
  mkdirSync(join(home, '.ci'));
  copyFileSync('.ci/run', join(home, '.ci/run'));
  put('scripts/debian-root.mjs', "console.log('no root here'); process.exitCode = 77;\n");
  put('scripts/coverage.mjs', '');
});

afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

/** What it prints when setup says so much and each test ends so. */
function ci(
  setup: string,
  ends: readonly string[],
): { readonly status: number | null; readonly lines: string[] } {
  put('scripts/setup.mjs', `console.log(${JSON.stringify(setup)});\n`);
  const count = (what: string): number => ends.filter((end) => end === what).length;
  const report = {
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    testResults: [
      {
        name: join(home, 'test/x.test.ts'),
        assertionResults: ends.map((status) => ({ status, fullName: 'x', failureMessages: [] })),
      },
    ],
  };
  put('report.json', JSON.stringify(report));
  put(
    'bin/npm',
    '#!/bin/sh\nfor word; do case $word in --outputFile.json=*) cp report.json "${word#*=}" ;; esac; done\n',
  );
  const env = { PATH: `${join(home, 'bin')}:${process.execPath.replace(/\/node$/, '')}:/usr/bin:/bin` };
  const { status, stdout } = spawnSync(join(home, '.ci/run'), { env, encoding: 'utf8' });
  return { status, lines: stdout.trimEnd().split('\n') };
}

it('tells what setup has left out, and each file whose tests were skipped, and counts them', () => {
  const said = 'setup: no other FastCGI servers, their tests are left out (apt-get install spawn-fcgi)';
  const { status, lines } = ci(said, ['passed', 'skipped', 'pending']);
  expect(status).toBe(0);
  expect(lines).toContain(
    'setup    SKIPPED no other FastCGI servers, their tests are left out (apt-get install spawn-fcgi)',
  );
  expect(lines).toContain('tests    SKIPPED test/x.test.ts: 2 skipped');
  expect(lines).toContain('host     SKIPPED no root here');
  expect(lines.at(-1)).toBe('6 passed, 0 failed, 2 skipped');
});

it('says nothing of skipping where everything ran', () => {
  const { status, lines } = ci('setup: waiting for another setup of this folder', ['passed', 'passed']);
  expect(status).toBe(0);
  expect(lines.filter((line) => / SKIPPED /.test(line))).toEqual(['host     SKIPPED no root here']);
  expect(lines.at(-1)).toBe('7 passed, 0 failed');
});
