/** Sites for a host: an application, and what serves it. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { SCRIPTS } from '../../src/demo/sandbox.js';
import { otherSlot, type Slot, type SwitchKind } from '../../src/event.js';
import { readme } from '../support/readme.js';
import type { Host } from './host.js';

/** Where the application lies. Its `public` is served, its `work` is where scripts leave their traces. */
export const APPLICATION = '/srv/shop';
const LINK = '/run/swap-pool/shop.sock';

/** The demo's scripts: the load asks for them, and work/broken-SLOT breaks health.php (see templates/demo). */
function putApplication(host: Host): void {
  for (const name of SCRIPTS) {
    host.write(`${APPLICATION}/public/${name}.php`, readFileSync(`templates/demo/${name}.php`, 'utf8'));
  }
  host.sh(`mkdir -p -m 1777 ${APPLICATION}/work`);
}

/** A vhost that sends PHP to `pass`, which is `unix:/…` or an upstream's name. */
const vhost = (pass: string, more = ''): string => `server {
    listen 80;
    server_name shop.example;
    root ${APPLICATION}/public;

    location ~ \\.php$ {
        include fastcgi.conf;
        fastcgi_pass ${pass};
        ${more}
    }
}
`;

/** A site as Debian's papers have it: a vhost in sites-available, PHP by the stock pool `www`, with workers enough for the load. */
export async function putStockSite(host: Host): Promise<void> {
  putApplication(host);
  host.write('/etc/nginx/sites-available/shop', vhost(`unix:${stockSocket(host)}`));
  host.sh('ln -s /etc/nginx/sites-available/shop /etc/nginx/sites-enabled/shop');
  host.sh(`sed -i 's/^pm.max_children = .*/pm.max_children = 16/' ${stockPool(host)}`);
  host.sh(`systemctl restart ${stockService(host)}`);
  await host.reloadNginx();
}

/** Where the stock pool listens, /run/php/php8.2-fpm.sock or another version's. */
const stockSocket = (host: Host): string =>
  host.sh(`sed -n 's/^listen = //p' /etc/php/*/fpm/pool.d/www.conf`);

/** The file of the stock pool `www`. */
export const stockPool = (host: Host): string => host.sh('ls /etc/php/*/fpm/pool.d/www.conf');

/** php8.2-fpm, or another version's. */
export const stockService = (host: Host): string =>
  host.sh('basename /lib/systemd/system/php*-fpm.service .service');

/**
 * README's quick start, from its own files: what a slot listens on, the upstream, the app. The stock pool
 * goes on; nothing of the app's runs yet. With `symlink` the upstream names the link instead, as README says.
 */
function putSite(host: Host, by: SwitchKind): void {
  putApplication(host);
  // enough workers for the load, and every answer says which slot gave it
  const fpm = readme('/etc/swap-pool/shop.fpm.conf').replace(/^pm(\.(max|min|start)\w*)? = .*\n/gm, '');
  const lines = ['pm = static', 'pm.max_children = 16', 'env[SWAP_POOL_SLOT] = ${SWAP_POOL_SLOT}', ''];
  host.write('/etc/swap-pool/shop.fpm.conf', fpm + lines.join('\n'));
  const app = readme('/etc/swap-pool/shop.yaml').replace(/^switch: .*\n/m, '');
  const link = `switch: { by: symlink, link: ${LINK} }\n`;
  host.write('/etc/swap-pool/shop.yaml', by === 'symlink' ? app + link : app);
  putProxy(host, by);
}

/** README's upstream, and a vhost that names it. */
export function putProxy(host: Host, by: SwitchKind): void {
  host.write(
    '/etc/nginx/conf.d/shop-upstream.conf',
    by === 'symlink'
      ? `upstream shop {\n    server unix:${LINK};\n}\n`
      : readme('/etc/nginx/conf.d/shop-upstream.conf'),
  );
  host.write('/etc/nginx/sites-available/shop', vhost('shop', 'fastcgi_next_upstream error;'));
  host.sh('ln -s /etc/nginx/sites-available/shop /etc/nginx/sites-enabled/shop');
}

/** putSite(), and brought up as README says: blue first, then nginx. */
export async function startSite(host: Host, by: SwitchKind): Promise<void> {
  putSite(host, by);
  const run = await host.swapPool(['start', 'shop']);
  if (run.exit !== 0) throw new Error(`start failed:\n${run.stdout}${run.stderr}`);
  // workers much younger than their files have surely read them: else the first deploy reloads, whatever the switch
  if (by === 'symlink') await host.until(() => host.sh("find /etc/nginx/ -newermt '3 seconds ago'") === '');
  await host.reloadNginx();
}

const UNIT = '/etc/systemd/system/shop-fpm@.service';
const YAML = '/etc/swap-pool/shop.yaml';

/** Another manager in the app's YAML; the pool that runs was started directly and is moved by the next deploy. */
export function manage(host: Host, lines: readonly string[]): void {
  const more = ['pool:', ...lines.map((line) => `  ${line}`), ''].join('\n');
  host.write(
    YAML,
    host.read(YAML).replace(/^pool:\n/m, () => more),
  );
}

/** startSite(), with README's units to go on with: the next deploy starts one. */
export async function startUnits(host: Host, by: SwitchKind): Promise<void> {
  await startSite(host, by);
  // the release's own php-fpm, whatever its version
  const fpm = host.sh('ls /usr/sbin/php-fpm*').split('\n')[0] ?? '';
  host.write(UNIT, readme(UNIT).replace('/usr/sbin/php-fpm8.2', fpm));
  host.sh('systemctl daemon-reload');
  manage(host, ['manager: systemd', 'systemd: { unit: "shop-fpm@{slot}.service" }']);
}

/** The pid of a slot's master there, by the pidfile that the site's configuration names. */
export const poolPid = (host: Host, slot: Slot): number =>
  Number(
    host.sh(
      `cat $(sed -n 's/^pid = //p' /etc/swap-pool/shop.fpm.conf | sed 's/\${SWAP_POOL_SLOT}/${slot}/')`,
    ),
  );

/** Boots again: the slot that served serves, which `status` says, too; the other one stays down. */
export async function rebootsTo(host: Host, slot: Slot): Promise<void> {
  await host.reboot();
  expect(host.answering()).toBe(slot);
  expect(await host.swapPool(['status', 'shop'])).toMatchObject({
    exit: 0,
    result: {
      apps: [
        {
          active: slot,
          slots: { [slot]: { state: 'running' }, [otherSlot(slot)]: { state: 'stopped' } },
        },
      ],
    },
  });
}
