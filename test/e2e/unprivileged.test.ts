import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../src/demo/machine.js';
import type { SwitchKind } from '../../src/event.js';
import { deployBothWays } from '../support/unprivileged.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
/** The second one stands in no /etc/passwd, as in a container that was given any uid. */
const USERS = [
  { who: 'nobody', uid: 65534 },
  { who: 'a uid without a name', uid: 54321 },
];
const isRoot = process.geteuid?.() === 0;

describe.skipIf(isRoot)('an ordinary user with a private nginx and private pools', () => {
  it.each(BOTH)('deploys both ways, 0 cut: %s', deployBothWays);
});

describe.runIf(isRoot)('as root, somebody else’s', () => {
  let folder = '';

  beforeAll(async () => {
    folder = mkdtempSync(join(temporaryFolder(true), 'unprivileged-'));
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, 'dist'));
    cpSync('templates', join(folder, 'templates'), { recursive: true });
    cpSync('dist', join(folder, 'dist'), { recursive: true });
    await build({
      stdin: {
        contents: `import { deployBothWays } from './test/support/unprivileged.js';
          deployBothWays(process.argv[2]).catch((error) => {
            console.error(error.stack);
            process.exitCode = 1;
          });`,
        resolveDir: resolve('.'),
        loader: 'ts',
      },
      outfile: join(folder, 'run.cjs'),
      bundle: true,
      platform: 'node',
      format: 'cjs',
      logLevel: 'error',
    });
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
    // where a user without a runtime folder keeps locks; those went with their sandboxes
    for (const { uid } of USERS) {
      try {
        rmdirSync(`/tmp/swap-pool-${String(uid)}`);
      } catch {
        // somebody else's are there
      }
    }
  });

  it.each(USERS.flatMap((user) => BOTH.map((by) => ({ ...user, by }))))(
    'site deploys both ways, 0 cut: $who, $by',
    async ({ uid, by }) => {
      expect(await runAs(uid, [join(folder, 'run.cjs'), by], folder)).toEqual({ exit: 0, output: '' });
    },
  );
});

function runAs(
  uid: number,
  args: readonly string[],
  cwd: string,
): Promise<{ readonly exit: number | null; readonly output: string }> {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, args, {
      uid,
      gid: uid,
      cwd,
      env: { PATH: '/usr/bin:/bin' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes) => (output += String(bytes)));
    child.on('error', failed);
    child.on('close', (exit) => {
      done({ exit, output });
    });
  });
}
