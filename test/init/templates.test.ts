/** What the templates become is what the programs that read them want. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findPrograms } from '../../src/demo/programs.js';
import { render } from '../../src/init/render.js';

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'swap-pool-templates-'));
});

afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

function file(template: string, values: Readonly<Record<string, string>>, name = template): string {
  const text = render(readFileSync(join('templates', template), 'utf8'), { app: 'shop', ...values });
  if (!text.ok) throw new Error(JSON.stringify(text.failure));
  const path = join(home, name);
  writeFileSync(path, text.value);
  chmodSync(path, 0o755);
  return path;
}

describe('the init script of a slot', () => {
  const programs = findPrograms();
  let script: string;
  let pidfile: string;
  const run = (verb: string) => spawnSync('/bin/sh', [script, verb], { encoding: 'utf8' }).status;
  const pid = (): number => Number(readFileSync(pidfile, 'utf8'));

  beforeEach(() => {
    if (!programs.ok) throw new Error('php-fpm is missing');
    const config = join(home, 'shop.fpm.conf');
    const root = process.getuid?.() === 0;
    writeFileSync(
      config,
      `[global]\npid = ${home}/shop-\${SWAP_POOL_SLOT}.pid\nerror_log = ${home}/log\nprocess_control_timeout = 5s\n[www]\n` +
        `${root ? 'user = www-data\n' : ''}listen = ${home}/\${SWAP_POOL_SLOT}.sock\npm = static\npm.max_children = 1\n`,
    );
    const values = { binary: programs.value.fpm, config, run: home, slot: 'green', stop_seconds: '5' };
    script = file('fpm.init', values, 'shop-fpm-green');
    pidfile = join(home, 'shop-green.pid');
  });

  afterEach(() => {
    run('stop');
  });

  it('answers as LSB wants it, from a start to a stop', () => {
    expect(run('status')).toBe(3);
    expect(run('try-restart')).toBe(0);
    expect(run('condrestart')).toBe(0);
    expect(run('reload')).toBe(7);
    expect(run('stop')).toBe(0);
    expect(existsSync(pidfile)).toBe(false);
    expect(run('start')).toBe(0);
    expect(existsSync(join(home, 'green.sock'))).toBe(true);
    expect(run('status')).toBe(0);
    const first = pid();
    expect(run('start')).toBe(0);
    expect(pid()).toBe(first);
    expect(run('try-restart')).toBe(0);
    expect(pid()).not.toBe(first);
    expect(run('force-reload')).toBe(0);
    expect(run('frobnicate')).toBe(2);
    expect(run('stop')).toBe(0);
    expect(run('status')).toBe(3);
  });

  it('does not reload what php-fpm refuses', () => {
    run('start');
    const before = pid();
    writeFileSync(
      join(home, 'shop.fpm.conf'),
      `${readFileSync(join(home, 'shop.fpm.conf'), 'utf8')}nonsense = 1\n`,
    );
    expect(run('reload')).toBe(1);
    expect(run('status')).toBe(0);
    expect(pid()).toBe(before);
  });

  it('signals nobody whose pid stands in a stale pidfile', () => {
    writeFileSync(pidfile, `${String(process.pid)}\n`);
    expect(run('status')).toBe(1);
    expect(run('stop')).toBe(0);
    writeFileSync(pidfile, '1; true\n');
    expect(run('status')).toBe(1);
  });
});

it.each([
  [
    'fpm.init',
    { slot: 'blue', binary: '/usr/sbin/php-fpm', config: "'/a b'", run: '/run', stop_seconds: '5' },
  ],
  ['boot.init', { swap_pool: '/usr/bin/node /x.cjs' }],
])('%s is no riddle to dash', (template, values) => {
  const path = file(template, values);
  execFileSync(existsSync('/usr/bin/dash') ? '/usr/bin/dash' : '/bin/sh', ['-n', path]);
  expect(readFileSync(path, 'utf8')).toMatch(/^### BEGIN INIT INFO\n(# [A-Z].*\n)+### END INIT INFO$/m);
});

it.skipIf(!existsSync('/usr/bin/systemd-analyze'))('systemd minds nothing about the units', () => {
  const swap_pool = '/usr/bin/env node';
  const units = [
    file('fpm@.service', { binary: '/bin/true', config: '/etc/x', stop_timeout: '30s' }, 'shop-fpm@.service'),
    ...['swap-pool@.service', 'swap-pool-flip@.service', 'swap-pool-flip@.timer'].map((name) =>
      file(name, { swap_pool }),
    ),
  ];
  for (const unit of units) chmodSync(unit, 0o644);
  const { stderr } = spawnSync('/usr/bin/systemd-analyze', ['verify', ...units], { encoding: 'utf8' });
  expect(stderr.split('\n').filter((line) => line.includes(home))).toEqual([]);
});
