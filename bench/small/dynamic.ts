/**
 * The mix on pools that make their workers as they need them. Reported only: whoever deploys such a pool finds it small.
 */
import { swapPool } from '../contenders/swap-pool.js';
import { figuresOf } from '../figures.js';
import { FULL, WORKERS } from '../mix.js';
import { play } from '../row.js';
import type { SmallBench } from '../table.js';

const DEPLOYS = 3;
/** Spare ones and those to begin with, as Debian has them. */
const DYNAMIC = [
  'pm = dynamic',
  'pm.start_servers = 2',
  'pm.min_spare_servers = 1',
  'pm.max_spare_servers = 3',
].join('\n');

export const dynamic: SmallBench = {
  name: 'dynamic',
  run: async (bench) => {
    const rows = [];
    for (const [pm, settings] of [
      ['static', ''],
      ['dynamic', DYNAMIC],
    ] as const) {
      const seen = await play(swapPool('symlink', [], settings), bench, { deploys: DEPLOYS, timing: FULL });
      const { classes, cut } = figuresOf(seen, FULL.tail);
      const fast = classes['fast'];
      if (fast === undefined) throw new Error('no fast requests');
      const { p50, p99, p999, max } = fast.deploying;
      rows.push([pm, cut, p50, p99, p999, max, fast.steady.p999]);
    }
    return {
      name: 'dynamic',
      title: 'pm = dynamic',
      columns: ['pm', 'cut', 'p50', 'p99', 'p99.9', 'max', 'steady p99.9'],
      rows,
      notes: [
        `swap-pool by symlink under the hard mix, ms of the fast class around ${DEPLOYS - 1} of ${DEPLOYS} deploys. dynamic: at most ${WORKERS} workers as in the static pool, ${DYNAMIC.split('\n').slice(1).join(', ')}.`,
        'A dynamic pool makes 1, 2, 4 … workers a second: until it has as many as requests are under way, they queue.',
      ],
      targets: [],
    };
  },
};
