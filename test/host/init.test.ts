/**
 * From a stock Debian site to deploys, by `init` and by the very commands that it prints, under load: who
 * starts the slots is systemd or a SysV script, and both ways to switch.
 */
import { describe, expect } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import type { Run } from '../support/command.js';
import { findings } from '../support/findings.js';
import { readmeFiles } from '../support/readme.js';
import { onHost, type Host } from './host.js';
import { APPLICATION, poolPid, putStockSite, rebootsTo, stockPool, stockService } from './site.js';

describe.each([
  ['systemd', 'rewrite'],
  ['init', 'rewrite'],
  ['systemd', 'symlink'],
  ['direct', 'symlink'],
] as const)('init for %s, switch by %s', (manager, by) => {
  onHost(
    'the move of a live site, deploys to and fro, and a reboot: nothing is cut',
    { timeout: 180_000 },
    async (host) => {
      await putStockSite(host);
      // the site's file is edited, so `start` makes nginx follow it
      host.allow.reloads = true;
      await host.load();
      const moved = await host.swapPool([
        ...['init', 'shop', '--from', stockPool(host), '--site', '/etc/nginx/sites-enabled/shop', '--yes'],
        ...['--manager', manager, '--switch', by, '--probe', `${APPLICATION}/public/health.php`],
      ]);
      expect(moved, moved.stdout + moved.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(shownOtherwise(host, PAGES[manager], by)).toEqual([]);
      await follow(host, moved);
      expect(host.answering()).toBe('blue');
      expect(host.trySh(`systemctl is-active ${stockService(host)}`).stdout.trim()).toBe('inactive');

      for (const to of ['green', 'blue']) {
        // as from a timer's oneshot unit: what stays in its control group ends with it
        const run = await host.swapPool(['deploy', 'shop'], { properties: { KillMode: 'control-group' } });
        expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { to, drain: { cut: 0 } } });
        expect(host.answering()).toBe(to);
      }
      if (manager === 'init') {
        // swap-pool runs the script itself, and systemd has not heard of it
        expect(host.trySh('/etc/init.d/shop-fpm-blue status').status).toBe(0);
        expect(host.trySh('service shop-fpm-blue status').status).toBe(3);
      }
      const settled = await host.swapPool(['doctor']);
      // the new pool begins with what the old one was seen to need under this very load
      expect(findings(settled).filter(({ severity }) => severity !== 'advice')).toEqual([]);
      expect(
        moved.events.map((line) => (line['warning'] as { reason?: string } | undefined)?.reason),
      ).toContain('workers-guessed');
      for (const to of ['green', 'green']) {
        // the second time nothing has changed
        if (host.answering() !== to) host.sh('echo "; a change" >>/etc/swap-pool/shop.fpm.conf');
        await flip(host, manager);
        expect(host.answering()).toBe(to);
      }
      host.sh('logrotate --force /etc/logrotate.d/swap-pool-shop');
      const log = '/var/log/shop-green.fpm.log';
      expect(host.sh(`ls ${log} ${log}.1 && readlink /proc/${poolPid(host, 'green')}/fd/2`)).toMatch(
        new RegExp(`^${log}\\n${log}.1\\n`),
      );
      expect(host.trySh('systemctl is-active shop-fpm@green').stdout.trim()).toBe(
        manager === 'systemd' ? 'active' : 'inactive',
      );
      expect(host.sh('logrotate --debug /etc/logrotate.conf 2>&1')).not.toMatch(/error:|duplicate/);
      await rebootsTo(host, 'green');
      expectStartedBeforeNginx(
        host,
        manager === 'init' ? 'swap-pool-shop.service' : 'swap-pool@shop.service',
      );
      host.allow.reloads = false;
      await host.load();
      expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({
        exit: 0,
        result: { to: 'blue', drain: { cut: 0 } },
      });
    },
  );
});

/** As the init system understands it, and as it was: nginx was started once `start` had ended, which is when its unit is active. */
function expectStartedBeforeNginx(host: Host, unit: string): void {
  const time = (of: string, what: string): number =>
    Number(host.sh(`systemctl show --property=${what} --value ${of}`));
  expect(host.sh(`systemctl show --property=Before --value ${unit}`).split(' ')).toContain('nginx.service');
  const ended = time(unit, 'ActiveEnterTimestampMonotonic');
  expect(ended).toBeGreaterThan(0);
  expect(time('nginx.service', 'InactiveExitTimestampMonotonic')).toBeGreaterThanOrEqual(ended);
}

const PAGES = { systemd: 'systemd', init: 'SysV init', direct: 'Plain daemons' } as const;

/** The files of a page of README that are not what `init` has written, this release's php-fpm apart. */
function shownOtherwise(host: Host, page: string, by: SwitchKind): string[] {
  const fpm = host.sh('ls /usr/sbin/php-fpm*').split('\n')[0] ?? '';
  const shown = [...readmeFiles(page)].map(([path, text]) => [
    path,
    text.replaceAll('/usr/sbin/php-fpm8.2', fpm),
  ]);
  const general = (text: string): string => text.replace(/^switch: .*\n/m, '');
  return shown.flatMap(([path = '', text = '']) =>
    general(host.read(path)) === general(text) ? [] : [`${by}: ${path}`],
  );
}

/** Runs what `init` has printed, line by line, and what those lines print. */
async function follow(host: Host, run: Run): Promise<void> {
  for (const { command } of nextOf(run)) {
    const json = command.startsWith('swap-pool ');
    const line = await host.run(['/bin/sh', '-c', `${command}${json ? ' --json' : ''}`]);
    expect(line, `${command}\n${line.stdout}${line.stderr}`).toMatchObject({ exit: 0 });
    await follow(host, line);
  }
}

/** What deploys when the configuration changed, set off as the host does: by its timer, or as cron runs the line. */
async function flip(host: Host, manager: string): Promise<void> {
  if (manager === 'init') {
    const [line = ''] = host
      .read('/etc/cron.d/swap-pool-shop')
      .split('\n')
      .filter((each) => /^\*/.test(each));
    const command = line.replace(/^(\S+ ){5}root /, '');
    const cron = ['/usr/bin/env', '-i', 'PATH=/usr/bin:/bin', 'SHELL=/bin/sh', 'HOME=/root', 'LOGNAME=root'];
    const run = await host.run([...cron, '/bin/sh', '-c', command], {
      properties: { KillMode: 'control-group' },
    });
    expect(run).toMatchObject({ exit: 0, stdout: '', stderr: '' });
    return;
  }
  host.write(
    '/etc/systemd/system/swap-pool-flip@shop.timer.d/now.conf',
    '[Timer]\nOnCalendar=\nOnActiveSec=0\nAccuracySec=1ms\n',
  );
  const times = (): string =>
    host.sh('systemctl show --property=ExecMainExitTimestampMonotonic --value swap-pool-flip@shop.service');
  const before = times();
  host.sh('systemctl daemon-reload && systemctl restart swap-pool-flip@shop.timer');
  await host.until(() => times() !== before && times() !== '0');
  expect(host.sh('systemctl show --property=Result,ActiveState --value swap-pool-flip@shop.service')).toBe(
    'success\ninactive',
  );
}

const nextOf = (run: Run): readonly { readonly command: string }[] =>
  (run.result['init'] as { next?: { command: string }[] } | undefined)?.next ?? [];
