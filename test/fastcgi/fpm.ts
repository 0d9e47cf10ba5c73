import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pageParams, request } from '../../src/fastcgi/client.js';
import { waitUntil } from '../../src/system/clock.js';
import { PATIENCE } from '../support/limits.js';

export interface Fpm {
  /** Open to everybody; scripts lie here, sockets are POOL.sock in it. */
  readonly dir: string;
  /** Writes a script and gives back its path. */
  script(name: string, code: string): string;
  stop(): Promise<void>;
}

/**
 * A php-fpm of the test's own, without php.ini. PHP's errors go to FastCGI's stderr: it logs, and has no error_log.
 * `pools`: by name, the lines that differ from an open socket and two workers.
 */
export async function startFpm(pools: Readonly<Record<string, string>>): Promise<Fpm> {
  const dir = mkdtempSync(join(tmpdir(), 'swap-pool-fpm-'));
  chmodSync(dir, 0o755);
  const user = process.geteuid?.() === 0 ? 'user = www-data\ngroup = www-data\n' : '';
  const sections = Object.entries(pools).map(
    ([name, lines]) =>
      `[${name}]\n${user}listen = ${dir}/${name}.sock\nlisten.mode = 0666\npm = static\npm.max_children = 2\n` +
      `ping.path = /ping\npm.status_path = /status\nphp_flag[log_errors] = on\n${lines}\n`,
  );
  const log = join(dir, 'fpm.log');
  writeFileSync(join(dir, 'fpm.conf'), `[global]\nerror_log = ${log}\n${sections.join('')}`);
  const master = spawn('/usr/sbin/php-fpm8.2', ['-n', '-F', '-y', join(dir, 'fpm.conf')], {
    stdio: 'ignore',
  });
  let gone = false;
  const exited = new Promise<void>((resolve) => {
    master.once('exit', () => {
      gone = true;
      resolve();
    });
  });
  const stop = async (): Promise<void> => {
    // Its process_control_timeout is 0: TERM ends the workers at once, and the sockets go with them.
    master.kill('SIGTERM');
    await exited;
    rmSync(dir, { recursive: true });
  };
  const ready = await waitUntil(
    async () => {
      if (gone) return 'gone';
      const tries = Object.keys(pools).map((name) =>
        request({ address: `${dir}/${name}.sock`, params: pageParams('/ping'), timeoutMs: 1000 }),
      );
      return (await Promise.all(tries)).every((reply) => reply.ok) ? 'ready' : undefined;
    },
    { deadline: PATIENCE },
  );
  if (ready.kind !== 'seen' || ready.value !== 'ready') {
    const said = readFileSync(log, 'utf8');
    await stop();
    throw new Error(`php-fpm did not start: ${said}`);
  }
  const script = (name: string, code: string): string => {
    writeFileSync(join(dir, name), `<?php ${code}`, { mode: 0o644 });
    return join(dir, name);
  };
  return { dir, script, stop };
}
