/**
 * A node preload: writes which lines of the shipped bundle ran into the folder that COVERAGE names, a bit a line,
 * when the process ends. What NODE_V8_COVERAGE writes is half a megabyte a run, for thousands of runs, and knows of
 * what comes from the compiled cache only which functions were called. Who is killed writes nothing: what is told is the least that ran.
 */
const { writeFileSync } = require('node:fs');
const { Session } = require('node:inspector');
const vm = require('node:vm');

const folder = process.env.COVERAGE;
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });

vm.Script = class extends vm.Script {
  constructor(text, options) {
    // what was compiled before, without us, knows functions alone and not what of them ran
    super(text, { ...options, cachedData: undefined });
    // packages apart are not ours to count
    if (!options.filename.endsWith('/program.cjs')) return;
    process.on('exit', () => {
      session.post('Profiler.takePreciseCoverage', (error, taken) => {
        const own = error ? null : taken.result.find((one) => one.url.endsWith(options.filename));
        if (own) write(text, own.functions);
      });
    });
  }
};

function write(text, functions) {
  const ran = new Uint8Array(text.length);
  // of a function the outer range comes first, and what did not run in it after it
  const ranges = functions.flatMap((one) => one.ranges);
  ranges.sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  for (const { startOffset, endOffset, count } of ranges) ran.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  const lines = text.split('\n');
  const bits = Buffer.alloc(Math.ceil(lines.length / 8));
  let at = 0;
  lines.forEach((line, number) => {
    const begin = line.search(/\S/);
    if (begin >= 0 && ran[at + begin] === 1) bits[number >> 3] |= 1 << (number & 7);
    at += line.length + 1;
  });
  try {
    writeFileSync(`${folder}/${process.pid}-${process.hrtime.bigint()}.lines`, bits);
  } catch {
    // an ordinary user's, or the folder is gone: not told
  }
}
