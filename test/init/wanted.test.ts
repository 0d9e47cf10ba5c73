/** What the files that `init` writes take over from the host: who reads them, how long a stop takes, whose folders. */
import { describe, expect, it } from 'vitest';
import { adopt } from '../../src/init/adopt.js';
import { parseFpmFile, seconds } from '../../src/init/fpm-file.js';
import type { Host, Readers } from '../../src/init/host.js';
import { wantedFiles, type Manager, type Wanted } from '../../src/init/wanted.js';

const POOL = '[www]\nuser = www-data\nlisten = /run/php/x.sock\npm = static\npm.max_children = 2\n';

interface Given {
  readonly manager?: Manager;
  readonly readers?: Readers | null;
  readonly global?: string;
  readonly command?: readonly string[];
  readonly app?: string;
}

function wanted({
  manager = 'systemd',
  readers = null,
  global = '',
  command = ['/x'],
  app = 'shop',
}: Given): readonly Wanted[] {
  const file = parseFpmFile(Buffer.from(POOL));
  const master = parseFpmFile(Buffer.from(`[global]\n${global}\n`));
  const host = {
    proxyUser: 'www-data',
    adopted: adopt(file, master, { workers: null, proxyUser: 'www-data' }),
    readers,
    binary: '/usr/sbin/php-fpm8.2',
    statusListen: true,
    systemd: manager === 'systemd',
    logFolder: '/var/log',
  } as Host;
  const places = { etc: '/etc', run: '/run/swap-pool', state: '/state', config: '/config', locks: '/run' };
  const files = wantedFiles(
    { app, file: `/config/${app}.yaml`, manager, switch: 'rewrite' },
    host,
    { places, upstream: '/etc/nginx/conf.d/shop-upstream.conf' },
    { templates: 'templates', command },
  );
  if (!files.ok) throw new Error(JSON.stringify(files.failure));
  return files.value;
}

const textOf = (files: readonly Wanted[], path: string): string =>
  Buffer.from(files.find((file) => file.path === path)?.bytes ?? []).toString();

describe("the pool's file is read by nobody who could not read the old one", () => {
  it.each([
    [0o600, 0o600],
    [0o640, 0o640],
    [0o644, 0o644],
    [0o400, 0o400],
    // others could write a program's name into what root runs
    [0o666, 0o644],
    [0o775, 0o644],
  ])('%i becomes %i', (mode, expected) => {
    const file = wanted({ readers: { mode: 0o100000 | mode, gid: 42 } }).find(({ path }) =>
      path.endsWith('.fpm.conf'),
    );
    expect(file).toMatchObject({ mode: expected, group: 42 });
  });

  it('everybody reads it where there was none', () => {
    expect(wanted({}).find(({ path }) => path.endsWith('.fpm.conf'))).toMatchObject({ mode: 0o644 });
  });
});

it.each([
  ['', 10],
  ['process_control_timeout = 0', 10],
  ['process_control_timeout = 120s', 120],
  ['process_control_timeout = 45', 45],
  ['process_control_timeout = 2m', 120],
])('with %j nobody is killed whom FPM lets finish', (global, control) => {
  const unit = textOf(wanted({ global }), '/etc/systemd/system/shop-fpm@.service');
  expect(Number(/^TimeoutStopSec=(\d+)s$/m.exec(unit)?.[1])).toBeGreaterThan(control + 1);
  const script = textOf(wanted({ global, manager: 'init' }), '/etc/init.d/shop-fpm-blue');
  expect(Number(/^TIMEOUT=(\d+)$/m.exec(script)?.[1])).toBeGreaterThan(control + 1);
});

it.each([
  ['7', 7],
  ['7s', 7],
  ['2m', 120],
  ['1h', 3600],
  ['1d', 86_400],
  ['', null],
  ['x', null],
  ['5ms', null],
])("FPM's %j is %j seconds", (time, expected) => {
  expect(seconds(time)).toBe(expected);
});

/** What logrotate takes a file to be about. */
const rotated = (app: string): string[] => {
  const [, logs = ''] = /^(.*) \{$/m.exec(textOf(wanted({ app }), `/etc/logrotate.d/swap-pool-${app}`)) ?? [];
  return [...logs.matchAll(/"([^"]+)"/g)].map(([, path = '']) => path);
};

it('logrotate meets no log twice, whatever begins an app’s name', () => {
  expect(rotated('site')).toEqual(['/var/log/site-blue.fpm.log', '/var/log/site-green.fpm.log']);
  expect(rotated('site-admin').join(' ')).not.toMatch(/[*?[]/);
  expect(rotated('site').filter((path) => rotated('site-admin').includes(path))).toEqual([]);
});

it('cron runs what it is to run: no dot in the name, five times and a user before the command, a whole last line', () => {
  const files = wanted({ app: 'my.shop', manager: 'direct', command: ['/opt/50% off/node'] });
  const [file] = files.filter(({ path }) => path.startsWith('/etc/cron.d/'));
  expect(file?.path).toMatch(/^\/etc\/cron\.d\/[\w-]+$/);
  const text = Buffer.from(file?.bytes ?? []).toString();
  const lines = text.split('\n');
  expect(lines.pop()).toBe('');
  for (const line of lines.filter((each) => !each.startsWith('#')))
    expect(line).toMatch(/^(?:(?:\*(?:\/\d+)?|\d+)\s+){5}root\s+(?:[^%]|\\%)+$/);
});
