/**
 * What contenders are built of: a sandbox with the bench's settings, and the few acts that several of them need.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Sandbox, type SandboxOptions } from '../src/demo/sandbox.js';
import type { SiteOptions } from '../src/demo/site.js';
import type { Result, Slot } from '../src/event.js';
import { after, waitUntil } from '../src/system/clock.js';
import { BASE_ENVIRONMENT, launch, run } from '../src/system/exec.js';
import { close, openNull, openOutput, replaceLink } from '../src/system/files.js';
import { identify, inheritableDescriptors, isAlive, procfs, signalProcess } from '../src/system/proc.js';
import type { Bench } from './contender.js';
import { BACKLOG, NGINX_CONNECTIONS, WORKERS } from './mix.js';

/** The app's name, everywhere. */
export const APP = 'bench';

/** No part of a deploy takes longer. */
const LONGEST_MS = 120_000;

export const fs = procfs();

/** A sandbox in which nginx runs and no pool does. Throws when there can be none. */
export async function openSandbox(
  { templates, programs }: Bench,
  site: Omit<SiteOptions, 'name' | 'workers'>,
  more: Partial<SandboxOptions> = {},
): Promise<Sandbox> {
  return must(
    await Sandbox.open({
      templates,
      programs: { ...programs, ...more.programs },
      sites: [
        {
          name: APP,
          workers: WORKERS,
          ...site,
          fpmPool: `listen.backlog = ${BACKLOG}\n${site.fpmPool ?? ''}`,
        },
      ],
      prepare: (sandbox) => {
        edit(sandbox.path('nginx.conf'), (text) =>
          text.replace(/worker_connections \d+/, `worker_connections ${NGINX_CONNECTIONS}`),
        );
        more.prepare?.(sandbox);
      },
    }),
  );
}

export const edit = (path: string, change: (text: string) => string): void => {
  writeFileSync(path, change(readFileSync(path, 'utf8')));
};

/** Starts a pool by hand. */
export const startPool = async (sandbox: Sandbox, slot: Slot): Promise<void> => {
  must(await sandbox.startPool(slot));
};

/** The path of a slot's socket. */
export const socketOf = (sandbox: Sandbox, slot: Slot): string =>
  sandbox.site().address[slot].replace(/^unix:/, '');

/** Points the link of a site that is switched by one at a slot. */
export function pointLink(sandbox: Sandbox, slot: Slot): void {
  const moved = replaceLink(sandbox.site().link, socketOf(sandbox, slot));
  if (!moved.ok) throw new Error(moved.code);
}

/** QUITs (or what is said) a pool's master, and waits until it is gone. */
export async function endPool(
  sandbox: Sandbox,
  slot: Slot,
  signal: NodeJS.Signals = 'SIGQUIT',
): Promise<void> {
  const pid = sandbox.poolMaster(slot);
  const id = pid === null ? null : identify(fs, pid);
  if (id === null) throw new Error(`${slot} does not run`);
  signalProcess(fs, id, signal);
  await until('the end of the old pool', () => !isAlive(fs, id));
}

/** Runs a shell script of the bench; its lines are the names of what it does next. */
export async function runScript(
  argv: readonly string[],
  mark: (what: string) => void,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ran = await run(['/bin/sh', ...argv], { env, timeout: LONGEST_MS, onLine: mark });
  if (ran.status !== 0)
    throw new Error(`${argv.join(' ')}: ${ran.failure ?? ''}\n${ran.stdout}${ran.stderr}`);
}

/** Runs a program that leaves a daemon behind; what both say is in the file. */
export async function startDaemon(
  argv: readonly string[],
  log: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const output = openOutput(log);
  if (!output.ok) throw new Error(output.code);
  const blank = openNull();
  const ended = await launch(argv, {
    env: { ...BASE_ENVIRONMENT, ...env },
    output: output.value,
    blanked: inheritableDescriptors(fs),
    blank,
    timeout: 20_000,
  });
  close(blank);
  close(output.value);
  if (ended.status !== 0) throw new Error(`${argv.join(' ')}: ${readFileSync(log, 'utf8')}`);
}

/** Looks every `pace` ms; throws when it is not seen. */
export async function until(what: string, seen: () => boolean | Promise<boolean>, pace = 5): Promise<void> {
  const waited = await waitUntil(async () => ((await seen()) ? true : undefined), {
    deadline: LONGEST_MS,
    pace: () => pace,
  });
  if (waited.kind !== 'seen') throw new Error(`not seen: ${what}`);
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    after(ms, resolve);
  });

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
}
