/** Where no Debian can be booted, the host's tests are left out with a word, and never silently. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const isRoot = process.geteuid?.() === 0;
const hasDebootstrap = isRoot && existsSync('/usr/sbin/debootstrap') && existsSync('/usr/bin/systemd-nspawn');

/** scripts/debian-root.mjs as it is run by .ci/run, with a cache of its own and another program before it. */
function debianRoot(before: readonly string[]): { status: number | null; stdout: string; left: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'swap-pool-root-test-'));
  try {
    chmodSync(folder, 0o777);
    // where everybody may read it
    cpSync('scripts', join(folder, 'scripts'), { recursive: true });
    const [file, ...argv] = [...before, process.execPath, join(folder, 'scripts/debian-root.mjs')];
    const cache = join(folder, 'cache');
    const env = { ...process.env, XDG_CACHE_HOME: cache };
    const { status, stdout } = spawnSync(file, argv, { encoding: 'utf8', env, cwd: '/' });
    const roots = join(cache, 'swap-pool-tests');
    return { status, stdout, left: existsSync(roots) ? readdirSync(roots) : [] };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('no Debian to boot:', () => {
  it('whoever is not root is told so', () => {
    const nobody = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const told = debianRoot(isRoot ? nobody : ['/usr/bin/env']);
    expect(told).toEqual({ status: 77, stdout: 'not root\n', left: [] });
  });

  it.runIf(hasDebootstrap)('a mirror that does not answer is told, and leaves nothing half made', () => {
    const told = debianRoot(['/usr/bin/unshare', '--net']);
    expect(told).toMatchObject({ status: 77, left: [] });
    expect(told.stdout).toMatch(/^debootstrap: .+\n$/);
  });
});

describe('.ci/run', () => {
  /** Its part on the host, with a debian-root that says `why` and ends with a status. */
  function part(status: number, why: string): string {
    const host = /^host\(\) \{\n[^]*?\n\}\n/m.exec(readFileSync('.ci/run', 'utf8'))?.[0] ?? 'exit 9';
    const stubs = [
      'report=$(mktemp -d); trap \'rm -rf "$report"\' EXIT; said=$2 end=$1',
      'timeout() { while [ "$1" != node ]; do shift; done; printf "%s" "$said"; return "$end"; }',
      'tell() { echo "tell $1 $3"; }; tests() { echo "tests $*"; }',
    ];
    const ran = spawnSync('bash', ['-uc', `${stubs.join('\n')}\n${host}host`, 'part', String(status), why], {
      encoding: 'utf8',
    });
    return ran.stdout + ran.stderr;
  }

  it.each([
    [77, 'no mounts here\n', 'host     SKIPPED no mounts here\n'],
    [77, 'one line\nnot root\n', 'host     SKIPPED not root\n'],
    [124, '', 'host     SKIPPED no Debian root within 400 s\n'],
    [0, '/var/cache/root\n', 'tell debian 0\ntests host 900 --project host\n'],
    // a fault of the script's own is none of the machine's: the tests say what is wrong
    [1, '', 'tell debian 1\ntests host 900 --project host\n'],
  ])('says of %i and %j what becomes of the tests', (status, why, said) => {
    expect(part(status, why)).toBe(said);
  });
});
