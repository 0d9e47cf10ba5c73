/**
 * Bundles src/cli.ts and every package it uses into dist/swap-pool.cjs, the one file
 * behind `bin`; dist/licenses.txt carries the notices of what was bundled.
 *
 * Not minified, on purpose: a stack trace stays readable, and `--version` took 1.36 times
 * `node -e 0` as it is, 1.35 minified. What costs is code that V8 has to scan, about 12 ms a
 * megabyte, and more when it runs: build() refuses a bundle that loads a package before a
 * command has asked for it.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as bundle } from 'esbuild';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const OUTPUT = join(ROOT, 'dist/swap-pool.cjs');
const ENTRY = 'src/cli.ts';

/** esbuild's. */
const options = (version) => ({
  absWorkingDir: ROOT,
  entryPoints: [ENTRY],
  outfile: OUTPUT,
  write: false,
  metafile: true,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  // CommonJS: node starts it faster than an ES module, and import() becomes a lazy call
  format: 'cjs',
  // of node's own modules, too: what runs in a vm.Script has no loader for import()
  supported: { 'dynamic-import': false },
  // the notices are collected in licenses.txt instead
  legalComments: 'none',
  define: { __VERSION__: JSON.stringify(version) },
  logLevel: 'warning',
});

/** The program as build() bundles it, and its source map, of which nothing is shipped. */
export async function programWithMap() {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const { outputFiles } = await bundle({ ...options(version), sourcemap: 'external' });
  const of = (ending) => outputFiles.find(({ path }) => path.endsWith(ending)).text;
  return { program: of('.cjs'), map: JSON.parse(of('.map')) };
}

/** Builds; throws with a sentence when it cannot. */
export async function build() {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const result = await bundle(options(version));
  if (result.warnings.length > 0) throw new Error('the bundle has warnings, see above');
  const early = loadedAtStart(result.metafile.inputs).filter((path) => path.includes('node_modules/'));
  if (early.length > 0) {
    throw new Error(`loaded before any command asked for it, use import(): ${early.join(', ')}`);
  }
  replace(join(ROOT, 'dist/licenses.txt'), notices(Object.keys(result.metafile.inputs)), 0o644);
  const program = result.outputFiles[0].text;
  const digest = createHash('sha256').update(program).digest('hex').slice(0, 16);
  // its age tells whether a build is needed
  replace(OUTPUT, launched(program, version, digest), 0o755);
  precompile(digest);
}

/**
 * The program behind a launcher, in one file. --version is answered without compiling the rest:
 * V8 reads over a comment several times faster than over code, even code that is never run, and
 * the bundle is more than a megabyte of it. The program is compiled under its own line numbers, so
 * that a stack trace says where to look.
 *
 * Beside it may lie what V8 made of this very program (its digest is in the name: V8 itself would
 * take any text of the same length for it) with this very node. Without it the program is compiled anew.
 */
function launched(program, version, digest) {
  // the one thing that a comment cannot hold; esbuild escapes all but ASCII, so \x01 stands nowhere else
  const comment = program.replaceAll('*/', '*\x01/');
  const launcher = `#!/usr/bin/env node
'use strict';
const asked = process.argv[2];
if (process.argv.length === 3 && (asked === '--version' || asked === '-V')) {
  process.stdout.write(${JSON.stringify(`${version}\n`)});
} else {
  const { readFileSync } = require('node:fs');
  const { Script } = require('node:vm');
  const text = readFileSync(__filename, 'latin1');
  const comment = text.slice(text.indexOf('\\n/*PROGRAM') + 10, text.lastIndexOf('\\nPROGRAM*/'));
  const program = comment.replaceAll('*\\x01/', '*/');
  let cachedData;
  try {
    cachedData = readFileSync(\`\${__dirname}/${digest}-\${process.version}-\${process.arch}.compiled\`);
  } catch {}
  const wrapped = \`(function (require, module, exports, __filename, __dirname) {\${program}\\n})\`;
  const script = new Script(wrapped, { filename: __filename, lineOffset: LINE, cachedData });
  script.runInThisContext()(require, module, exports, __filename, __dirname);
}
`;
  const line = launcher.split('\n').length - 1;
  return `${launcher.replace('LINE', String(line))}/*PROGRAM\n${comment}\nPROGRAM*/\n`;
}

/**
 * Keeps V8's compiled form of the program, after a run that calls much of what a deploy calls: a dry
 * run for an app whose php-fpm is a script and whose nginx does not run. Saves a deploy about 50 of
 * 300 ms.
 */
function precompile(digest) {
  const folder = mkdtempSync(join(tmpdir(), 'swap-pool-build-'));
  const write = (name, text, mode = 0o644) => writeFileSync(join(folder, name), text, { mode });
  try {
    const said = ['[global]', `\tpid = ${folder}/$SWAP_POOL_SLOT.pid`, '[app]']
      .concat(`\tlisten = ${folder}/$SWAP_POOL_SLOT.sock`, '\tpm = static', '\tpm.max_children = 1')
      .map((line) => `echo "[date] NOTICE: ${line}" >&2\n`);
    write('php-fpm', `#!/bin/sh\n${said.join('')}`, 0o755);
    write('app.conf', '[app]\n');
    write('nginx.conf', `events {}\nhttp { upstream app { server unix:${folder}/blue.sock; } }\n`);
    write(
      'app.yaml',
      `pool: { config: app.conf, binary: php-fpm }\nnginx: { config: nginx.conf, binary: /bin/true }\n`,
    );
    const compiled = join(ROOT, `dist/${digest}-${process.version}-${process.arch}.compiled`);
    const preload = join(ROOT, 'scripts/keep-compiled.cjs');
    const run = ['--require', preload, OUTPUT, 'deploy', '--dry-run', '-q', '-c', join(folder, 'app.yaml')];
    const env = { COMPILED: compiled, SWAP_POOL_STATE_DIR: folder };
    const { status, stderr } = spawnSync(process.execPath, run, { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`the run whose compiled form is kept failed: ${stderr}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
  for (const name of readdirSync(join(ROOT, 'dist'))) {
    if (name.endsWith('.compiled') && !name.startsWith(digest))
      rmSync(join(ROOT, 'dist', name), { force: true });
  }
}

/** Builds when something that goes into the bundle is younger than it. Says whether it did. */
export async function buildIfStale() {
  const built = statSync(OUTPUT, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity;
  const sources = ['src', 'package.json', 'package-lock.json', 'scripts/build.mjs'];
  if (Math.max(...sources.map((path) => newest(join(ROOT, path)))) < built) return false;
  await build();
  return true;
}

/** vitest's globalSetup: no test runs a bundle that is older than what it was made from. */
export const setup = async () => {
  await buildIfStale();
};

/** The time of the youngest file or folder there; a folder's own time tells of removed files. */
function newest(path) {
  const entry = statSync(path);
  if (!entry.isDirectory()) return entry.mtimeMs;
  return Math.max(entry.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/** Every input that is evaluated when the bundle starts: all that static imports reach. */
function loadedAtStart(inputs) {
  const seen = new Set();
  const visit = (path) => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const { path: next, kind, external } of inputs[path].imports) {
      if (kind !== 'dynamic-import' && external !== true) visit(next);
    }
  };
  visit(ENTRY);
  return [...seen];
}

/** The licence of every bundled package, once. MIT and ISC ask that it goes along. */
function notices(inputs) {
  const folders = new Set(
    inputs.map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]).filter(Boolean),
  );
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));
    const file = readdirSync(join(ROOT, folder)).find((entry) => /^licen[cs]e(\.(md|txt))?$/i.test(entry));
    const text = file === undefined ? '' : readFileSync(join(ROOT, folder, file), 'utf8').trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  return `swap-pool.cjs holds these packages:\n\n${texts.join(`\n${'-'.repeat(72)}\n\n`)}`;
}

/** By rename, so that a swap-pool that starts at this moment never reads half a file. */
function replace(path, contents, mode) {
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, contents);
  chmodSync(fresh, mode);
  renameSync(fresh, path);
}

// run, not imported
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    await build();
  } catch (error) {
    console.error(`build: ${error.message}`);
    process.exitCode = 1;
  }
}
