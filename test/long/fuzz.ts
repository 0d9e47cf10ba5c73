/**
 * `npm run fuzz [-- SEED [FIRST [COUNT]]]`: a million mutated nginx configurations through the lexer, every eighth
 * through an exchange of the slots and back. Ends with 1 at the first that is not as it must be, and says how to
 * see it again; one that hangs is ended by its deadline. A whole run writes bench/results/fuzz.txt.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { check, nothingSeen, type Seen } from '../nginx/fuzz.js';

declare const __ROOT__: string;

interface Range {
  readonly seed: number;
  readonly first: number;
  readonly count: number;
}

const WHOLE = 1_000_000;
/** A batch takes a second or two; one that takes this long holds an input that hangs. */
const BATCH = 10_000;
const HUNG = 120_000;

if (isMainThread) void main();
else {
  const { seed, first, count } = workerData as Range;
  for (let begin = first; begin < first + count; begin += BATCH) {
    const seen = nothingSeen();
    for (let number = begin; number < Math.min(begin + BATCH, first + count); number++) {
      try {
        check(seed, number, seen);
      } catch (error) {
        throw new Error(`npm run fuzz -- ${seed} ${number} 1`, { cause: error });
      }
    }
    parentPort?.postMessage(seen);
  }
}

async function main(): Promise<void> {
  const [seed = 1, first = 0, count = WHOLE] = process.argv.slice(2).map(Number);
  const began = performance.now();
  const total = nothingSeen();
  const failure = await run({ seed, first, count }, (seen) => {
    for (const key of Object.keys(total) as (keyof Seen)[])
      total[key] = key === 'slowest' ? Math.max(total[key], seen[key]) : total[key] + seen[key];
  });
  if (failure !== null) {
    console.error(failure);
    process.exitCode = 1;
    return;
  }
  const { maxRSS } = process.resourceUsage();
  const text = `npm run fuzz -- ${seed}: nothing thrown, nothing hung, no byte changed that was not asked for
node ${process.version}, ${new Date().toISOString().slice(0, 10)}

inputs through the lexer        ${total.inputs}
their bytes                     ${total.bytes}
tokens                          ${total.tokens}
inputs that nginx would refuse  ${total.refused}
read as whole configurations    ${total.trees}
exchanged, and back             ${total.exchanged}, ${total.edits} places
slowest input, wall clock       ${total.slowest.toFixed(1)} ms
in all                          ${Math.round((performance.now() - began) / 1000)} s, ${Math.round(maxRSS / 1024)} MB at most
`;
  console.log(text);
  if (count === WHOLE && first === 0) writeFileSync(join(__ROOT__, 'bench/results/fuzz.txt'), text);
}

/** In a thread, so that one that hangs can be told. */
function run(range: Range, tell: (seen: Seen) => void): Promise<string | null> {
  return new Promise((resolve) => {
    const worker = new Worker(__filename, { workerData: range });
    let done = 0;
    const hung = (): NodeJS.Timeout =>
      setTimeout(() => {
        resolve(`hangs: npm run fuzz -- ${range.seed} ${range.first + done} ${BATCH}`);
        void worker.terminate();
      }, HUNG);
    let timer = hung();
    worker.on('message', (seen: Seen) => {
      tell(seen);
      done += seen.inputs;
      clearTimeout(timer);
      timer = hung();
    });
    worker.on('error', (error: Error) => {
      clearTimeout(timer);
      resolve(`${error.message}\n${String((error.cause as Error | undefined)?.stack)}`);
    });
    worker.on('exit', () => {
      clearTimeout(timer);
      resolve(null);
    });
  });
}
