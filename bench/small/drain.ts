/**
 * What waiting for a long drain costs: of half a minute, without what the deploy around it takes, and of five minutes,
 * as long as a drain may last by default, with all of it.
 */
import { deployOver, openServing } from './draining.js';
import { hundredths, type SmallBench } from '../table.js';

const SHORT_MS = 3_000;
const LONG_MS = 33_000;
/** `drain.timeout` counts from a moment later. */
const FIVE_MINUTES_MS = 295_000;
const MANY = 30;

export const drain: SmallBench = {
  name: 'drain',
  run: async (bench) => {
    const sandbox = await openServing(bench);
    const rows: (string | number)[][] = [];
    const shares: number[] = [];
    const note = (requests: number, seconds: number, cpuMs: number, waits: number, ms: number): void => {
      shares.push((100 * cpuMs) / ms);
      rows.push([requests, seconds, hundredths((100 * cpuMs) / ms), hundredths((1000 * waits) / ms)]);
    };
    try {
      for (const requests of [1, MANY]) {
        const short = await deployOver(bench, sandbox, { requests, takes: SHORT_MS });
        const long = await deployOver(bench, sandbox, { requests, takes: LONG_MS });
        const ms = long.ms - short.ms;
        note(requests, (LONG_MS - SHORT_MS) / 1000, long.cpuMs - short.cpuMs, long.waits - short.waits, ms);
      }
      const whole = await deployOver(bench, sandbox, { requests: MANY, takes: FIVE_MINUTES_MS });
      note(MANY, FIVE_MINUTES_MS / 1000, whole.cpuMs, whole.waits, whole.ms);
    } finally {
      await sandbox.close();
    }
    return {
      name: 'drain',
      title: 'A long drain',
      columns: ['requests waited for', 'for s', '% of a core', 'looks a second'],
      rows,
      notes: [
        `The first two: what a drain of ${LONG_MS / 1000} s takes more than one of ${SHORT_MS / 1000} s. The last: a whole deploy, its start and its stop included.`,
      ],
      targets: [
        {
          what: 'a drain',
          value: hundredths(Math.max(...shares)),
          limit: 2,
          unit: '% of a core',
          noisy: true,
        },
      ],
    };
  },
};
