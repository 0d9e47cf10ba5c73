/**
 * What waiting for a long drain costs. Not five minutes long: a drain that lasts looks less and less often, so its share of
 * a core is at most that of the seconds by which a longer one is longer.
 */
import { deployOver, openServing } from './draining.js';
import { hundredths, type SmallBench } from '../table.js';

const SHORT_MS = 3_000;
const LONG_MS = 23_000;

export const drain: SmallBench = {
  name: 'drain',
  run: async (bench) => {
    const sandbox = await openServing(bench);
    const rows: (string | number)[][] = [];
    const shares: number[] = [];
    try {
      for (const requests of [1, 30]) {
        const short = await deployOver(bench, sandbox, { requests, takes: SHORT_MS });
        const long = await deployOver(bench, sandbox, { requests, takes: LONG_MS });
        const share = (100 * (long.cpuMs - short.cpuMs)) / (long.ms - short.ms);
        const rate = (1000 * (long.waits - short.waits)) / (long.ms - short.ms);
        shares.push(share);
        rows.push([requests, hundredths(share), hundredths(rate)]);
      }
    } finally {
      await sandbox.close();
    }
    return {
      name: 'drain',
      title: 'A long drain',
      columns: ['requests waited for', '% of a core', 'looks a second'],
      rows,
      notes: [
        `From a drain of ${LONG_MS / 1000} s and one of ${SHORT_MS / 1000} s: what the seconds between them take. A drain never looks more often than it did before, so that five minutes take no larger share.`,
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
