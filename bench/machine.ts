/**
 * What the figures depend on: the machine's kind and the versions of everything, and no name of anything.
 */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { run } from '../src/system/exec.js';
import type { Bench } from './contender.js';
import { CONTENDERS } from './contenders/table.js';
import { missing } from './row.js';
import type { Machine } from './report/document.js';

export async function machine({ programs }: Bench): Promise<Omit<Machine, 'load'>> {
  const version = async (argv: readonly string[], found: RegExp): Promise<string> => {
    const { stdout, stderr } = await run(argv, { timeout: 10_000 });
    return found.exec(stdout + stderr)?.[1] ?? '?';
  };
  const [haproxy, caddy] = ['haproxy', 'caddy'].map((name) =>
    CONTENDERS.filter((one) => one.name === name && missing(one).length === 0).flatMap(
      ({ needs = [] }) => needs,
    ),
  );
  const versions: [string, string][] = [
    ['node', process.versions.node],
    ['nginx', await version([programs.nginx, '-v'], /nginx\/(\S+)/)],
    ['php-fpm', await version([programs.fpm, '-v'], /PHP (\d[\d.]*)/)],
  ];
  for (const path of haproxy ?? [])
    versions.push(['HAProxy', await version([path, '-v'], /version (\d[\d.]*)/)]);
  for (const path of caddy ?? []) versions.push(['Caddy', await version([path, 'version'], /v?(\d[\d.]*)/)]);
  return {
    cpu: cpus()[0]?.model.trim() ?? '?',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: /^\d+\.\d+/.exec(release())?.[0] ?? '?',
    system: /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '?',
    versions: Object.fromEntries(versions),
  };
}
