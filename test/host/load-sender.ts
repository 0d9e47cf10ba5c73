/**
 * The load sender as a program, for the network of a host: `node load-sender.cjs OPTIONS`, which are
 * LoadOptions as JSON. Says a line of JSON for every record and for every change of what is under way;
 * when its input ends it sends no more, waits for what is under way, and ends.
 */
import { Load, type LoadClass, type LoadOptions } from '../../src/demo/load.js';
import { every, now, wallClock } from '../../src/system/clock.js';

const CLASSES: readonly LoadClass[] = [
  'fast',
  'slow',
  'upload',
  'post',
  'idle-keep-alive',
  'finish',
  'burst',
];

void send(JSON.parse(process.argv[2] ?? '') as LoadOptions);

async function send(options: LoadOptions): Promise<void> {
  // two processes have two clocks that begin when they begin
  const origin = wallClock() - now();
  const load = await Load.start(options);
  let told = 0;
  let before = '';
  const tell = (): void => {
    for (const record of load.records.slice(told)) {
      say({ record: { ...record, start: record.start + origin } });
      told += 1;
    }
    const underWay = Object.fromEntries(CLASSES.map((name) => [name, load.underWay(name)]));
    const state = JSON.stringify(underWay);
    if (state !== before) say({ underWay });
    before = state;
  };
  const stopTelling = every(20, tell);
  await new Promise((ended) => process.stdin.on('end', ended).resume());
  await load.stop();
  stopTelling();
  tell();
}

function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
