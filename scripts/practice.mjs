/**
 * node practice.cjs LAUNCHER TEMPLATES KEEP: does in a sandbox, with this machine's nginx and php-fpm, what the program is
 * mostly run for, so that keep-compiled.cjs finds the functions compiled that this takes. Bundled by build.mjs, for
 * src/ is TypeScript. Says on stdout that one of these is missing.
 */
import { spawnSync } from 'node:child_process';
import { findPrograms } from '../src/demo/programs.ts';
import { Sandbox } from '../src/demo/sandbox.ts';

/** Twice each: the second deploy has a pool to replace. */
const PRACTICE = ['symlink', 'rewrite', 'symlink', 'rewrite'].map((app) => ['deploy', app, '--quiet']);
PRACTICE.push(['status']);

async function main(launcher, templates, keep) {
  const programs = findPrograms();
  if (!programs.ok) return `no ${programs.failure.missing.join(' and no ')} to practise with`;
  const sites = ['symlink', 'rewrite'].map((way) => ({ name: way, switch: way }));
  const sandbox = await Sandbox.open({ templates, programs: programs.value, sites });
  if (!sandbox.ok) throw new Error(JSON.stringify(sandbox.failure));
  const { env } = sandbox.value;
  try {
    const ran = spawnSync(process.execPath, [keep, launcher, JSON.stringify(PRACTICE)], {
      env: { ...env, PATH: '/usr/bin:/bin' },
      encoding: 'utf8',
    });
    if (ran.status !== 0) throw new Error(ran.stderr);
  } finally {
    await sandbox.value.close();
  }
  return '';
}

main(...process.argv.slice(2)).then(
  (missing) => process.stdout.write(missing),
  (error) => {
    process.stderr.write(error.message);
    process.exitCode = 1;
  },
);
