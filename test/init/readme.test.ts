/** README's pages show the very files that `init` renders; test/host/init.test.ts compares them with those on a Debian. */
import { describe, expect, it } from 'vitest';
import { adopt } from '../../src/init/adopt.js';
import { parseFpmFile } from '../../src/init/fpm-file.js';
import type { Host } from '../../src/init/host.js';
import { wantedFiles, type Wishes } from '../../src/init/wanted.js';
import { readmeFiles } from '../support/readme.js';

/** Debian's own pool. */
const WWW = `[www]
user = www-data
group = www-data
listen = /run/php/php8.2-fpm.sock
listen.owner = www-data
listen.group = www-data
pm = dynamic
pm.max_children = 5
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 3
`;

const PAGES: readonly (readonly [
  page: string,
  wishes: Pick<Wishes, 'manager' | 'switch'>,
  others: string[],
])[] = [
  // its YAML is what becomes of it
  [
    'Quick start: an existing Debian site',
    { manager: 'systemd', switch: 'rewrite' },
    ['/etc/swap-pool/shop.yaml'],
  ],
  ['systemd', { manager: 'systemd', switch: 'rewrite' }, []],
  ['SysV init', { manager: 'init', switch: 'rewrite' }, []],
  ['Plain daemons', { manager: 'direct', switch: 'symlink' }, []],
];

describe.each(PAGES)('%s', (page, wishes, others) => {
  const shown = [...readmeFiles(page)].filter(([path]) => !others.includes(path));
  const rendered = render(wishes);
  it.each(shown)('%s', (path, text) => {
    expect(rendered.get(path)).toBe(text);
  });
  it('shows files', () => {
    expect(shown.length).toBeGreaterThan(1);
  });
});

function render(wishes: Pick<Wishes, 'manager' | 'switch'>): ReadonlyMap<string, string> {
  const host = {
    proxyUser: 'www-data',
    adopted: adopt(parseFpmFile(Buffer.from(WWW)), null, { workers: 2, proxyUser: 'www-data' }),
    binary: '/usr/sbin/php-fpm8.2',
    statusListen: true,
    systemd: true,
    logFolder: '/var/log',
  } as Host;
  const places = { etc: '/etc', run: '/run/swap-pool', state: '/var/lib/swap-pool' };
  const files = wantedFiles(
    { app: 'shop', file: '/etc/swap-pool/shop.yaml', probe: '/srv/shop/public/health.php', ...wishes },
    host,
    {
      places: { ...places, config: '/etc/swap-pool', locks: '/run/swap-pool' },
      upstream: '/etc/nginx/conf.d/shop-upstream.conf',
    },
    {
      templates: 'templates',
      command: ['/usr/bin/node', '/usr/lib/node_modules/swap-pool/dist/swap-pool.cjs'],
    },
  );
  if (!files.ok) throw new Error(JSON.stringify(files.failure));
  return new Map(files.value.map(({ path, bytes }) => [path, Buffer.from(bytes).toString()]));
}
