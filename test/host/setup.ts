/** Once a run, before the first host is booted: the root to copy, the package, the sender of the load. */
import { execFileSync } from 'node:child_process';
import { existsSync, realpathSync, rmSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { build } from 'esbuild';
import type { TestProject } from 'vitest/node';
import { debianRoot } from '../../scripts/debian-root.mjs';
import { ownFolder, sweep } from './machine.js';

/** What hosts are made of; or why none can be booted here, and their tests are skipped. */
export type Ingredients =
  | {
      readonly why: null;
      readonly root: string;
      /** What `npm pack` made. */
      readonly package: string;
      /** npm's own folder, on this machine. */
      readonly npm: string;
      /** load-sender.ts as one file for node. */
      readonly sender: string;
    }
  | { readonly why: string };

declare module 'vitest' {
  export interface ProvidedContext {
    host: Ingredients;
  }
}

let folder: string | null = null;

export async function setup(project: TestProject): Promise<void> {
  const say = (line: string): void => {
    process.stdout.write(`host: ${line}\n`);
  };
  const found = await debianRoot(say);
  if (found.root === undefined) {
    say(`SKIPPED ${found.why}`);
    project.provide('host', { why: found.why });
    return;
  }
  await sweep();
  folder = ownFolder('packed');
  const sender = join(folder, 'load-sender.cjs');
  await build({
    entryPoints: [resolve('test/host/load-sender.ts')],
    outfile: sender,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
  });
  const npm = npmFolder();
  const argv = [
    join(npm, 'bin/npm-cli.js'),
    'pack',
    '--json',
    '--ignore-scripts',
    '--pack-destination',
    folder,
  ];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const [{ filename }] = JSON.parse(
    execFileSync(process.execPath, argv, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] }),
  ) as [{ readonly filename: string }];
  project.provide('host', { why: null, root: found.root, package: join(folder, filename), npm, sender });
}

export function teardown(): void {
  if (folder !== null) rmSync(folder, { recursive: true, force: true });
}

/** Where the npm lies that runs us, or the one in PATH. */
function npmFolder(): string {
  const candidates = [
    process.env['npm_execpath'] ?? '',
    ...(process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'npm')),
  ];
  const found = candidates
    .filter((path) => path !== '' && existsSync(path))
    .map((path) => dirname(dirname(realpathSync(path))))
    .find((folder) => existsSync(join(folder, 'bin/npm-cli.js')));
  if (found === undefined) throw new Error('npm was not found');
  return found;
}
