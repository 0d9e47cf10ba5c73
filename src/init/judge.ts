/**
 * Every file is shown to its own judge before it is put in place: copies stand in a private folder, under their
 * own names. Whoever says no ends the whole of it; nothing has been written then.
 */
import { basename, join } from 'node:path';
import { loadConfig } from '../config.js';
import { fail, ok } from '../event.js';
import type { Failure, InitJudge, Result } from '../event.js';
import { binary, bytesOf } from '../nginx/spelling.js';
import { askFpm } from '../pool/php-fpm.js';
import { run } from '../system/exec.js';
import { createFile, exists } from '../system/files.js';
import type { Host } from './host.js';
import { testPlanned } from './staged-nginx.js';

/** A file as it will stand there. */
export interface Planned {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly judge: InitJudge | null;
}

export interface Bench {
  readonly host: Host;
  /** Where init scripts are to be: below this. */
  readonly etc: string;
  /** Private. */
  readonly folder: string;
  readonly root: boolean;
}

const TIMEOUT = 30_000;
const ANALYZE = '/usr/bin/systemd-analyze';
const LOGROTATE = '/usr/sbin/logrotate';

/** `nginx`: the files that nginx would read, by real path. Fails with `init-rejected`, or what FPM's answers are refused for. */
export async function judge(
  planned: readonly Planned[],
  nginx: ReadonlyMap<string, Uint8Array>,
  bench: Bench,
): Promise<Result<void>> {
  const staged = new Map<string, string>();
  for (const { path, bytes, judge: by } of planned) {
    if (by === null || by === 'nginx') continue;
    // an init script and logrotate's file have one name
    const copy = join(bench.folder, `${by === 'logrotate' ? 'logrotate-' : ''}${basename(path)}`);
    // init scripts are named by their full path, and have to be there
    const named =
      by === 'config' ? binary(bytes).replaceAll(`${bench.etc}/init.d/`, `${bench.folder}/`) : null;
    const written = createFile(copy, named === null ? bytes : bytesOf(named), by === 'sh' ? 0o755 : 0o644);
    if (!written.ok) return fail({ reason: 'config-unwritable', file: copy, code: written.code });
    staged.set(path, copy);
  }
  const of = (by: InitJudge): readonly Planned[] => planned.filter((each) => each.judge === by);
  const copyOf = ({ path }: Planned): string => staged.get(path) ?? path;

  for (const file of of('php-fpm')) {
    const slot = { config: copyOf(file), binary: bench.host.binary, env: {} };
    const asked = await askFpm({ blue: slot, green: slot }, join(bench.folder, 'nowhere'));
    if (!asked.ok) return fail(asOriginal(asked.failure, file.path, copyOf(file)));
  }
  for (const file of of('config')) {
    const loaded = loadConfig(copyOf(file), { root: bench.root });
    if (!loaded.ok) return fail(asOriginal(loaded.failure, file.path, copyOf(file)));
  }
  for (const file of of('sh')) {
    const ran = await run(['/bin/sh', '-n', copyOf(file)], { timeout: TIMEOUT });
    if (ran.status !== 0) return rejected('sh', file.path, ran.stderr.replaceAll(copyOf(file), file.path));
  }
  for (const file of exists(LOGROTATE) ? of('logrotate') : []) {
    const state = join(bench.folder, 'logrotate.state');
    const ran = await run([LOGROTATE, '--debug', '--state', state, copyOf(file)], { timeout: TIMEOUT });
    // what it minds about the logs that are there now is not the file's fault
    const minded = ran.stderr
      .split('\n')
      .filter((line) => /^(?:error|warning):/.test(line) && line.includes(copyOf(file)));
    if (minded.length > 0)
      return rejected('logrotate', file.path, minded.join('\n').replaceAll(copyOf(file), file.path));
  }
  const units = of('systemd-analyze');
  if (units.length > 0 && exists(ANALYZE)) {
    const ran = await run([ANALYZE, 'verify', ...units.map(copyOf)], { timeout: TIMEOUT });
    // it ends with 0 whatever it minds, and tells of every other unit that it comes across
    const minded = ran.stderr.split('\n').filter((line) => units.some((unit) => line.includes(copyOf(unit))));
    const [unit] = units.filter((each) => minded.some((line) => line.includes(copyOf(each))));
    if (unit !== undefined) return rejected('systemd-analyze', unit.path, minded.join('\n'));
  }
  const [first] = [...nginx.keys()];
  if (first === undefined) return ok(undefined);
  return testPlanned(bench.host.nginx, nginx, { folder: bench.folder, file: first, timeout: TIMEOUT });
}

const rejected = (by: InitJudge, file: string, output: string): Result<never> =>
  fail({ reason: 'init-rejected', judge: by, file, output });

/** A failure that speaks of the file, not of its copy. */
function asOriginal(failure: Failure, path: string, copy: string): Failure {
  return JSON.parse(
    JSON.stringify(failure).replaceAll(JSON.stringify(copy).slice(1, -1), JSON.stringify(path).slice(1, -1)),
  ) as Failure;
}
