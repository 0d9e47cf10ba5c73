/**
 * Makes a fresh clone ready and is silent when it is: node scripts/setup.mjs demo | test | packages | test-packages
 *
 * Node's own modules only, and nothing newer than Node 14 in its syntax: it is the first
 * thing that runs, and has to be able to say that Node is too old. `packages` stops after
 * nginx and php-fpm: it is what somebody without root is asked to run as root. `test-packages` adds what only
 * tests run.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, openSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installQuietly, takeBackPolicy } from './install.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MODES = ['demo', 'test', 'packages', 'test-packages'];

/** What is needed beside Node: how its program is called, and Debian's package that has it. */
const SERVERS = [
  { program: /^nginx$/, debian: 'nginx' },
  { program: /^php-fpm\d*(\.\d+)?$/, debian: 'php-fpm' },
];
/** What the tests run beside them: FastCGI servers that are no PHP. Where they cannot be had those tests are left out. */
const OTHERS = ['spawn-fcgi', 'fcgiwrap', 'libfcgi-perl'];
const FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/usr/local/bin', '/usr/bin'];

await main(process.argv[2]);

async function main(mode) {
  // a reader that went away must not end us between two packages
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  if (!MODES.includes(mode)) return stop(`usage: node scripts/setup.mjs ${MODES.join(' | ')}`, 2);
  const unfit = unfitPlatform();
  if (unfit !== null) return stop(unfit, 1);
  lock();
  const packages = mode === 'packages' || mode === 'test-packages';
  const failed = (await missingServers()) || (packages ? null : await missingModules());
  if (failed !== null) return stop(failed.what, failed.exit);
  if (mode === 'test-packages') {
    const left = await missingOthers();
    if (left !== null) return stop(left, 1);
  }
  if (packages) return;
  const { buildIfStale } = await import('./build.mjs');
  try {
    await buildIfStale();
  } catch (error) {
    return stop(`the build failed: ${error.message}`, 1);
  }
  if (mode !== 'test') return;
  const without = await missingOthers();
  if (without !== null) say(`no other FastCGI servers, their tests are left out (${without})`);
  const { fetchApplication } = await import('./application.mjs');
  const missing = fetchApplication(say);
  if (missing !== null) say(`no real application to test with, that test is left out (${missing})`);
}

/** Why swap-pool cannot run here at all; null when it can. */
function unfitPlatform() {
  if (process.platform !== 'linux')
    return `swap-pool needs Linux (it reads /proc); this is ${process.platform}`;
  const { engines } = readJson('package.json');
  const needed = /(\d+)\.(\d+)/.exec(engines.node).slice(1).map(Number);
  const here = process.versions.node.split('.').map(Number);
  const fits = here[0] > needed[0] || (here[0] === needed[0] && here[1] >= needed[1]);
  return fits ? null : `swap-pool needs Node ${needed.join('.')} or later; this is ${process.version}`;
}

/**
 * Two setups of one clone take turns: `npm ci` empties node_modules first. The lock is on
 * the folder itself, so no file is left; the kernel drops it when we end. Without
 * util-linux's flock nobody waits.
 */
function lock() {
  const folder = openSync(ROOT, 'r');
  const stdio = ['ignore', 'ignore', 'ignore', folder];
  if (spawnSync('flock', ['-n', '3'], { stdio }).status !== 1) return;
  say('waiting for another setup of this folder');
  spawnSync('flock', ['3'], { stdio });
}

/** Sees to nginx and php-fpm. Gives back what stays missing, null when nothing does. */
async function missingServers() {
  if (process.getuid() === 0) takeBackPolicy();
  const missing = SERVERS.filter(({ program }) => !installed(program)).map(({ debian }) => debian);
  if (missing.length === 0) return null;
  const names = missing.join(' and ');
  if (!executable('/usr/bin/apt-get')) {
    return {
      what: `${names} not found in ${FOLDERS.join(' ')}: install with this system's packages`,
      exit: 1,
    };
  }
  if (process.getuid() !== 0) {
    const command = `${process.execPath} ${join(ROOT, 'scripts/setup.mjs')} packages`;
    return { what: `${names} not found; to install without starting anything, as root: ${command}`, exit: 1 };
  }
  say(`installing Debian's ${names} (apt-get install), neither started nor enabled at boot`);
  return installQuietly(missing);
}

/** Sees to the other servers. Gives back why they stay missing, null when they do not. */
async function missingOthers() {
  const perl = spawnSync('perl', ['-MFCGI', '-e', '1'], { stdio: 'ignore' }).status === 0;
  const missing = OTHERS.filter((name) =>
    name === 'libfcgi-perl' ? !perl : !installed(new RegExp(`^${name}$`)),
  );
  if (missing.length === 0) return null;
  const command = `apt-get install ${missing.join(' ')}`;
  if (process.getuid() !== 0 || !executable('/usr/bin/apt-get')) return command;
  say(`installing Debian's ${missing.join(' and ')} (apt-get install), neither started nor enabled at boot`);
  const failed = await installQuietly(missing);
  return failed === null ? null : failed.what.split('\n')[0];
}

function installed(program) {
  return FOLDERS.some((folder) =>
    list(folder).some((name) => program.test(name) && executable(join(folder, name))),
  );
}

/** Sees to node_modules. Gives back why it could not, null when it is in order. */
function missingModules() {
  if (modulesFit()) return null;
  say('installing the npm packages that package-lock.json names (npm ci)');
  // the npm that runs us, where one does
  const own = process.env.npm_execpath;
  const npm = own !== undefined && /npm-cli\.c?js$/.test(own) ? [process.execPath, own] : ['npm'];
  const argv = [...npm, 'ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status, stdout, stderr } = spawnSync(argv[0], argv.slice(1), {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status === 0) return null;
  // npm adds its whole manual to some errors
  const told = `${stdout || ''}${stderr || ''}`.trimEnd().split('\n').slice(0, 25).join('\n');
  return { what: `npm ci failed:\n${told}`, exit: 1 };
}

/**
 * Whether node_modules is what package-lock.json asks for, by npm's own record of what it
 * installed, which it writes last. Optional packages may be missing: most are for other platforms.
 */
function modulesFit() {
  const wanted = readJson('package-lock.json').packages;
  let present;
  try {
    present = readJson('node_modules/.package-lock.json').packages;
  } catch {
    return false;
  }
  const same = (path) =>
    present[path] !== undefined &&
    present[path].version === wanted[path].version &&
    present[path].integrity === wanted[path].integrity;
  return (
    Object.keys(wanted).every(
      (path) => path === '' || same(path) || (!present[path] && wanted[path].optional),
    ) && Object.keys(present).every((path) => wanted[path] !== undefined)
  );
}

function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function readJson(path) {
  return JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
}

function say(line) {
  console.log(`setup: ${line}`);
}

function stop(line, exit) {
  console.error(`setup: ${line}`);
  process.exitCode = exit;
}
