/**
 * Installs Debian packages so that nothing of them is started, and nothing at boot: not
 * now, not later, and whatever happens to us in between.
 *
 * - Maintainer scripts start services through invoke-rc.d and deb-systemd-invoke, and both
 *   ask /usr/sbin/policy-rc.d first (its exit 101: not allowed). Ours stands there for this one
 *   call; one that was there comes back as the same inode.
 * - They enable services as well: deb-systemd-helper links units (with or without a running
 *   systemd; before Debian 12 it asked no preset) and update-rc.d links init scripts. Those
 *   links, and only those that were not there before, are taken back.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';

const POLICY = '/usr/sbin/policy-rc.d';
const SAVED = '/usr/sbin/policy-rc.d.before-swap-pool';
const FRESH = '/usr/sbin/policy-rc.d.of-swap-pool';
const MARK = '# written by swap-pool, scripts/install.mjs';

/** Nothing of the caller's: npm puts node_modules/.bin first in PATH, and it holds a `semver`, a `parser`. */
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C.UTF-8',
  DEBIAN_FRONTEND: 'noninteractive',
  // Ubuntu's needrestart would restart other people's services
  NEEDRESTART_SUSPEND: '1',
};
for (const [name, value] of Object.entries(process.env)) if (/_proxy$/i.test(name)) ENVIRONMENT[name] = value;

/**
 * Installs the packages, as root. Gives back null, or what went wrong as a sentence and an
 * exit code. Takes apt's lists as they are when they know the packages, and asks for new ones when not.
 *
 * INT, TERM and HUP end a download at once, but wait for dpkg: half an installation helps nobody.
 */
export async function installQuietly(packages) {
  let signal = null;
  let running = null;
  const onSignal = (name) => {
    signal = name;
    if (running !== null) process.kill(-running, 'SIGINT');
    else console.log('setup: one moment, a package is being installed');
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const name of signals) process.on(name, onSignal);

  /** One apt-get, in a process group of its own so that a Ctrl-C is ours to answer. */
  const apt = (argv, mayEnd) =>
    new Promise((resolve) => {
      if (signal !== null) return void resolve({ status: null, output: '' });
      const child = spawn('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...argv], {
        env: ENVIRONMENT,
        cwd: '/',
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      if (mayEnd) running = child.pid;
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes));
      child.on('error', (error) => resolve({ status: null, output: error.message }));
      child.on('close', (status) => {
        running = null;
        resolve({ status, output });
      });
    });

  const install = ['install', '-y', '--no-install-recommends', ...packages];
  const turn = takeTurn();
  try {
    if (!inLists(packages)) await apt(['update'], true);
    let result = await apt([...install, '--download-only'], true);
    if (result.status !== 0) {
      // lists that are too old name versions which the mirror no longer has
      await apt(['update'], true);
      result = await apt([...install, '--download-only'], true);
    }
    if (result.status === 0) {
      const before = bootLinks();
      putPolicy();
      try {
        result = await apt(install, false);
      } finally {
        disable(bootLinks().filter((link) => !before.includes(link)));
        restorePolicy();
      }
    }
    if (signal !== null) return { what: `stopped by ${signal}`, exit: 128 + constants.signals[signal] };
    if (result.status === 0) return null;
    const tail = result.output.trimEnd().split('\n').slice(-15).join('\n');
    return { what: `apt-get ${install.join(' ')} failed:\n${tail}`, exit: 1 };
  } catch (error) {
    return { what: `could not install ${packages.join(' and ')}: ${error.message}`, exit: 1 };
  } finally {
    closeSync(turn);
    for (const name of signals) process.off(name, onSignal);
  }
}

/** Takes back a policy that a setup which was killed has left. Waits for one that is at work. */
export function takeBackPolicy() {
  if (!ourPolicyStands()) return;
  const turn = takeTurn();
  restorePolicy();
  closeSync(turn);
}

/** Whether apt's lists know every one of the packages. */
function inLists(packages) {
  return packages.every((name) => {
    const { stdout } = spawnSync('apt-cache', ['policy', name], { env: ENVIRONMENT, encoding: 'utf8' });
    return /Candidate: [^(]/.test(stdout);
  });
}

/** One setup at a time exchanges the policy; the kernel ends the turn when we end. */
function takeTurn() {
  const folder = openSync('/usr/sbin', 'r');
  spawnSync('flock', ['3'], { stdio: ['ignore', 'ignore', 'ignore', folder] });
  return folder;
}

/**
 * Puts our policy in place, at no moment leaving none. It says no to our own call alone: to what
 * carries our token, and while this very process lives. Should we be killed, what is left behind
 * lets everybody through or asks the policy it replaced, and the next setup removes it.
 */
function putPolicy() {
  restorePolicy();
  const token = `${process.pid}-${startTime()}`;
  ENVIRONMENT.SWAP_POOL_SETUP = token;
  const script = [
    '#!/bin/sh',
    MARK,
    `[ "$SWAP_POOL_SETUP" = ${token} ] && exit 101`,
    `[ "$(sed 's/.*) //' /proc/${process.pid}/stat 2>/dev/null | cut -d' ' -f20)" = ${startTime()} ] && exit 101`,
    `[ -x ${SAVED} ] && exec ${SAVED} "$@"`,
    'exit 0',
    '',
  ];
  writeFileSync(FRESH, script.join('\n'));
  // not writeFileSync's mode: the umask would take its share
  spawnSync('chmod', ['755', FRESH], { env: ENVIRONMENT });
  // link(2) takes a symlink as what it is, and keeps inode, owner, mode and times
  if (present(POLICY)) linkSync(POLICY, SAVED);
  renameSync(FRESH, POLICY);
}

/** What was there before; idempotent. A policy that somebody else has put there since stays. */
function restorePolicy() {
  rmSync(FRESH, { force: true });
  const ours = ourPolicyStands();
  if (ours && present(SAVED)) renameSync(SAVED, POLICY);
  else if (ours) unlinkSync(POLICY);
  else rmSync(SAVED, { force: true });
}

function ourPolicyStands() {
  return existsSync(POLICY) && readFileSync(POLICY, 'latin1').includes(MARK);
}

/** What starts nginx, php or a server that they are measured against at boot: links to units, and to init scripts that are to start. */
function bootLinks() {
  const units = '/etc/systemd/system';
  const folders = [
    ...list(units)
      .filter((name) => name.endsWith('.wants'))
      .map((name) => `${units}/${name}`),
    ...list('/etc')
      .filter((name) => /^rc[0-6S]\.d$/.test(name))
      .map((name) => `/etc/${name}`),
  ];
  return folders.flatMap((folder) =>
    list(folder)
      .filter((name) => /^(S\d\d)?(nginx|php|haproxy|caddy)/.test(name))
      .map((name) => `${folder}/${name}`),
  );
}

function disable(links) {
  for (const link of links.filter((path) => path.startsWith('/etc/systemd/'))) unlinkSync(link);
  // K links instead of none: with none, the package's next update would make S links again
  const scripts = links
    .map((path) => /\/rc[0-6S]\.d\/S\d\d(.+)$/.exec(path))
    .filter((match) => match !== null);
  for (const name of new Set(scripts.map((match) => match[1]))) {
    spawnSync('update-rc.d', [name, 'disable'], { env: ENVIRONMENT, stdio: 'ignore' });
  }
  if (existsSync('/run/systemd/system')) {
    spawnSync('systemctl', ['daemon-reload'], { env: ENVIRONMENT, stdio: 'ignore' });
  }
}

/** Field 22 of /proc/PID/stat: with the pid it names one process for this boot. */
export function startTime() {
  return readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')[19];
}

function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Also for a link that leads nowhere. */
function present(path) {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
