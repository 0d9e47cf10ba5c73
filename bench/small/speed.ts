/**
 * How long an idle deploy takes beside the least a shell can do, and the commands that only look beside
 * `node -e 0`: everything in one run, in turns, as medians and ratios, because machines are noisy.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Sandbox } from '../../src/demo/sandbox.js';
import { otherSlot } from '../../src/event.js';
import type { Slot, SwitchKind } from '../../src/event.js';
import { now } from '../../src/system/clock.js';
import { run } from '../../src/system/exec.js';
import type { Bench } from '../contender.js';
import { APP, must } from '../stage.js';
import { hundredths, median, tenths, type SmallBench, type Target } from '../table.js';

const LOADED = 'a command that has nothing to do';
const REFUSED = 'a configuration that is read, and refused';
const ROUNDS = { quick: 5, full: 21 };

async function timed(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  mayFail = false,
): Promise<number> {
  const began = now();
  const ran = await run(argv, { env, timeout: 60_000 });
  const ms = now() - began;
  if (ran.status !== 0 && !mayFail)
    throw new Error(`${argv.join(' ')}: ${ran.failure ?? ''}\n${ran.stdout}${ran.stderr}`);
  return ms;
}

/** A sandbox with the blue pool serving. */
async function open({ templates, programs, cli }: Bench, by: SwitchKind): Promise<Sandbox> {
  const sandbox = must(await Sandbox.open({ templates, programs, sites: [{ name: APP, switch: by }] }));
  await timed([process.execPath, cli, 'deploy', APP, '--quiet'], sandbox.env);
  return sandbox;
}

/** A configuration folder whose one app is the sandbox's, with a key that there is not. */
function withUnknownKey(sandbox: Sandbox): string {
  const folder = sandbox.path('temp', 'refused');
  mkdirSync(folder);
  const text = readFileSync(sandbox.path('config', `${APP}.yaml`), 'utf8');
  writeFileSync(join(folder, `${APP}.yaml`), `${text}colour: red\n`);
  return folder;
}

export const speed: SmallBench = {
  name: 'speed',
  run: async (bench, { quick }) => {
    const { cli, programs, root } = bench;
    const rounds = Number(process.env['ROUNDS'] ?? (quick ? ROUNDS.quick : ROUNDS.full));
    const times = new Map<string, number[]>();
    const note = (what: string, ms: number): void => {
      times.set(what, [...(times.get(what) ?? []), ms]);
    };
    const sandboxes: Sandbox[] = [];
    try {
      for (const by of ['symlink', 'rewrite'] as const) {
        const tool = await open(bench, by);
        sandboxes.push(tool);
        const shell = await open(bench, by);
        sandboxes.push(shell);
        const refused = withUnknownKey(tool);
        let from: Slot = 'blue';
        for (let round = 0; round < rounds; round += 1) {
          const node = (...words: string[]): readonly string[] => [process.execPath, ...words];
          note('node -e 0', await timed(node('-e', '0')));
          note('--version', await timed(node(cli, '--version')));
          note('status', await timed(node(cli, 'status'), tool.env));
          // it finds no app and ends: what every command but --version pays before it does anything
          note(LOADED, await timed(node(cli, 'status'), { SWAP_POOL_CONFIG_DIR: tool.path('temp') }, true));
          // what every command pays that is about an app, before it looks at anything
          note(REFUSED, await timed(node(cli, 'status'), { SWAP_POOL_CONFIG_DIR: refused }, true));
          // findings are no failure here
          if (!quick) note('doctor', await timed(node(cli, 'doctor'), tool.env, true));
          const to = otherSlot(from);
          const site = shell.site();
          const floor = [programs.fpm, site.fpmConfig[to], shell.path('run'), APP, from, to];
          const more = by === 'rewrite' ? [programs.nginx, shell.path('nginx.conf'), site.upstream] : [];
          const script = join(root, `bench/floor-${by}.sh`);
          note(`floor ${by}`, await timed(['/bin/sh', script, ...floor, ...more]));
          note(`deploy ${by}`, await timed(node(cli, 'deploy', APP, '--quiet'), tool.env));
          from = to;
        }
      }
    } finally {
      for (const sandbox of sandboxes) await sandbox.close();
    }
    const of = (what: string): number => median(times.get(what) ?? []);
    const node = of('node -e 0');
    const rows = [
      { what: '--version', base: node, of: 'node -e 0', limit: 1.4 },
      { what: LOADED, base: node, of: 'node -e 0', limit: null },
      { what: REFUSED, base: node, of: 'node -e 0', limit: null },
      { what: 'status', base: node, of: 'node -e 0', limit: 2 },
      ...(quick ? [] : [{ what: 'doctor', base: node, of: 'node -e 0', limit: null }]),
      ...(['symlink', 'rewrite'] as const).map((by) => ({
        what: `deploy ${by}`,
        base: node + of(`floor ${by}`),
        of: `node -e 0 + shell swap (${tenths(node)} + ${tenths(of(`floor ${by}`))} ms)`,
        limit: 3,
      })),
    ];
    return {
      name: 'speed',
      title: 'Start-up, and an idle deploy beside the least a shell can do',
      columns: ['', 'ms', 'least ms', 'times', 'of'],
      rows: rows.map(({ what, base, of: than }) => [
        what,
        tenths(of(what)),
        tenths(Math.min(...(times.get(what) ?? []))),
        hundredths(of(what) / base),
        than,
      ]),
      notes: [`Medians of ${rounds} rounds each switch, in turns. No load; the floor checks nothing.`],
      targets: rows.flatMap(({ what, base, limit }): Target[] =>
        limit === null
          ? []
          : [
              {
                what: `${what} by its base`,
                value: hundredths(of(what) / base),
                limit,
                unit: 'times',
                noisy: true,
              },
            ],
      ),
    };
  },
};
