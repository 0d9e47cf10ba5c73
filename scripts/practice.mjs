/**
 * node - LAUNCHER TEMPLATES KEEP: does in a sandbox, with this machine's nginx and php-fpm, what the program is mostly
 * run for, so that keep-compiled.cjs finds the functions compiled that this takes. Bundled by build.mjs, for
 * src/ is TypeScript, and given on stdin. Says what keeps it from that.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { findPrograms } from '../src/demo/programs.ts';
import { Sandbox } from '../src/demo/sandbox.ts';

/** Twice each: the second deploy has a pool to replace. */
const PRACTICE = ['symlink', 'rewrite', 'symlink', 'rewrite'].map((app) => ['deploy', app, '--quiet']);
PRACTICE.push(['status']);

async function main(launcher, templates, keep) {
  // the sandbox's workers are somebody else, and read what is written here
  process.umask(0o022);
  // on exit a sandbox takes itself away
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  const programs = findPrograms();
  if (!programs.ok) return console.log(`no ${programs.failure.missing.join(' and no ')} to practise with`);
  await Sandbox.removeDead(programs.value);
  const sites = ['symlink', 'rewrite'].map((way) => ({ name: way, switch: way }));
  const sandbox = await Sandbox.open({ templates, programs: programs.value, sites });
  if (!sandbox.ok) return console.log(JSON.stringify(sandbox.failure));
  try {
    const env = { ...sandbox.value.env, PATH: '/usr/bin:/bin' };
    const stdio = ['ignore', 'ignore', 'inherit'];
    const child = spawn(process.execPath, [keep, launcher, JSON.stringify(PRACTICE)], { env, stdio });
    const [status, signal] = await once(child, 'exit');
    if (status !== 0) console.log(`the practice ended with ${signal ?? status}`);
  } finally {
    await sandbox.value.close();
  }
}

void main(...process.argv.slice(2));
