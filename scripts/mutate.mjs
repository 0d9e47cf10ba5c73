/**
 * Mutation testing of what everything else leans on: the lexer, the edits, the FastCGI records, the state of a
 * journal, and who a process is. `npm run mutate`, some ten minutes on two cores; `-- FILE` for one of them.
 *
 * Exit 1 when a file is below its share of killed mutants. A whole run writes bench/results/mutation.txt.
 */
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Stryker has a package.json of its own: it is as large as everything else together, and few will ever run it. */
const TOOL = join(ROOT, 'scripts/mutate');
const LEAST = 90;
const RESULT = 'bench/results/mutation.txt';
const SCRATCH = '.stryker-tmp';
/** Every mutant, for who wants to read them. */
const REPORTS = 'node_modules/.cache/mutation';

/** All of a file, or of its lines from the one that begins so to the end of the function that begins so. */
const FILES = [
  { path: 'src/nginx/lexer.ts', tests: ['nginx/lexer', 'nginx/fuzz'] },
  { path: 'src/nginx/edit.ts', tests: ['nginx/edit', 'nginx/exchange'] },
  { path: 'src/fastcgi/record.ts', tests: ['fastcgi/record'] },
  { path: 'src/deploy/state.ts', tests: ['deploy/state', 'deploy/journal'] },
  {
    path: 'src/system/proc.ts',
    tests: ['system/proc'],
    parts: [
      ['export function procfs', 'export function readStat'],
      ['/** Whether a state means', 'export function signalProcess'],
    ],
  },
];

process.chdir(ROOT);
const wanted = process.argv[2];
const files = FILES.filter(({ path }) => wanted === undefined || path === wanted);
if (files.length === 0) {
  console.error(`usage: npm run mutate [-- ${FILES.map(({ path }) => path).join(' | ')}]`);
  process.exit(2);
}

const Stryker = await stryker();
try {
  const results = [];
  for (const file of files) results.push(...(await mutate(file)));
  const table = summary(results);
  console.log(table.text);
  if (wanted === undefined) writeFileSync(RESULT, table.text);
  if (table.least < LEAST) process.exitCode = 1;
} finally {
  rmSync(SCRATCH, { recursive: true, force: true });
}

async function stryker() {
  const own = join(TOOL, 'node_modules/@stryker-mutator');
  if (!existsSync(own)) {
    const argv = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
    const { status } = spawnSync('npm', argv, { cwd: TOOL, stdio: 'inherit' });
    if (status !== 0) process.exit(1);
  }
  return (await import(pathToFileURL(join(own, 'core/dist/src/index.js')).href)).Stryker;
}

function mutate(file) {
  // read by test/long/mutate.config.ts, in the processes that Stryker starts
  process.env.MUTATE_TESTS = file.tests.join(' ');
  return new Stryker({
    mutate: rangesOf(file),
    testRunner: 'vitest',
    plugins: [join(TOOL, 'node_modules/@stryker-mutator/vitest-runner/dist/src/index.js')],
    vitest: { configFile: 'test/long/mutate.config.ts', related: false },
    coverageAnalysis: 'perTest',
    concurrency: Math.min(2, cpus().length),
    timeoutMS: 5000,
    tempDirName: SCRATCH,
    reporters: ['clear-text', 'json'],
    jsonReporter: { fileName: join(REPORTS, `${basename(file.path)}.json`) },
    clearTextReporter: { allowEmojis: false, reportTests: false, logTests: false },
    allowConsoleColors: false,
  }).runMutationTest();
}

function rangesOf({ path, parts }) {
  if (parts === undefined) return [path];
  const lines = readFileSync(path, 'utf8').split('\n');
  return parts.map(([from, to]) => {
    const begin = lines.findIndex((line) => line.startsWith(from));
    const last = lines.findIndex((line) => line.startsWith(to));
    const end = lines.indexOf('}', last);
    if (begin < 0 || last < begin || end < 0) throw new Error(`${path}: ${from} … ${to} is not there`);
    return `${path}:${begin + 1}-${end + 1}`;
  });
}

/** A mutant that makes a test run without end is as dead as one that makes it fail. */
function summary(results) {
  const rows = files.map(({ path, parts }) => {
    const own = results.filter((each) => each.fileName.endsWith(path));
    const count = (...statuses) => own.filter(({ status }) => statuses.includes(status)).length;
    const dead = count('Killed', 'Timeout');
    const alive = count('Survived', 'NoCoverage');
    const part = parts === undefined ? '' : ' (who a process is)';
    return { name: path + part, dead, all: dead + alive, share: (100 * dead) / Math.max(1, dead + alive) };
  });
  const total = rows.reduce((sum, { dead, all }) => ({ dead: sum.dead + dead, all: sum.all + all }), {
    dead: 0,
    all: 0,
  });
  const line = ({ name, dead, all }) =>
    `${name.padEnd(52)} ${String(dead).padStart(5)} of ${String(all).padStart(5)}  ${((100 * dead) / all).toFixed(1).padStart(5)} %`;
  const { version } = JSON.parse(
    readFileSync(join(TOOL, 'node_modules/@stryker-mutator/core/package.json'), 'utf8'),
  );
  const text = [
    `npm run mutate: mutants killed, of those that a test could see. Stryker ${version}, node ${process.version}, ${new Date().toISOString().slice(0, 10)}`,
    '',
    ...rows.map(line),
    line({ name: 'all', ...total }),
    '',
  ].join('\n');
  return { text, least: Math.min(...rows.map(({ share }) => share)) };
}
