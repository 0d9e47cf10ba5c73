/**
 * How long an idle deploy takes beside the least a shell can do, and --version beside
 * `node -e 0`: everything in one run, in turns, as medians and ratios, because machines are noisy.
 *
 * Exits 1 when a ratio is over its limit.
 */
import { join } from 'node:path';
import { Sandbox } from '../src/demo/sandbox.js';
import { findPrograms } from '../src/demo/programs.js';
import type { Programs } from '../src/demo/programs.js';
import { otherSlot } from '../src/event.js';
import type { Slot, SwitchKind } from '../src/event.js';
import { now } from '../src/system/clock.js';
import { run } from '../src/system/exec.js';

declare const __ROOT__: string;

const ROUNDS = Number(process.env['ROUNDS'] ?? 21);
const CLI = join(__ROOT__, 'dist/swap-pool.cjs');
const APP = 'bench';

interface Row {
  readonly what: string;
  readonly ms: number;
  readonly of: string;
  readonly ratio: number;
  readonly limit: number;
}

async function timed(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  const began = now();
  const ran = await run(argv, { env, timeout: 60_000 });
  const ms = now() - began;
  if (ran.status !== 0)
    throw new Error(`${argv.join(' ')}: ${ran.failure ?? ''}\n${ran.stdout}${ran.stderr}`);
  return ms;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** A sandbox with the blue pool serving. */
async function open(programs: Programs, by: SwitchKind): Promise<Sandbox> {
  const templates = join(__ROOT__, 'templates');
  const opened = await Sandbox.open({ templates, programs, sites: [{ name: APP, switch: by }] });
  if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
  await timed([process.execPath, CLI, 'deploy', APP, '--quiet'], opened.value.env);
  return opened.value;
}

async function main(): Promise<void> {
  const found = findPrograms();
  if (!found.ok) throw new Error(JSON.stringify(found.failure));
  const programs = found.value;
  const fpm = programs.fpm;
  const times = new Map<string, number[]>();
  const note = (what: string, ms: number): void => {
    times.set(what, [...(times.get(what) ?? []), ms]);
  };
  const sandboxes: Sandbox[] = [];
  try {
    for (const by of ['symlink', 'rewrite'] as const) {
      const tool = await open(programs, by);
      sandboxes.push(tool);
      const shell = await open(programs, by);
      sandboxes.push(shell);
      let from: Slot = 'blue';
      for (let round = 0; round < ROUNDS; round += 1) {
        note('node -e 0', await timed([process.execPath, '-e', '0']));
        note('--version', await timed([process.execPath, CLI, '--version']));
        const to = otherSlot(from);
        const site = shell.site();
        const floor = [fpm, site.fpmConfig[to], shell.path('run'), APP, from, to];
        const more = by === 'rewrite' ? [programs.nginx, shell.path('nginx.conf'), site.upstream] : [];
        note(
          `floor ${by}`,
          await timed(['/bin/sh', join(__ROOT__, `bench/floor-${by}.sh`), ...floor, ...more]),
        );
        note(`deploy ${by}`, await timed([process.execPath, CLI, 'deploy', APP, '--quiet'], tool.env));
        from = to;
      }
    }
  } finally {
    for (const sandbox of sandboxes) await sandbox.close();
  }
  report(times);
}

function report(times: ReadonlyMap<string, readonly number[]>): void {
  const of = (what: string): number => median(times.get(what) ?? []);
  const node = of('node -e 0');
  const rows: Row[] = [
    { what: '--version', ms: of('--version'), of: 'node -e 0', ratio: of('--version') / node, limit: 1.5 },
    ...(['symlink', 'rewrite'] as const).map((by) => ({
      what: `deploy by ${by}, idle`,
      ms: of(`deploy ${by}`),
      of: `node -e 0 + shell swap (${Math.round(node)} + ${Math.round(of(`floor ${by}`))} ms)`,
      ratio: of(`deploy ${by}`) / (node + of(`floor ${by}`)),
      limit: 3,
    })),
  ];
  process.stdout.write(`median of ${ROUNDS} rounds\n`);
  for (const { what, ms, of: base, ratio, limit } of rows) {
    const verdict = ratio <= limit ? 'ok' : 'TOO SLOW';
    process.stdout.write(
      `${what.padEnd(26)} ${String(Math.round(ms)).padStart(5)} ms  ${ratio.toFixed(2)} x ${base}, at most ${limit}: ${verdict}\n`,
    );
    if (ratio > limit) process.exitCode = 1;
  }
}

void main();
