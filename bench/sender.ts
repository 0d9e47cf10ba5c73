/**
 * The load sender in a process of its own, so that nothing but the load turns its event loop.
 * `node sender.cjs OPTIONS`: LoadOptions as JSON, and the file that gets the records, one in a line as
 * soon as it is there, so that none is kept in memory. Each line of its stdin is a burst; at its end it
 * sends no more, waits for what is under way, and tells how late its loop was.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { Load, type LoadOptions } from '../src/demo/load.js';
import { every, now, wallClock } from '../src/system/clock.js';
import { packed, type SenderEnd, type SenderOptions } from './record.js';

/** How often records are written, and how often the loop's lateness is looked at, ms. */
const WRITE = 50;
const LOOK = 5;

async function send(options: LoadOptions, file: string): Promise<void> {
  // two processes have two clocks that begin when they begin
  const origin = wallClock() - now();
  const records = openSync(file, 'a');
  const delay = monitorEventLoopDelay({ resolution: LOOK });
  const load = await Load.start(options);
  let written = 0;
  const write = (): void => {
    const taken = load.records.splice(0);
    if (taken.length === 0) return;
    writeSync(records, taken.map((record) => `${packed(record, origin)}\n`).join(''));
    written += taken.length;
  };
  const stop = every(WRITE, write);
  delay.enable();
  process.stdout.write('ready\n');
  for await (const line of createInterface({ input: process.stdin })) {
    load.burst(JSON.parse(line) as Parameters<Load['burst']>[0]);
  }
  delay.disable();
  await load.stop();
  stop();
  write();
  closeSync(records);
  // its figures are whole times between two looks, in ns
  const ms = (ns: number): number => Math.max(0, Math.round(ns / 1e5) / 10 - LOOK);
  const end: SenderEnd = {
    records: written,
    lag: { p50: ms(delay.percentile(50)), p99: ms(delay.percentile(99)), max: ms(delay.max) },
    peakRss: process.resourceUsage().maxRSS * 1024,
  };
  process.stdout.write(`${JSON.stringify(end)}\n`);
}

// whoever listens has been ended: nobody wants the records any more
process.stdout.on('error', () => process.exit(1));
const { file, ...options } = JSON.parse(process.argv[2] ?? '') as SenderOptions;
void send(options, file);
