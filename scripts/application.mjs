/**
 * A real PHP application for the tests to switch: Debian's dokuwiki, fetched as its package and
 * unpacked into node_modules/.cache, not installed. Nothing of it runs by itself, no web server is
 * configured, and nobody needs to be root. What a test needs of it: node_modules/.cache/swap-pool/dokuwiki.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NAME = 'dokuwiki';
/** With the libraries that Debian took out of it and that every page needs. */
const PACKAGES = [NAME, 'php-geshi', 'php-phpseclib', 'php-random-compat'];
const CACHE = join(dirname(dirname(fileURLToPath(import.meta.url))), 'node_modules/.cache/swap-pool');

/** Fetches it where it is missing, which `say` is told. Gives back null, or why it could not: its test is left out then. */
export function fetchApplication(say) {
  const place = join(CACHE, NAME);
  if (existsSync(place)) return null;
  if (!existsSync('/usr/bin/apt-get') || !existsSync('/usr/bin/dpkg-deb')) return 'this is no Debian';
  say(`unpacking Debian's ${PACKAGES.join(', ')} into node_modules/.cache, for one test (apt-get download)`);
  const folder = mkdtempSync(join(tmpdir(), 'swap-pool-application-'));
  try {
    const run = (command, ...args) =>
      spawnSync(command, args, { cwd: folder, encoding: 'utf8', timeout: 120_000 });
    const got = run('apt-get', '-q', 'download', ...PACKAGES);
    const files = readdirSync(folder).filter((name) => name.endsWith('.deb'));
    if (got.status !== 0 || files.length < PACKAGES.length) return `apt-get download: ${lastLine(got)}`;
    for (const file of files) {
      const unpacked = run('dpkg-deb', '-x', file, 'root');
      if (unpacked.status !== 0) return `dpkg-deb -x ${file}: ${lastLine(unpacked)}`;
    }
    mkdirSync(CACHE, { recursive: true });
    const fresh = mkdtempSync(join(CACHE, 'fresh-'));
    arrange(join(folder, 'root'), fresh);
    chmodSync(fresh, 0o755);
    // another setup may have been quicker
    if (existsSync(place)) rmSync(fresh, { recursive: true });
    else renameSync(fresh, place);
    return null;
  } catch (error) {
    return error.message;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The package spreads itself over the file system and links its parts together; here they are side by side. */
function arrange(root, to) {
  const from = (path) => join(root, path);
  const copy = (path, name) =>
    cpSync(from(path), join(to, name), {
      recursive: true,
      // links lead to where the package would have been installed
      filter: (source) => !isLink(source),
    });
  copy('usr/share/php', 'share/php');
  copy('usr/share/php-geshi', 'share/php-geshi');
  copy('usr/share/dokuwiki', 'app');
  copy('var/lib/dokuwiki/lib', 'app/lib');
  copy('etc/dokuwiki', 'conf');
  copy('var/lib/dokuwiki/data', 'data');
}

function isLink(path) {
  return readdirSync(dirname(path), { withFileTypes: true }).some(
    (entry) => entry.isSymbolicLink() && join(dirname(path), entry.name) === path,
  );
}

function lastLine({ stderr, error }) {
  return error === undefined ? (stderr || '').trim().split('\n').pop() : error.message;
}
