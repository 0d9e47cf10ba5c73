/**
 * Runs swap-pool and tells what it has used.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sandbox } from '../src/demo/sandbox.js';
import { now } from '../src/system/clock.js';
import { run } from '../src/system/exec.js';
import type { Bench } from './contender.js';

export interface Used {
  /** Wall time, ms. */
  readonly ms: number;
  readonly cpuMs: number;
  /** Bytes, at most. */
  readonly rss: number;
  readonly fsyncs: number;
  readonly fsyncMs: number;
  /** One before each look. */
  readonly waits: number;
}

export async function metered(
  { cli, root }: Bench,
  sandbox: Sandbox,
  args: readonly string[],
  more: { readonly mayFail?: boolean; readonly onLine?: (line: string) => void } = {},
): Promise<Used> {
  const file = sandbox.path('meter');
  const argv = [process.execPath, '--require', join(root, 'bench/small/meter.cjs'), cli, ...args];
  const began = now();
  const { onLine } = more;
  const env = { ...sandbox.env, METER: file };
  const ran = await run(argv, { env, timeout: 400_000, ...(onLine === undefined ? {} : { onLine }) });
  const ms = now() - began;
  if (ran.status !== 0 && more.mayFail !== true)
    throw new Error(`${args.join(' ')}: ${ran.failure ?? ''}\n${ran.stdout}${ran.stderr}`);
  return { ms, ...(JSON.parse(readFileSync(file, 'utf8')) as Omit<Used, 'ms'>) };
}
