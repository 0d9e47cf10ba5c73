/**
 * Bundles src/cli.ts and every package it uses into dist/swap-pool.cjs, the one file
 * behind `bin`; dist/licenses.txt carries the notices of what was bundled.
 *
 * Not minified, on purpose: a stack trace stays readable, and `--version` took 1.36 times
 * `node -e 0` as it is, 1.35 minified. What costs is code that V8 has to scan, about 12 ms a
 * megabyte, and more when it runs: build() refuses a bundle that loads a package before a
 * command has asked for it.
 */
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as bundle } from 'esbuild';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const OUTPUT = join(ROOT, 'dist/swap-pool.cjs');
const ENTRY = 'src/cli.ts';

/** Builds; throws with a sentence when it cannot. */
export async function build() {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const result = await bundle({
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
    // the notices are collected in licenses.txt instead
    legalComments: 'none',
    define: { __VERSION__: JSON.stringify(version) },
    logLevel: 'warning',
  });
  if (result.warnings.length > 0) throw new Error('the bundle has warnings, see above');
  const early = loadedAtStart(result.metafile.inputs).filter((path) => path.includes('node_modules/'));
  if (early.length > 0) {
    throw new Error(`loaded before any command asked for it, use import(): ${early.join(', ')}`);
  }
  replace(join(ROOT, 'dist/licenses.txt'), notices(Object.keys(result.metafile.inputs)), 0o644);
  // last: its age tells whether a build is needed
  replace(OUTPUT, launched(result.outputFiles[0].text, version), 0o755);
}

/**
 * The program behind a launcher, in one file. --version is answered without compiling the rest:
 * V8 reads over a comment several times faster than over code, even code that is never run, and
 * the bundle is more than a megabyte of it. The launcher compiles the comment under its own line
 * numbers, so that a stack trace says where to look.
 */
function launched(program, version) {
  // the one thing that a comment cannot hold; esbuild escapes all but ASCII, so \\x01 stands nowhere else
  const comment = program.replaceAll('*/', '*\x01/');
  const launcher = `#!/usr/bin/env node
'use strict';
const asked = process.argv[2];
if (process.argv.length === 3 && (asked === '--version' || asked === '-V')) {
  process.stdout.write(${JSON.stringify(`${version}\n`)});
} else {
  const text = require('node:fs').readFileSync(__filename, 'latin1');
  const program = text.slice(text.indexOf('\\n/*PROGRAM') + 10, text.lastIndexOf('\\nPROGRAM*/'));
  require('node:vm').compileFunction(
    program.replaceAll('*\\x01/', '*/'),
    ['require', 'module', 'exports', '__filename', '__dirname'],
    { filename: __filename, lineOffset: LINE },
  )(require, module, exports, __filename, __dirname);
}
`;
  const line = launcher.split('\n').length - 1;
  return `${launcher.replace('LINE', String(line))}/*PROGRAM\n${comment}\nPROGRAM*/\n`;
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
