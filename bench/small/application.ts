/**
 * A real application whose code the new pool has not compiled yet: pages of Debian's DokuWiki around a switch.
 * Reported only.
 */
import { existsSync } from 'node:fs';
import { Sandbox } from '../../src/demo/sandbox.js';
import { percentile } from '../../src/demo/summary.js';
import { after, every, now } from '../../src/system/clock.js';
import { DOKUWIKI, PAGES, installWiki, marker } from '../../test/support/wiki.js';
import { metered } from '../metered.js';
import { APP, must, pause } from '../stage.js';
import { tenths, type SmallBench } from '../table.js';

/** Pages a second: what leaves a core free. */
const RATE = 6;
const DEPLOYS = 3;
const BETWEEN_MS = 6_000;

interface Page {
  readonly start: number;
  readonly ms: number;
  readonly by: string;
  readonly right: boolean;
}

export const application: SmallBench = {
  name: 'application',
  run: async (bench) => {
    if (!existsSync(DOKUWIKI)) throw new Error('`node scripts/setup.mjs test` fetches the application');
    const { templates, programs } = bench;
    const locationLines = 'fastcgi_param SERVER_PORT $server_port;';
    const site = { name: APP, switch: 'symlink', locationLines } as const;
    const sandbox = must(await Sandbox.open({ templates, programs, sites: [site], prepare: installWiki }));
    const pages: Page[] = [];
    const firsts: number[][] = [];
    try {
      await metered(bench, sandbox, ['deploy', APP, '--quiet']);
      let asked = 0;
      const stop = every(1000 / RATE, () => {
        asked += 1;
        void ask(sandbox.site().port, asked % PAGES).then((page) => pages.push(page));
      });
      for (let round = 0; round < DEPLOYS; round += 1) {
        await pause(BETWEEN_MS);
        const before = pages.at(-1)?.by;
        const began = now();
        await metered(bench, sandbox, ['deploy', APP, '--quiet']);
        await pause(BETWEEN_MS);
        firsts.push(
          pages
            .filter(({ start, by }) => start > began && by !== before)
            .sort((a, b) => a.start - b.start)
            .map(({ ms }) => ms),
        );
      }
      stop();
      await pause(1000);
    } finally {
      await sandbox.close();
    }
    const steady = firsts.flatMap((ms) => ms.slice(RATE * 3));
    const nth = (from: number, to: number): number[] => firsts.flatMap((ms) => ms.slice(from, to));
    const row = (name: string, ms: readonly number[]): (string | number)[] => [
      name,
      ms.length,
      ...[50, 99, 100].map((p) => tenths(percentile(ms, p))),
    ];
    return {
      name: 'application',
      title: 'A real application with a cold opcache',
      columns: ['pages of the new pool', 'pages', 'p50 ms', 'p99 ms', 'max ms'],
      rows: [
        row('the first', nth(0, 1)),
        row('2nd to 10th', nth(1, 10)),
        row('after three seconds', steady),
        row(
          'wrong or none',
          pages.filter(({ right }) => !right).map(({ ms }) => ms),
        ),
      ],
      notes: [
        `DokuWiki, ${RATE} pages a second, ${DEPLOYS} deploys by symlink, pm = static. The probe asks the new pool for a page three times before anybody else does, so that most of the code is compiled by then: it is what a cold pool costs after a probe that runs the application.`,
      ],
      targets: [],
    };
  },
};

async function ask(port: number, page: number): Promise<Page> {
  const start = now();
  const aborted = new AbortController();
  const cancel = after(30_000, () => {
    aborted.abort();
  });
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/doku.php?id=page${page}`, {
      headers: { connection: 'close' },
      signal: aborted.signal,
    });
    const right = (await answer.text()).includes(marker(page)) && answer.status === 200;
    return { start, ms: now() - start, by: answer.headers.get('x-pool') ?? '', right };
  } catch {
    return { start, ms: now() - start, by: '', right: false };
  } finally {
    cancel();
  }
}
