/**
 * How long an old pool that has answered its last request goes on living: from that answer, as a client has it,
 * to the begin of the step whose first act is QUIT.
 */
import { Load } from '../../src/demo/load.js';
import { Sandbox } from '../../src/demo/sandbox.js';
import type { Event } from '../../src/event.js';
import { now, waitUntil, wallClock } from '../../src/system/clock.js';
import { metered } from '../metered.js';
import { APP, must } from '../stage.js';
import { median, tenths, type SmallBench } from '../table.js';

const ROUNDS = 11;

export const quit: SmallBench = {
  name: 'quit',
  run: async (bench) => {
    const rows: (string | number)[][] = [];
    const medians: number[] = [];
    for (const by of ['symlink', 'rewrite'] as const) {
      const { templates, programs } = bench;
      const sandbox = must(await Sandbox.open({ templates, programs, sites: [{ name: APP, switch: by }] }));
      const gaps: number[] = [];
      try {
        await metered(bench, sandbox, ['deploy', APP, '--quiet']);
        const plan = { slow: { every: 250, takes: 1_000 } };
        const load = await Load.start({ port: sandbox.site().port, host: `${APP}.test`, plan });
        for (let round = 0; round < ROUNDS; round += 1) {
          await waitUntil(() => (load.underWay() >= 4 ? true : undefined), { deadline: 10_000 });
          const origin = wallClock() - now();
          let quitAt = 0;
          let from = '';
          await metered(bench, sandbox, ['deploy', APP, '--json', '--quiet'], {
            onLine: (line) => {
              const event = JSON.parse(line) as Event;
              if (event.type !== 'step-started' || event.step !== 'stop') return;
              quitAt = Date.parse(event.time) - origin;
              from = event.slot;
            },
          });
          const ends = load.records
            .filter((one) => one.by?.startsWith(`${from}/`))
            .map(({ start, ms }) => start + ms);
          gaps.push(quitAt - Math.max(...ends.filter((end) => end <= quitAt + 1)));
        }
        load.abandon();
      } finally {
        await sandbox.close();
      }
      medians.push(median(gaps));
      rows.push([by, tenths(median(gaps)), tenths(Math.min(...gaps)), tenths(Math.max(...gaps))]);
    }
    return {
      name: 'quit',
      title: 'From the last old answer to QUIT',
      columns: ['switch', 'median ms', 'least', 'most'],
      rows,
      notes: [
        `${ROUNDS} deploys each, with requests of a second under way; the deploy’s clock tells whole milliseconds.`,
      ],
      targets: [
        {
          what: 'median of the slower switch',
          value: tenths(Math.max(...medians)),
          limit: 30,
          unit: 'ms',
          noisy: true,
        },
      ],
    };
  },
};
