/**
 * A Debian for the tests to boot: `node scripts/debian-root.mjs` prints where its root lies, or, with
 * exit 77, why this machine cannot boot one. Of a root that is named it only says whether it starts here.
 *
 * It is the release that this machine runs, from the mirror that this machine's apt uses, made by
 * debootstrap once and kept (about 300 MB below $XDG_CACHE_HOME or /var/cache). Its name carries a
 * digest of its recipe; it is made aside and renamed, under a lock, so that what lies there is whole.
 * Nothing ever writes to it: what boots is a copy, see boot-debian.sh.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installQuietly, startTime, takeBackPolicy } from './install.mjs';

const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'dbus', 'procps', 'iproute2', 'cron', 'logrotate'],
  ...['nginx', 'php-fpm', 'spawn-fcgi', 'fcgiwrap'],
];
/** They want a network, or a disk. */
const MASKED = [
  ...['apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer'],
  ...['e2scrub_all.timer', 'e2scrub_reap.service', 'fstrim.timer'],
];
const CACHE = join(process.env.XDG_CACHE_HOME || '/var/cache', 'swap-pool-tests');
const BOOT = fileURLToPath(new URL('boot-debian.sh', import.meta.url));
/** A mirror that takes longer than this is none, ms. It took 55 s where this was written. */
const SLOW = 300_000;
/** Words before a program's: it dies with us, */
const MORTAL = ['setpriv', '--pdeathsig', 'KILL'];
/** and with it all that runs and is mounted in namespaces of its own. */
const APART = [
  ...['unshare', '--mount', '--propagation', 'private'],
  ...['--pid', '--fork', '--kill-child', '--mount-proc'],
];
/** debootstrap's own environment. Proxies are what may stand between us and the mirror. */
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', HOME: '/root' };
for (const [name, value] of Object.entries(process.env)) if (/_proxy$/i.test(name)) ENVIRONMENT[name] = value;

/**
 * Gives `{ root }`, a root that has just been seen to start a program in a container, or `{ why }`, one
 * sentence. `say` is told what takes long. Installs debootstrap and systemd-nspawn where they are missing.
 */
export async function debianRoot(say) {
  const unfit = whyUnfit();
  if (unfit !== null) return { why: unfit };
  const source = aptSource();
  if (source.why !== undefined) return source;
  takeBackPolicy();
  const missing = [
    ['/usr/sbin/debootstrap', 'debootstrap'],
    ['/usr/bin/systemd-nspawn', 'systemd-container'],
  ].filter(([program]) => !existsSync(program));
  if (missing.length > 0) {
    const names = missing.map(([, name]) => name);
    say(`installing Debian's ${names.join(' and ')} (apt-get install)`);
    const failed = await installQuietly(names);
    if (failed !== null) return { why: failed.what.split('\n').slice(0, 2).join(' ') };
  }
  const root = join(CACHE, `${source.release}-${digest(source)}`);
  const failed = make(root, source, say) ?? trial(root);
  return failed === null ? { root } : { why: failed };
}

/** Why no container can be started here, whatever is installed; null when one can, as far as that is to be seen. */
function whyUnfit() {
  if (process.platform !== 'linux' || process.getuid() !== 0) return 'not root';
  if (!existsSync('/usr/bin/apt-get')) return 'this is no Debian';
  const folder = mkdtempSync(join(tmpdir(), 'swap-pool-trial-'));
  // a tmpfs in a mount namespace, and a pid namespace: what an unprivileged container does not allow
  const script = 'mount -t tmpfs tmpfs "$0"';
  const argv = [
    '--mount',
    '--pid',
    '--net',
    '--fork',
    '--propagation',
    'private',
    'sh',
    '-c',
    script,
    folder,
  ];
  const tried = spawnSync('unshare', argv, { encoding: 'utf8', env: ENVIRONMENT });
  rmSync(folder, { recursive: true });
  return tried.status === 0 ? null : `no mounts or namespaces here: ${lastLine(tried)}`;
}

/** The release that runs here, and where this machine's apt gets it from. */
function aptSource() {
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  const format = '$(LABEL)|$(CODENAME)|$(COMPONENT)|$(ARCHITECTURE)|$(REPO_URI)';
  const argv = ['indextargets', '--format', format, 'Created-By: Packages'];
  const asked = spawnSync('apt-get', argv, { encoding: 'utf8', env: ENVIRONMENT });
  const found = (asked.stdout ?? '')
    .split('\n')
    .map((line) => line.split('|'))
    .find(
      ([label, codename, component]) => label === 'Debian' && codename === release && component === 'main',
    );
  if (found === undefined) return { why: "apt's lists name no mirror of this machine's Debian release" };
  return { release, architecture: found[3], mirror: found[4] };
}

/** Where the packages come from does not change what they are: mirrors move, and their names are nobody's business. */
const digest = ({ release, architecture }) =>
  createHash('sha256')
    .update(JSON.stringify([release, architecture, PACKAGES, MASKED, String(arrange).replace(/\s+/g, ' ')]))
    .digest('hex')
    .slice(0, 12);

/** Makes the root where it is missing; why not, or null. Two of us take turns, and the second finds it made. */
function make(root, source, say) {
  if (existsSync(root)) {
    // its age says when it was last of use
    utimesSync(root, new Date(), new Date());
    return null;
  }
  mkdirSync(CACHE, { recursive: true });
  const turn = openSync(CACHE, 'r');
  spawnSync('flock', ['3'], { stdio: ['ignore', 'ignore', 'ignore', turn] });
  try {
    if (existsSync(root)) return null;
    // nobody else makes one now, so what is half made belongs to somebody who was killed
    for (const name of readdirSync(CACHE).filter((name) => name.startsWith('making-')))
      remove(join(CACHE, name));
    say(`making a Debian ${source.release} to boot (debootstrap), once: a minute or two`);
    const fresh = mkdtempSync(join(CACHE, 'making-'));
    const failed = debootstrap(fresh, source, turn);
    if (failed !== null) {
      remove(fresh);
      return failed;
    }
    arrange(fresh);
    renameSync(fresh, root);
    for (const name of readdirSync(CACHE).filter(outOfUse)) remove(join(CACHE, name));
    return null;
  } finally {
    closeSync(turn);
  }
}

/** Whether a root of ours, of an older recipe or release, was of no use for two weeks. */
const outOfUse = (name) =>
  /^\w+-[0-9a-f]{12}$/.test(name) && Date.now() - statSync(join(CACHE, name)).mtimeMs > 14 * 24 * 3_600_000;

/**
 * In namespaces of its own, so that the file systems that it mounts into the root are gone with it,
 * however it ends. It holds the lock, too, and dies with us.
 */
function debootstrap(folder, { release, architecture, mirror }, turn) {
  const bootstrap = ['/usr/sbin/debootstrap', '--variant=minbase', `--arch=${architecture}`];
  const [file, ...argv] = [...MORTAL, ...APART, ...bootstrap];
  const ran = spawnSync(file, [...argv, `--include=${PACKAGES.join(',')}`, release, folder, mirror], {
    encoding: 'utf8',
    env: ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'pipe', turn],
    maxBuffer: 1 << 26,
    timeout: SLOW,
    killSignal: 'SIGKILL',
  });
  // mkdtemp's 0700 would keep the host's own users out of it
  spawnSync('chmod', ['755', folder]);
  return ran.status === 0 ? null : `debootstrap: ${lastLine(ran)}`;
}

function arrange(root) {
  for (const folder of ['var/cache/apt/archives', 'var/lib/apt/lists']) {
    for (const name of readdirSync(join(root, folder))) remove(join(root, folder, name));
  }
  for (const unit of MASKED) {
    rmSync(join(root, 'etc/systemd/system', unit), { force: true });
    symlinkSync('/dev/null', join(root, 'etc/systemd/system', unit));
  }
  // debootstrap takes this machine's name, and leaves the rest to Debian's installer
  writeFileSync(join(root, 'etc/hostname'), 'host\n');
  writeFileSync(
    join(root, 'etc/hosts'),
    '127.0.0.1\tlocalhost\n127.0.1.1\thost\n::1\tlocalhost ip6-localhost\n',
  );
  // each boot is a machine of its own; without the file it would be a machine's first, which enables every unit
  writeFileSync(join(root, 'etc/machine-id'), '');
}

/**
 * argv that boots a copy of a root, or runs one program in it: see boot-debian.sh; `more` is nspawn's. Where systemd
 * runs it is a scope of its own, which has to be made from out here: systemd knows no pid of a namespace.
 */
export function boot(folder, root, name, more) {
  const scope = [
    'systemd-run',
    '--scope',
    '--quiet',
    '--collect',
    '--property=Delegate=yes',
    `--unit=${name}`,
    '--',
  ];
  const managed = existsSync('/run/systemd/system') ? scope : [];
  return [...MORTAL, ...managed, ...APART, BOOT, folder, root, name, ...more];
}

/** Whether a copy of the root starts in a container, and this machine's node in it; why not, or null. */
function trial(root) {
  // named as the tests name theirs (test/host/machine.ts), who clear away what a killed run has left
  const folder = mkdtempSync(join(tmpdir(), `swap-pool-host-${process.pid}-${startTime()}-`));
  const name = folder.slice(folder.lastIndexOf('/') + 1);
  const node = `--bind-ro=${realpathSync(process.execPath)}:/usr/bin/node`;
  const [file, ...argv] = boot(folder, root, name, [node, '--as-pid2', '/usr/bin/node', '--version']);
  const tried = spawnSync(file, argv, {
    encoding: 'utf8',
    env: ENVIRONMENT,
    timeout: 30_000,
  });
  const made = join(folder, 'cgroups');
  for (const group of existsSync(made) ? readFileSync(made, 'utf8').split('\n').filter(Boolean) : []) {
    spawnSync('find', [group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
  }
  rmSync(folder, { recursive: true });
  return tried.status === 0 && tried.stdout.includes(process.version)
    ? null
    : `systemd-nspawn: ${lastLine(tried)}`;
}

/** Never into another file system, should one be mounted there all the same. */
function remove(path) {
  spawnSync('rm', ['-rf', '--one-file-system', path]);
}

function lastLine({ stdout, stderr, error }) {
  if (error) return error.message;
  return `${stdout ?? ''}\n${stderr ?? ''}`.trim().split('\n').pop();
}

// run, not imported
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [, , given] = process.argv;
  const say = (line) => console.error(`debian-root: ${line}`);
  const { root = given, why = null } = given === undefined ? await debianRoot(say) : { why: trial(given) };
  console.log(why ?? root);
  process.exitCode = why === null ? 0 : 77;
}
