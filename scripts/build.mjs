/**
 * Bundles src/cli.ts and the packages it uses into dist/, behind the launcher that `bin` names, dist/swap-pool.cjs;
 * dist/licenses.txt carries the notices of what was bundled.
 *
 * Not minified, on purpose: a stack trace stays readable. What costs is code that V8 has to scan, about 12 ms a
 * megabyte, and more when it runs: build() refuses a bundle that loads a package before a
 * command has asked for it.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as bundle } from 'esbuild';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, 'dist');
const LAUNCHER = join(DIST, 'swap-pool.cjs');
const LICENSES = join(DIST, 'licenses.txt');
const ENTRY = 'src/cli.ts';
/** Large packages, without a default export, that many a command does without: a file each, which is compiled when it is asked for. */
const APART = ['execa'];
const require = createRequire(import.meta.url);

/** What takes a millisecond or more to load, and is imported by much that many a command then makes no use of. */
const LATE = /^((node:)?(child_process|crypto|dns\/promises|os)|fs-extra)$/;
/** Gives the program an object in its place, which loads it when it is first asked for one of its properties. */
const late = {
  name: 'late',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: LATE }, ({ path, namespace }) =>
      namespace === 'late' ? null : { path, namespace: 'late' },
    );
    onLoad({ filter: LATE, namespace: 'late' }, ({ path }) => ({
      contents: `for (const name of ${JSON.stringify(Object.keys(require(path)))})
          Object.defineProperty(exports, name, { enumerable: true, get: () => require('${path}')[name] });`,
      resolveDir: ROOT,
    }));
  },
};

/** esbuild's. */
const common = {
  absWorkingDir: ROOT,
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
  plugins: [late],
  logLevel: 'warning',
};
const options = (version) => ({
  ...common,
  entryPoints: [ENTRY],
  outfile: join(DIST, 'program.cjs'),
  external: APART,
  define: { __VERSION__: JSON.stringify(version) },
});
const apart = (name) => ({
  ...common,
  entryPoints: [name],
  outfile: join(DIST, `${name}.cjs`),
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
  const results = await Promise.all([options(version), ...APART.map(apart)].map((each) => bundle(each)));
  if (results.some(({ warnings }) => warnings.length > 0))
    throw new Error('the bundle has warnings, see above');
  const early = loadedAtStart(results[0].metafile.inputs).filter((path) => path.includes('node_modules/'));
  if (early.length > 0) {
    throw new Error(`loaded before any command asked for it, use import(): ${early.join(', ')}`);
  }
  const digests = results.map(({ outputFiles: [{ path, text }] }) => {
    const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
    replace(path, wrapped(text, digest), 0o644);
    return digest;
  });
  replace(LAUNCHER, launcher(version), 0o755);
  const why = await precompile();
  const kept = readdirSync(DIST).filter((name) => name.endsWith('.compiled'));
  if (!digests.every((digest) => kept.some((name) => name.startsWith(digest))))
    console.error(`build: nothing is compiled beforehand, every start takes longer: ${why}`);
  for (const name of kept)
    if (!digests.includes(name.slice(0, 16))) rmSync(join(DIST, name), { force: true });
  const inputs = results.flatMap(({ metafile }) => Object.keys(metafile.inputs));
  // its age tells whether a build is needed: it comes last
  replace(LICENSES, notices(inputs), 0o644);
}

/**
 * As the launcher runs it: a function of what node gives to a CommonJS module, so that the text need not be
 * copied together first. It begins with its digest, in the line that it begins in: a stack trace says where to look.
 */
const wrapped = (text, digest) =>
  `/*${digest}*/(function (require, module, exports, __filename, __dirname) {${text}\n})\n`;

/**
 * What `bin` names. --version is answered without the rest: V8 takes some milliseconds to read over it, even over what
 * is never run. All else is read before anything is run: an upgrade may replace the files under a deploy.
 *
 * Beside each file may lie what V8 made of this very text (its digest is in the name: V8 itself would
 * take any text of the same length for it) with this very build of node. V8 believes every byte of it and dies of a wrong one,
 * so that it comes with a sum: a power cut can leave pages of zeros. Without it the text is compiled anew.
 */
const launcher = (version) => `#!/usr/bin/env node
'use strict';
const asked = process.argv[2];
if (process.argv.length === 3 && (asked === '--version' || asked === '-V')) {
  process.stdout.write(${JSON.stringify(`${version}\n`)});
} else {
  const { readFileSync, realpathSync } = require('node:fs');
  const { dirname } = require('node:path');
  const vm = require('node:vm');
  const { crc32 } = require('node:zlib');
  const self = realpathSync(__filename);
  const home = dirname(self);
  const node = crc32(JSON.stringify([process.versions, process.config]));
  const read = (name) => {
    const filename = \`\${home}/\${name}.cjs\`;
    // esbuild escapes all but ASCII
    const text = readFileSync(filename, 'latin1');
    try {
      const kept = readFileSync(\`\${home}/\${text.slice(2, 18)}-\${process.version}-\${process.arch}.compiled\`);
      const cachedData = kept.subarray(8);
      if (crc32(cachedData, node) === kept.readUInt32LE(0)) return { text, filename, cachedData };
    } catch {}
    return { text, filename };
  };
  const run = ({ text, ...options }) => {
    const module = { exports: {} };
    const script = new vm.Script(text, options);
    script.runInThisContext()(given, module, module.exports, self, home);
    return module.exports;
  };
  const apart = { ${APART.map((name) => `${name}: read('${name}')`).join(', ')} };
  const ran = {};
  const given = (name) => (name in apart ? (ran[name] ??= run(apart[name])) : require(name));
  run(read('program'));
}
`;

/**
 * Keeps V8's compiled forms, after some practice: saves a deploy a third of its time. See practice.mjs. Gives back what it
 * said of why it could not, if it could not.
 */
async function precompile() {
  const { outputFiles } = await bundle({
    entryPoints: [join(ROOT, 'scripts/practice.mjs')],
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    logLevel: 'warning',
  });
  const argv = ['-', LAUNCHER, join(ROOT, 'templates'), join(ROOT, 'scripts/keep-compiled.cjs')];
  const { stdout, stderr, signal, error } = spawnSync(process.execPath, argv, {
    input: outputFiles[0].text,
    encoding: 'utf8',
    timeout: 120_000,
  });
  return `${stdout}${stderr}`.trim() || String(error ?? signal);
}

/** Builds when something that goes into the bundle is younger than it. Says whether it did. */
export async function buildIfStale() {
  const built = statSync(LICENSES, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity;
  const scripts = ['build.mjs', 'practice.mjs', 'keep-compiled.cjs'].map((name) => `scripts/${name}`);
  const sources = ['src', 'templates', 'package.json', 'package-lock.json', ...scripts];
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
  return `swap-pool holds these packages:\n\n${texts.join(`\n${'-'.repeat(72)}\n\n`)}`;
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
