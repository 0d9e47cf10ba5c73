/**
 * nginx with many sites: what nginx's own reload takes then, and what a deploy does.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Sandbox } from '../../src/demo/sandbox.js';
import { otherSlot, type Slot } from '../../src/event.js';
import { now } from '../../src/system/clock.js';
import { run } from '../../src/system/exec.js';
import { metered, type Used } from '../metered.js';
import { APP, must } from '../stage.js';
import { hundredths, median, tenths, type SmallBench } from '../table.js';

const SITES = [1, 100, 1_000, 5_000];
const ROUNDS = 5;

export const sites: SmallBench = {
  name: 'sites',
  run: async (bench) => {
    const { templates, programs, root } = bench;
    const rows: (string | number)[][] = [];
    for (const count of SITES) {
      const medians: Record<string, number> = {};
      for (const by of ['symlink', 'rewrite'] as const) {
        const open = async (): Promise<Sandbox> =>
          must(
            await Sandbox.open({
              templates,
              programs,
              sites: [{ name: APP, switch: by }],
              prepare: (sandbox) => {
                others(sandbox, count - 1);
              },
            }),
          );
        const tool = await open();
        const shell = await open();
        try {
          await metered(bench, tool, ['deploy', APP, '--quiet']);
          await metered(bench, shell, ['deploy', APP, '--quiet']);
          const deploys: Used[] = [];
          const floors: number[] = [];
          let from: Slot = 'blue';
          for (let round = 0; round < ROUNDS; round += 1) {
            deploys.push(await metered(bench, tool, ['deploy', APP, '--quiet']));
            const to = otherSlot(from);
            const site = shell.site();
            const words = [programs.fpm, site.fpmConfig[to], shell.path('run'), APP, from, to];
            const more = by === 'rewrite' ? [programs.nginx, shell.path('nginx.conf'), site.upstream] : [];
            const began = now();
            const ran = await run(['/bin/sh', join(root, `bench/floor-${by}.sh`), ...words, ...more]);
            if (ran.status !== 0) throw new Error(ran.stderr);
            floors.push(now() - began);
            from = to;
          }
          medians[by] = median(deploys.map(({ ms }) => ms));
          medians[`rss ${by}`] = Math.max(...deploys.map(({ rss }) => rss)) / 1e6;
          medians[`cpu ${by}`] = median(deploys.map(({ cpuMs }) => cpuMs));
          medians[`floor ${by}`] = median(floors);
        } finally {
          await tool.close();
          await shell.close();
        }
      }
      const of = (name: string): number => tenths(medians[name] ?? 0);
      rows.push([
        count,
        of('floor symlink'),
        of('symlink'),
        of('cpu symlink'),
        of('floor rewrite'),
        of('rewrite'),
        of('cpu rewrite'),
        hundredths(of('rewrite') / of('floor rewrite')),
        Math.max(of('rss symlink'), of('rss rewrite')),
      ]);
    }
    return {
      name: 'sites',
      title: 'nginx with many sites',
      columns: [
        'sites',
        'shell swap, symlink ms',
        'deploy, symlink ms',
        'its own CPU',
        'shell swap, reload ms',
        'deploy, rewrite ms',
        'its own CPU',
        'by its shell swap',
        'peak RSS MB',
      ],
      rows,
      notes: [
        `A file a site, idle, medians of ${ROUNDS}. The shell swap is the least there is: nginx -t, sed, HUP, wait for the old workers.`,
      ],
      targets: [],
    };
  },
};

function others(sandbox: Sandbox, count: number): void {
  const { port } = sandbox.site();
  for (let n = 0; n < count; n += 1) {
    writeFileSync(
      sandbox.path('sites', `other-${n}.conf`),
      `server {
    listen 127.0.0.1:${port};
    server_name other-${n}.test www.other-${n}.test;
    root ${sandbox.path('www')};
    location / { try_files $uri /index.php?$args; }
    location ~ \\.php$ {
        include fastcgi_params;
        fastcgi_pass unix:/run/other/${n}.sock;
    }
}
`,
    );
  }
}
