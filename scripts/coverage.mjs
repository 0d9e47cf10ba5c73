/**
 * Which lines of src/ ran: in the tests' own processes, as Vitest tells, and in the program that they run as its
 * users do.
 *
 *     npm run coverage                       runs the tests, then tells
 *     node scripts/coverage.mjs FOLDER       tells of a run with `--coverage` and COVERAGE=FOLDER, as .ci/run does
 *
 * A line counts when esbuild has made code of it. Beside the sum: the files of which the least ran.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { programWithMap } from './build.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SHOWN = 12;

const [given] = process.argv.slice(2);
process.exitCode = given === undefined ? await all() : await tell(given);

async function all() {
  const folder = mkdtempSync(join(tmpdir(), 'swap-pool-coverage-'));
  try {
    // some programs run as somebody else
    chmodSync(folder, 0o1777);
    const argv = [
      'vitest',
      'run',
      '--project',
      'unit',
      '--project',
      'e2e',
      '--reporter=dot',
      ...flags(folder),
    ];
    const { status } = spawnSync('npx', argv, {
      cwd: ROOT,
      stdio: 'inherit',
      env: { ...process.env, COVERAGE: folder },
    });
    return (await tell(folder)) || status;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function flags(folder) {
  return ['--coverage', '--coverage.reporter=json', `--coverage.reportsDirectory=${folder}/vitest`];
}

async function tell(folder) {
  const { program, map } = await programWithMap();
  const { files, sourceOf } = linesOf(program, map);
  const runs = readdirSync(folder).filter((name) => name.endsWith('.lines'));
  for (const name of runs) {
    const bits = readFileSync(join(folder, name));
    for (const [number, { file, line }] of sourceOf) {
      if ((bits[number >> 3] & (1 << (number & 7))) !== 0) files.get(file).set(line, true);
    }
  }
  const inProcess = vitestReport(folder);
  for (const [path, report] of Object.entries(inProcess)) {
    const lines = files.get(relative(ROOT, path));
    if (lines === undefined) continue;
    for (const line of lines.keys()) if (ranAt(report, line)) lines.set(line, true);
  }
  const rows = [...files].map(([file, lines]) => {
    const ran = [...lines.values()].filter(Boolean).length;
    return { file, ran, all: lines.size };
  });
  const sum = rows.reduce((total, { ran, all }) => ({ ran: total.ran + ran, all: total.all + all }), {
    ran: 0,
    all: 0,
  });
  const share = ({ ran, all }) => `${((100 * ran) / all).toFixed(1)} %`;
  console.log(
    `${share(sum)} of the lines of src/ ran: ${sum.ran} of ${sum.all}, in ${rows.length} files, ${runs.length} runs of the program`,
  );
  const least = rows.sort((a, b) => a.ran / a.all - b.ran / b.all).slice(0, SHOWN);
  for (const row of least)
    if (row.ran < row.all)
      console.log(`${share(row).padStart(8)}  ${row.file} (${row.all - row.ran} did not)`);
  if (Object.keys(inProcess).length > 0) return 0;
  console.log('without the tests’ own processes: Vitest has told nothing');
  return 1;
}

/** Lines of src/ by file, none of which ran yet; and for lines of the program, from 0, the source's, from 1. */
function linesOf(program, map) {
  const lines = program.split('\n');
  const files = new Map();
  const sourceOf = new Map();
  const sources = new SourceMap(map);
  lines.forEach((text, number) => {
    const begin = text.search(/\S/);
    // only where a line begins is known whether it ran, and an end of a block is nothing that runs
    if (begin < 0 || /[\])}]/.test(text[begin])) return;
    const { generatedLine, originalSource, originalLine: line } = sources.findEntry(number, begin);
    if (generatedLine !== number) return;
    const file = relative(ROOT, join(ROOT, 'dist', originalSource));
    if (!file.startsWith('src/')) return;
    if (!files.has(file)) files.set(file, new Map());
    files.get(file).set(line + 1, false);
    sourceOf.set(number, { file, line: line + 1 });
  });
  return { files, sourceOf };
}

function vitestReport(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, 'vitest/coverage-final.json'), 'utf8'));
  } catch {
    return {};
  }
}

/** Whether the innermost statement that a line belongs to ran. */
function ranAt({ statementMap, s }, line) {
  let found = null;
  for (const [id, { start, end }] of Object.entries(statementMap)) {
    if (line < start.line || line > end.line) continue;
    const size = end.line - start.line;
    // of two that begin in one line one that ran is enough
    if (found === null || size < found.size || (size === found.size && s[id] > 0))
      found = { size, ran: s[id] > 0 };
  }
  return found?.ran === true;
}
